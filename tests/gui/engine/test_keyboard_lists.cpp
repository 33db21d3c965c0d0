// The keyboard in lists: Tab leads to one row, the arrows from there to all others, those that are scrolled out of sight
// as well.
#include <algorithm>

#include "core/model/model.h"
#include "imgui_internal.h"
#include "tests/gui/engine/gui_testing.h"

namespace glassbox::test {
namespace {

constexpr const char* kWords = "Strawberry has 3 r's, and unbelievability";

void open_tokens(Gui& gui, const std::string& prompt) {
  gui.press(ImGuiMod_Ctrl | ImGuiKey_1);
  gui.type_prompt(prompt);
  gui.press(ImGuiKey_Escape);
  gui.settle();
}

GUI_TEST("keyboard", "next tokens are walked through by the arrows, and Enter branches") {
  gui.settle();
  const std::vector<int32_t> prompt = gui.tokens();
  std::vector<int32_t> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(gui.view().chain->candidates[static_cast<size_t>(i)].id);
  const auto row = [&](size_t i) { return gui.panel("next_token", "$$" + std::to_string(ids[i]) + "/row"); };
  gui.enter("next_token");
  GUI_CHECK(gui.walk_to(row(0)));
  GUI_CHECK(gui.walk_to(row(2), ImGuiKey_DownArrow, 2));
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.tokens().size() == prompt.size() + 1 && gui.tokens().back() == ids[2]);
  GUI_CHECK(gui.document().run().nodes[1].by_hand);
  // Back, and another token on a branch of its own, from a row below what is in sight.
  gui.press(ImGuiMod_Ctrl | ImGuiKey_Z);
  gui.settle();
  GUI_CHECK(gui.tokens() == prompt);
  gui.enter("next_token");
  GUI_CHECK(gui.walk_to(row(0)));
  for (int i = 0; i < 15; ++i) gui.press(ImGuiKey_DownArrow), gui.frames(1);
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.tokens().back() == ids[15]);
}

GUI_TEST("keyboard", "pieces are walked through, and Enter keeps one") {
  open_tokens(gui, kWords);
  gui.enter("pieces");
  GUI_CHECK(gui.walk_to(gui.panel("pieces", "piece 0")));
  gui.press(ImGuiKey_RightArrow);
  gui.frames(2);
  GUI_CHECK(gui.app.hovered().piece == 1);  // its merges show, as under the pointer
  gui.press(ImGuiKey_Enter);
  gui.frames(2);
  GUI_CHECK(gui.document().selection.piece == 1);
  gui.press(ImGuiKey_RightArrow);
  gui.press(ImGuiKey_RightArrow);
  gui.press(ImGuiKey_Space);
  gui.frames(2);
  GUI_CHECK(gui.document().selection.piece == 3);
  gui.press(ImGuiKey_LeftArrow);
  gui.press(ImGuiKey_Enter);
  gui.frames(2);
  GUI_CHECK(gui.document().selection.piece == 2);
  GUI_CHECK(gui.document().run().nodes.size() == 1);  // nothing was drawn
}

GUI_TEST("keyboard", "merges are walked through row by row, and Enter shows a step") {
  open_tokens(gui, kWords);
  gui.enter("merges");
  const auto row = [&](int i) { return gui.panel("merges", "merge row " + std::to_string(i)); };
  GUI_CHECK(gui.walk_to(row(13)));  // the shown step: all 13 merges are made
  for (int i = 12; i >= 9; --i) GUI_CHECK(gui.walk_to(row(i), ImGuiKey_UpArrow, 1));
  gui.frames(2);
  GUI_CHECK(gui.app.hovered().merge_step == 9);
  GUI_CHECK(gui.hover_card().find("531\nil + ity") != std::string::npos);  // the pair that joins here
  gui.press(ImGuiKey_Enter);
  gui.frames(2);
  GUI_CHECK(gui.document().selection.merge_step == 9);
  gui.press(ImGuiKey_LeftArrow);
  gui.frames(2);
  GUI_CHECK(gui.hover_card().find("Not joined in this step") != std::string::npos);
  for (int i = 8; i >= 0; --i) GUI_CHECK(gui.walk_to(row(i), ImGuiKey_UpArrow, 1));
  gui.press(ImGuiKey_Enter);
  gui.frames(2);
  GUI_CHECK(gui.document().selection.merge_step == 0);
  // The buttons of the header are on the way, too.
  GUI_CHECK(gui.walk_to(gui.panel("merges", "\xE2\x96\xB8##next merge")));
  gui.press(ImGuiKey_Enter);
  gui.frames(2);
  GUI_CHECK(gui.document().selection.merge_step == 1);
}

