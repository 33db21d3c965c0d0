// The prompt bar, the transport, the rail, the palette: what stands around every stage.
#include "core/model/model.h"
#include "tests/gui/engine/gui_testing.h"

namespace glassbox::test {
namespace {

GUI_TEST("prompt", "typing changes the tokens and the prediction") {
  gui.type_prompt("The capital of France is");
  gui.settle();
  GUI_CHECK(gui.document().text == "The capital of France is");
  GUI_CHECK(gui.tokens() == gui.encode("The capital of France is"));
  GUI_CHECK(gui.view().tokens == gui.tokens());
  gui.type(" a");
  gui.settle();
  GUI_CHECK(gui.view().tokens == gui.encode("The capital of France is a"));
  GUI_CHECK(gui.exists("//prompt/chip5"));
}

GUI_TEST("prompt", "Chinese and emoji arrive as they were typed") {
  const std::string text = "\xE4\xBD\xA0\xE5\xA5\xBD \xF0\x9F\x8D\x93";
  gui.type_prompt(text);
  gui.settle();
  GUI_CHECK(gui.document().text == text);
  GUI_CHECK(gui.tokens() == gui.encode(text));
}

GUI_TEST("prompt", "a chip selects its token, and the pointer links it to the text") {
  gui.click("//prompt/chip2");
  GUI_CHECK(gui.document().selection.position == 2);
  gui.hover("//prompt/chip4");
  gui.frames(2);
  GUI_CHECK(gui.app.hovered().position == 4);
}

GUI_TEST("prompt", "undo and redo bring texts back") {
  const std::string first = gui.document().text;
  gui.type_prompt("One text.");
  gui.settle();
  gui.press(ImGuiKey_Escape);
  gui.press(ImGuiMod_Ctrl | ImGuiKey_Z);
  gui.settle();
  GUI_CHECK(gui.document().text == first);
  GUI_CHECK(gui.view().tokens == gui.encode(first));
  gui.press(ImGuiMod_Ctrl | ImGuiKey_Y);
  gui.settle();
  GUI_CHECK(gui.document().text == "One text.");
}

GUI_TEST("transport", "step draws the chain's token; back and forward walk; reset forgets") {
  gui.settle();
  const std::vector<int32_t> before = gui.tokens();
  GUI_CHECK(gui.view().chain != nullptr);
  const int32_t drawn = gui.view().chain->drawn;
  gui.click("//prompt/step");
  gui.settle();
  GUI_CHECK(gui.tokens().size() == before.size() + 1);
  GUI_CHECK(gui.tokens().back() == drawn);
  GUI_CHECK(gui.view().tokens == gui.tokens());
  gui.press(ImGuiKey_F6);
  gui.settle();
  const std::vector<int32_t> two = gui.tokens();
  GUI_CHECK(two.size() == before.size() + 2);
  gui.click("//prompt/back");
  gui.settle();
  GUI_CHECK(gui.view().tokens.size() == before.size() + 1);
  gui.press(ImGuiKey_RightArrow);
  gui.settle();
  GUI_CHECK(gui.tokens() == two);
  gui.click("//prompt/reset");
  gui.settle();
  GUI_CHECK(gui.tokens() == before);
}

GUI_TEST("transport", "play runs until it is paused, and the same seed draws the same text") {
  const size_t prompt = gui.tokens().size();
  gui.click("//prompt/play");
  for (int i = 0; i < 4000 && gui.tokens().size() < prompt + 4; ++i) gui.frames(1);
  gui.press(ImGuiKey_Space);
  gui.settle();
  GUI_CHECK(!gui.bench().playing());
  const std::vector<int32_t> first = gui.tokens();
  GUI_CHECK(first.size() >= prompt + 4);
  gui.click("//prompt/reset");
  for (size_t i = prompt; i < first.size(); ++i) {
    gui.click("//prompt/step");
    gui.settle();
  }
  GUI_CHECK(gui.tokens() == first);
}

GUI_TEST("transport", "the dashed chip is taken by a click, by hand") {
  gui.settle();
  const size_t prompt = gui.tokens().size();
  gui.click("//prompt/predicted");
  gui.settle();
  const Run& run = gui.document().run();
  GUI_CHECK(gui.tokens().size() == prompt + 1);
  GUI_CHECK(run.nodes[static_cast<size_t>(run.cursor)].by_hand);
  GUI_CHECK(gui.text_of(gui.tokens().back()) == " Mary");
}

GUI_TEST("transport", "the timeline is scrubbed") {
  const size_t prompt = gui.tokens().size();
  for (int i = 0; i < 3; ++i) {
    gui.click("//prompt/step");
    gui.settle();
  }
  const ImGuiTestItemInfo line = gui.engine.ItemInfo("//prompt/timeline");
  gui.engine.MouseMoveToPos({line.RectFull.Min.x + 6, (line.RectFull.Min.y + line.RectFull.Max.y) / 2});
  gui.engine.MouseClick();
  gui.settle();
  GUI_CHECK(gui.view().tokens.size() == prompt);
}

GUI_TEST("chat", "the toggle wraps the prompt in the model's template") {
  gui.click("//prompt/Chat");
  gui.settle();
  GUI_CHECK(gui.document().chat);
  GUI_CHECK(gui.text_of(gui.tokens().front()) == "<|im_start|>");
  GUI_CHECK(gui.view().tokens == gui.tokens());
  gui.click("//prompt/Chat");
  gui.settle();
  GUI_CHECK(gui.tokens() == gui.encode(gui.document().text));
}

GUI_TEST("rail", "every stage opens by click and by key") {
  const char* names[] = {"Tokens", "Embed", "Attention", "Training", "Tuning", "Inference", "Agents", "Evals"};
  for (int stage = 1; stage <= 8; ++stage) {
    gui.click(std::string("//rail/") + names[stage - 1]);
    gui.settle();
    GUI_CHECK(gui.document().stage == stage);
  }
  gui.press(ImGuiMod_Ctrl | ImGuiKey_2);
  gui.settle();
  GUI_CHECK(gui.document().stage == 2);
  GUI_CHECK(gui.panel_window("neighbours") != nullptr);
}

GUI_TEST("palette", "commands are found by letters and started by Enter") {
  gui.palette("theme light");
  GUI_CHECK(gui.document().theme == ThemeKind::light);
  gui.palette("theme dark");
  GUI_CHECK(gui.document().theme == ThemeKind::dark);
  gui.press(ImGuiMod_Ctrl | ImGuiKey_Equal);
  gui.frames(3);
  GUI_CHECK(gui.document().scale > 1.05f);
  gui.press(ImGuiMod_Ctrl | ImGuiKey_0);
  gui.frames(3);
  GUI_CHECK(gui.document().scale == 1.0f);
}

GUI_TEST("panels", "a panel is closed, and the layout is reset") {
  gui.settle();
  GUI_CHECK(gui.panel_window("cell")->Active);
  gui.palette("Panel: cell");
  gui.frames(3);
  GUI_CHECK(gui.document().panels.at("cell") == false);
  gui.palette("Reset layout");
  gui.settle();
  GUI_CHECK(gui.document().panels.at("cell") == true);
  GUI_CHECK(gui.panel_window("cell")->Active);
}

GUI_TEST("panels", "a splitter is dragged, saved, and undone") {
  gui.settle();
  const ImGuiWindow* heads = gui.panel_window("heads");
  const float before = heads->Size.x;
  const ImVec2 edge(heads->Pos.x + heads->Size.x + 4, heads->Pos.y + heads->Size.y / 2);
  gui.drag(edge, {edge.x + 80, edge.y});
  gui.frames(4);
  GUI_CHECK(heads->Size.x > before + 60);
  const auto saved = gui.document().docking.find("3");
  GUI_CHECK(saved != gui.document().docking.end() && !saved->second.empty());
  gui.press(ImGuiMod_Ctrl | ImGuiKey_Z);
  gui.frames(4);
  GUI_CHECK(std::abs(heads->Size.x - before) < 3);
}

}  // namespace
}  // namespace glassbox::test
