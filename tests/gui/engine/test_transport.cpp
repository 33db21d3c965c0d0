// The transport in time: seed, branches, going back, older runs; and that every panel shows the step that is gone to.
#include <algorithm>

#include "app/widgets/token_text.h"
#include "core/model/model.h"
#include "imgui_internal.h"
#include "tests/gui/engine/fresh_program.h"
#include "tests/gui/engine/gui_testing.h"

namespace glassbox::test {
namespace {

constexpr const char* kPrompt = "The capital of France is";

void open_stage(Gui& gui, int stage) {
  gui.press(ImGuiMod_Ctrl | static_cast<ImGuiKey>(ImGuiKey_0 + stage));
  gui.settle();
}

void start(Gui& gui) {
  gui.type_prompt(kPrompt);
  gui.press(ImGuiKey_Escape);
  gui.settle();
}

void step(Gui& gui, int count) {
  for (int i = 0; i < count; ++i) {
    gui.click("//prompt/step");
    gui.settle();
  }
}

GUI_TEST("transport", "a typed seed draws what the command line draws with it") {
  start(gui);
  gui.click("//prompt/seed");
  gui.frames(3);
  gui.type("7");
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.document().seed == 7);
  step(gui, 3);
  const nlohmann::json fresh = fresh_json({"generate", "-p", kPrompt, "-n", "3", "-s", "7", "--top-k", "40", "--top-p", "0.95", "--min-p", "0.05"});
  GUI_CHECK(fresh.is_object());
  std::vector<int32_t> expected = gui.encode(kPrompt);
  for (const nlohmann::json& id : fresh["ids"]) expected.push_back(id.get<int32_t>());
  GUI_CHECK(gui.tokens() == expected);
  // Esc leaves the field without a change.
  gui.click("//prompt/seed");
  gui.frames(3);
  gui.type("99");
  gui.press(ImGuiKey_Escape);
  gui.settle();
  GUI_CHECK(gui.document().seed == 7);
}

GUI_TEST("transport", "an alternative opens a branch, and both ways can be gone again") {
  start(gui);
  open_stage(gui, 6);
  const size_t prompt = gui.tokens().size();
  step(gui, 2);
  const std::vector<int32_t> first = gui.tokens();
  gui.press(ImGuiKey_LeftArrow), gui.press(ImGuiKey_LeftArrow);
  gui.settle();
  GUI_CHECK(gui.view().tokens.size() == prompt);
  // Another token than the one that was drawn: marked by a click, taken by the button.
  const std::vector<Candidate>& candidates = gui.view().chain->candidates;
  const int32_t other = candidates[0].id == first[prompt] ? candidates[1].id : candidates[0].id;
  gui.click(gui.panel("chain", "$$" + std::to_string(other) + "/row"));
  gui.click(gui.panel("chain", "###continue"));
  gui.settle();
  step(gui, 1);
  std::vector<int32_t> second = gui.tokens();
  GUI_CHECK(second.size() == prompt + 2 && second[prompt] == other && second != first);
  GUI_CHECK(gui.document().run().children(0).size() == 2);
  // Back to the fork by the timeline, and along the other way by its menu.
  const ImRect line = gui.engine.ItemInfo("//prompt/timeline").RectFull;
  gui.engine.MouseMoveToPos({line.Min.x + 6, line.GetCenter().y});
  gui.engine.MouseClick();
  gui.settle();
  GUI_CHECK(gui.view().tokens.size() == prompt);
  gui.engine.MouseClick(ImGuiMouseButton_Right);
  gui.frames(3);
  int way = 0;
  for (const int child : gui.document().run().children(0))
    if (gui.document().run().nodes[static_cast<size_t>(child)].token == first[prompt]) way = child;
  gui.click("//$FOCUSED/$$" + std::to_string(way) + "/" + token_text(gui.app.theme(), gui.bench().model()->tokenizer(), first[prompt]));
  gui.settle();
  GUI_CHECK(gui.document().run().cursor == way);
  gui.press(ImGuiKey_Escape);
  gui.click("//prompt/step");
  gui.settle();
  GUI_CHECK(gui.tokens() == first);
}

GUI_TEST("transport", "every panel shows the step that one goes back to") {
  start(gui);
  const size_t prompt = gui.tokens().size();
  step(gui, 3);
  gui.press(ImGuiKey_LeftArrow), gui.press(ImGuiKey_LeftArrow), gui.press(ImGuiKey_LeftArrow);
  gui.settle();
  GUI_CHECK(gui.view().tokens.size() == prompt && gui.document().run().nodes.size() == 4);
  const nlohmann::json tokens = fresh_json({"tokenize", "-p", kPrompt}), next = fresh_json({"next", "-p", kPrompt});
  GUI_CHECK(tokens.is_object() && next.is_object());
  open_stage(gui, 1);
  GUI_CHECK(gui.copied_figure("tokens")["tokens"] == tokens["tokens"]);
  open_stage(gui, 2);
  GUI_CHECK(gui.copied_figure("cosines")["shape"][0] == prompt);
  GUI_CHECK(gui.copied_figure("neighbours")["token"]["id"] == tokens["tokens"].back()["id"]);
  open_stage(gui, 3);
  GUI_CHECK(gui.view().thumbnails->length == static_cast<int>(prompt));
  GUI_CHECK(gui.copied_figure("pattern")["shape"][0] == prompt);
  GUI_CHECK(gui.copied_figure("next_token")["candidates"][0]["id"] == next["candidates"][0]["id"]);
  open_stage(gui, 6);
  const nlohmann::json chain = gui.copied_figure("chain");
  GUI_CHECK(chain["candidates"][0]["logit"] == next["candidates"][0]["logit"]);
  GUI_CHECK(gui.copied_figure("rank_plot")["candidates"][5]["prob_model"] == next["candidates"][5]["prob_model"]);
  // And forward again: the next step, in the same panels.
  gui.press(ImGuiKey_RightArrow);
  gui.settle();
  GUI_CHECK(gui.view().tokens.size() == prompt + 1);
  GUI_CHECK(gui.copied_figure("chain")["candidates"][0]["logit"] != next["candidates"][0]["logit"]);
}

GUI_TEST("transport", "redraw from here draws by other numbers, and Ctrl+Z leaves what was generated") {
  start(gui);
  open_stage(gui, 6);
  step(gui, 2);
  gui.click("//prompt/back"), gui.click("//prompt/back");
  gui.settle();
  const double u = gui.view().chain->u;
  gui.click("//prompt/redraw");
  gui.settle();
  const Run& run = gui.document().run();
  const RunNode& drawn = run.nodes[static_cast<size_t>(run.cursor)];
  GUI_CHECK(run.depth(run.cursor) == 1 && !drawn.by_hand && drawn.u != u);
  const size_t nodes = run.nodes.size();
  gui.press(ImGuiMod_Ctrl | ImGuiKey_Z);
  gui.settle();
  GUI_CHECK(gui.document().run().nodes.size() == nodes || gui.document().runs.size() > 1);
}

GUI_TEST("transport", "another text keeps the run, and the list of runs brings it back") {
  start(gui);
  step(gui, 1);
  const std::vector<int32_t> generated = gui.tokens();
  gui.type_prompt("Something new");
  gui.press(ImGuiKey_Escape);
  gui.settle();
  GUI_CHECK(gui.document().runs.size() == 2);
  gui.click("//prompt/runs/2 runs/2 runs");
  gui.frames(3);
  gui.click("//$FOCUSED/$$0/" + std::string(kPrompt));
  gui.settle();
  GUI_CHECK(gui.document().text == kPrompt);
  GUI_CHECK(gui.tokens() == generated && gui.view().tokens == generated);
}

GUI_TEST("transport", "Enter in the text draws, Space plays and pauses, and neither is typed") {
  start(gui);
  size_t prompt = gui.tokens().size();
  gui.press(ImGuiMod_Ctrl | ImGuiKey_L);
  gui.frames(2);
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.document().text == kPrompt && gui.tokens().size() == prompt + 1);
  // One goes on typing. Esc leaves the field, and once more the walk of the keyboard; then the keys are the transport's.
  gui.frames(4);
  gui.type("!");
  gui.settle();
  GUI_CHECK(gui.document().text == std::string(kPrompt) + "!");
  prompt = gui.tokens().size();
  gui.press(ImGuiKey_Escape), gui.press(ImGuiKey_Escape);
  gui.frames(2);
  gui.press(ImGuiKey_Space);
  for (int i = 0; i < 4000 && gui.tokens().size() < prompt + 3; ++i) gui.frames(1);
  gui.press(ImGuiKey_Space);
  gui.settle();
  GUI_CHECK(!gui.bench().playing() && gui.tokens().size() >= prompt + 3 && gui.document().text == std::string(kPrompt) + "!");
}

}  // namespace
}  // namespace glassbox::test