GUI_TEST("keyboard", "lists scroll under the keyboard: tokens, merges, pairs and neighbours") {
  open_tokens(gui, "A long word: pneumonoultramicroscopicsilicovolcanoconiosis");
  const int steps = static_cast<int>(gui.copied_figure("merges")["steps"].size());
  GUI_CHECK(steps > 30 && !gui.exists(gui.panel("merges", "merge row 0")));
  gui.enter("merges");
  GUI_CHECK(gui.walk_to(gui.panel("merges", "merge row " + std::to_string(steps))));
  for (int i = 0; i < steps; ++i) gui.press(ImGuiKey_UpArrow), gui.frames(1);
  GUI_CHECK(gui.app.hovered().merge_step == 0);
  for (int i = 0; i < 12; ++i) gui.press(ImGuiKey_DownArrow), gui.frames(1);
  GUI_CHECK(gui.app.hovered().merge_step == 12);

  std::string text;
  for (int i = 0; i < 60; ++i) text += "The ferry leaves the harbour at ten past six. ";
  gui.app.run(cmd::SetText{text});
  gui.settle();
  gui.enter("tokens");
  GUI_CHECK(gui.walk_to(gui.panel("tokens", "token 0")));
  int furthest = 0;
  for (int i = 0; i < 30; ++i) gui.press(ImGuiKey_DownArrow), gui.frames(1), furthest = std::max(furthest, gui.app.hovered().position);
  GUI_CHECK(furthest > 300);

  gui.press(ImGuiMod_Ctrl | ImGuiKey_2);
  gui.settle();
  gui.enter("neighbours");
  GUI_CHECK(gui.walk_to(gui.panel("neighbours", "cosine 0")));
  const std::vector<Neighbour>& list = gui.view().neighbours->best[0];
  for (size_t i = 1; i < list.size(); ++i) gui.press(ImGuiKey_DownArrow), gui.frames(1);
  GUI_CHECK(gui.app.hovered().token == list.back().id);
  gui.press(ImGuiKey_RightArrow);
  gui.frames(1);
  GUI_CHECK(gui.app.hovered().token == gui.view().neighbours->best[1].back().id);
}

GUI_TEST("keyboard", "chips out of sight are walked to, and a fork's other way is taken") {
  std::string text;
  for (int i = 0; i < 12; ++i) text += "The ferry leaves the harbour at ten past six. ";
  gui.app.run(cmd::SetText{text});
  gui.settle();
  gui.press(ImGuiMod_Ctrl | ImGuiKey_L);
  gui.frames(2);
  gui.press(ImGuiKey_Escape);
  gui.frames(2);
  GUI_CHECK(gui.exists("//prompt/chip0") && !gui.exists("//prompt/chip60"));
  GUI_CHECK(gui.walk_to("//prompt/chip0"));
  for (int i = 0; i < 60; ++i) gui.press(ImGuiKey_RightArrow), gui.frames(2);
  GUI_CHECK(gui.app.hovered().position == 60);
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.document().selection.position == 60);
  for (int i = 0; i < 55; ++i) gui.press(ImGuiKey_LeftArrow), gui.frames(2);
  GUI_CHECK(gui.app.hovered().position == 5);

  // Two ways on from the prompt; the menu key on the timeline takes the other one.
  gui.type_prompt("The capital of France is");
  gui.press(ImGuiKey_Escape);
  gui.settle();
  const int32_t best = gui.view().chain->candidates[0].id, second = gui.view().chain->candidates[1].id;
  gui.app.run(cmd::Branch{0, best, 0.5f});
  gui.app.run(cmd::MoveCursor{0});
  gui.app.run(cmd::Branch{0, second, 0.25f});
  gui.settle();
  GUI_CHECK(gui.tokens().back() == second);
  GUI_CHECK(gui.walk_to_timeline());
  GUI_CHECK(gui.hover_card().find("the end of the prompt") != std::string::npos);
  gui.press(ImGuiKey_Menu);
  gui.frames(3);
  gui.press(ImGuiKey_DownArrow);
  gui.press(ImGuiKey_UpArrow);
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.tokens().back() == best);
}

}  // namespace
}  // namespace glassbox::test
