// Stage 1: tokens, pieces, merges and pairs, by mouse and keyboard, against the command line.
#include <algorithm>

#include "core/model/model.h"
#include "imgui_internal.h"
#include "tests/gui/engine/fresh_program.h"
#include "tests/gui/engine/gui_testing.h"

namespace glassbox::test {
namespace {

constexpr const char* kPrompt =
    "Strawberry has 3 r's. Das Fr\xC3\xBChst\xC3\xBC"
    "ck ist um 07:45 \xE2\x80\x94 \xE8\x8D\x89\xE8\x8E\x93 \xF0\x9F\x8D\x93 unbelievability";
constexpr int kLastPiece = 20, kSteps = 13;  // of " unbelievability"

void open_stage(Gui& gui, const std::string& prompt) { gui.open_stage("Tokens", prompt); }

GUI_TEST("stage 1", "the chips are the tokens that the command line prints") {
  open_stage(gui, kPrompt);
  const nlohmann::json fresh = fresh_json({"tokenize", "-p", kPrompt});
  GUI_CHECK(fresh.is_object());
  const nlohmann::json figure = gui.copied_figure("tokens");
  GUI_CHECK(figure.is_object());
  GUI_CHECK(fresh["tokens"].size() == 36);
  GUI_CHECK(figure["tokens"] == fresh["tokens"]);
  GUI_CHECK(figure["missing_bytes"] == fresh["missing_bytes"]);
}

GUI_TEST("stage 1", "a chip is hovered, its id copied, and a click selects it and its piece") {
  open_stage(gui, kPrompt);
  const nlohmann::json fresh = fresh_json({"tokenize", "-p", kPrompt, "--steps"});
  GUI_CHECK(fresh.is_object());
  gui.hover(gui.panel("tokens", "token 24"));  // the first of the three of the Chinese character
  gui.frames(3);
  GUI_CHECK(gui.app.hovered().position == 24);
  GUI_CHECK(gui.app.hovered().piece == 18);
  GUI_CHECK(fresh["pieces"][18]["first_token"] == 24);
  GUI_CHECK(gui.copied_value(gui.panel("tokens", "token 24")) == std::to_string(fresh["tokens"][24]["id"].get<int>()));
  gui.click(gui.panel("tokens", "token 10"));
  gui.frames(2);
  GUI_CHECK(gui.document().selection.position == 10);
  GUI_CHECK(gui.document().selection.piece == 8);
}

GUI_TEST("stage 1", "a chip of the prompt bar lights the same chip here, and the other way round") {
  open_stage(gui, kPrompt);
  gui.hover("//prompt/chip3");
  gui.frames(3);
  GUI_CHECK(gui.app.hovered().position == 3);
  gui.click("//prompt/chip3");
  gui.frames(2);
  GUI_CHECK(gui.document().selection.position == 3);
}

GUI_TEST("stage 1", "ids, bytes and the chat template are switched in the header") {
  open_stage(gui, "Hello");
  gui.click(gui.panel("tokens", "ids"));
  gui.click(gui.panel("tokens", "bytes"));
  gui.frames(2);
  GUI_CHECK(!gui.document().show_ids && !gui.document().show_bytes);
  gui.click(gui.panel("tokens", "ids"));
  gui.click(gui.panel("tokens", "bytes"));
  gui.frames(2);
  GUI_CHECK(gui.document().show_ids && gui.document().show_bytes);
  gui.click(gui.panel("tokens", "chat template"));
  gui.settle();
  GUI_CHECK(gui.document().chat);
  const nlohmann::json fresh = fresh_json({"tokenize", "-p", "Hello", "--chat"});
  GUI_CHECK(fresh.is_object());
  GUI_CHECK(gui.copied_figure("tokens")["tokens"] == fresh["tokens"]);
}

GUI_TEST("stage 1", "a piece is hovered and clicked, and its merges are those of the command line") {
  open_stage(gui, kPrompt);
  const nlohmann::json fresh = fresh_json({"tokenize", "-p", kPrompt, "--steps"});
  GUI_CHECK(fresh.is_object());
  const nlohmann::json copied = gui.copied_figure("pieces");
  GUI_CHECK(copied.is_object() && copied.contains("pieces"));
  const nlohmann::json& pieces = copied["pieces"];
  GUI_CHECK(pieces.size() == fresh["pieces"].size());
  for (size_t i = 0; i < pieces.size(); ++i)
    for (const auto& field : pieces[i].items()) GUI_CHECK(field.value() == fresh["pieces"][i][field.key()]);
  gui.hover(gui.panel("pieces", "piece 8"));
  gui.frames(3);
  GUI_CHECK(gui.app.hovered().piece == 8);
  gui.click(gui.panel("pieces", "piece 0"));
  gui.frames(2);
  GUI_CHECK(gui.document().selection.piece == 0);
  GUI_CHECK(gui.copied_value(gui.panel("pieces", "piece 0")) == "Strawberry");
  GUI_CHECK(gui.copied_figure("merges") == fresh["pieces"][0]["merges"]);
}

GUI_TEST("stage 1", "merges go step by step, by buttons and by rows") {
  open_stage(gui, kPrompt);
  const nlohmann::json fresh = fresh_json({"tokenize", "-p", kPrompt, "--steps"});
  GUI_CHECK(fresh.is_object());
  const nlohmann::json& steps = fresh["pieces"][kLastPiece]["merges"]["steps"];
  GUI_CHECK(static_cast<int>(steps.size()) == kSteps);
  gui.click(gui.panel("merges", "\xE2\x97\x82##merge before"));
  gui.frames(2);
  GUI_CHECK(gui.document().selection.merge_step == kSteps - 1);
  gui.click(gui.panel("merges", "\xE2\x96\xB8##next merge"));
  gui.frames(2);
  GUI_CHECK(gui.document().selection.merge_step == kSteps);
  gui.click(gui.panel("merges", "merge row 9"));
  gui.frames(2);
  GUI_CHECK(gui.document().selection.merge_step == 9);
  GUI_CHECK(gui.copied_value(gui.panel("merges", "merge row 9")) == std::to_string(steps[8]["rank"].get<int>()));
  // The pairs are those of the step, with the same ranks.
  gui.engine.MouseMoveToPos({4, 4});
  gui.frames(3);
  GUI_CHECK(gui.copied_figure("pairs") == steps[8]);
  GUI_CHECK(gui.copied_value(gui.panel("pairs", "pair 1")) == std::to_string(steps[8]["pairs"][1].get<int>()));
  // Another row under the pointer shows that row's race, without selecting it.
  gui.hover(gui.panel("merges", "merge row 3"));
  gui.frames(3);
  GUI_CHECK(gui.app.hovered().merge_step == 3);
  GUI_CHECK(gui.document().selection.merge_step == 9);
  GUI_CHECK(gui.exists(gui.panel("pairs", "pair 12")));
}

GUI_TEST("stage 1", "playing makes every merge, one after the other") {
  open_stage(gui, "Hello unbelievability");
  gui.click(gui.panel("merges", "play##play"));
  std::vector<int> seen;
  for (int i = 0; i < 6000 && gui.document().selection.merge_step != kSteps; ++i) {
    gui.frames(1);
    if (seen.empty() || seen.back() != gui.document().selection.merge_step) seen.push_back(gui.document().selection.merge_step);
  }
  GUI_CHECK(static_cast<int>(seen.size()) == kSteps + 1);
  for (int step = 0; step <= kSteps; ++step) GUI_CHECK(seen[static_cast<size_t>(step)] == step);
  gui.frames(2);
  GUI_CHECK(gui.exists(gui.panel("merges", "play##play")));  // it has stopped by itself
}

GUI_TEST("stage 1", "a new choice of piece shows the end of its merges, and undo brings the old one back") {
  open_stage(gui, kPrompt);
  gui.click(gui.panel("merges", "merge row 2"));
  gui.click(gui.panel("pieces", "piece 8"));
  gui.frames(2);
  GUI_CHECK(gui.document().selection.piece == 8);
  GUI_CHECK(gui.document().selection.merge_step == -1);
  for (int i = 0; i < 2; ++i) gui.press(ImGuiMod_Ctrl | ImGuiKey_Z);
  gui.frames(2);
  GUI_CHECK(gui.document().selection.merge_step == 2);
  GUI_CHECK(gui.document().selection.piece == -1);
}

GUI_TEST("stage 1", "special tokens, single bytes and long pieces are explained and not merged") {
  open_stage(gui, "a<|im_end|>");
  GUI_CHECK(gui.copied_figure("merges").empty());
  GUI_CHECK(!gui.exists(gui.panel("merges", "merge row 0")));
  gui.click(gui.panel("pieces", "piece 0"));
  gui.frames(2);
  GUI_CHECK(gui.exists(gui.panel("merges", "merge row 0")));
  GUI_CHECK(!gui.exists(gui.panel("merges", "merge row 1")));
  open_stage(gui, std::string(700, 'a'));
  GUI_CHECK(!gui.exists(gui.panel("merges", "merge row 0")));
  GUI_CHECK(gui.copied_figure("tokens")["tokens"].size() == gui.tokens().size());
}

GUI_TEST("stage 1", "thousands of tokens are scrolled, and only those that are seen are drawn") {
  std::string text;
  for (int i = 0; i < 500; ++i) text += "The ferry leaves. ";
  gui.click("//rail/Tokens");
  gui.app.run(cmd::SetText{text});  // typed, it would take minutes of frames
  gui.settle(240);
  GUI_CHECK(gui.tokens().size() > 1900);
  GUI_CHECK(gui.exists(gui.panel("tokens", "token 0")));
  GUI_CHECK(!gui.exists(gui.panel("tokens", "token 1500")));
  double quickest = 1;
  for (int i = 0; i < 20; ++i) {
    gui.frames(1);
    quickest = std::min(quickest, gui.app.frame_seconds());
  }
  gui.hover(gui.panel("tokens", "token 5"));
  gui.engine.MouseWheelY(-12);
  gui.frames(3);
  GUI_CHECK(!gui.exists(gui.panel("tokens", "token 0")));
  GUI_CHECK(quickest < 0.02);  // a still frame; the bench has the exact bar
}

}  // namespace
}  // namespace glassbox::test
