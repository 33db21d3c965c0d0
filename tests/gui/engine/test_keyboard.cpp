// The ways of the keyboard: what a mouse can press, Tab and the arrows reach and Enter presses.
#include "core/model/model.h"
#include "imgui_internal.h"
#include "tests/gui/engine/gui_testing.h"

namespace glassbox::test {
namespace {

GUI_TEST("keyboard", "chips of the prompt bar are walked to and selected") {
  gui.press(ImGuiMod_Ctrl | ImGuiKey_L);
  gui.frames(2);
  gui.press(ImGuiKey_Escape);
  gui.frames(2);
  GUI_CHECK(gui.walk_to("//prompt/chip2"));
  GUI_CHECK(gui.hover_card().find("position") != std::string::npos);  // the card of what the keyboard stands on
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.document().selection.position == 2);
  gui.press(ImGuiKey_RightArrow);
  gui.press(ImGuiKey_Space);
  gui.settle();
  GUI_CHECK(gui.document().selection.position == 3);
  GUI_CHECK(gui.document().run().nodes.size() == 1);  // the transport stayed where it was
}

GUI_TEST("keyboard", "the transport's buttons are walked to and pressed") {
  gui.press(ImGuiMod_Ctrl | ImGuiKey_L);
  gui.frames(2);
  gui.press(ImGuiKey_Escape);
  const size_t prompt = gui.tokens().size();
  GUI_CHECK(gui.walk_to("//prompt/step"));
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.tokens().size() == prompt + 1);
  GUI_CHECK(gui.walk_to("//prompt/Chat"));
  gui.press(ImGuiKey_Space);
  gui.settle();
  GUI_CHECK(gui.document().chat);
  GUI_CHECK(gui.walk_to("//prompt/seed"));
  gui.press(ImGuiKey_Enter);
  gui.frames(3);
  gui.type("5");
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.document().seed == 5);
}

GUI_TEST("keyboard", "the timeline is walked along") {
  const size_t prompt = gui.tokens().size();
  for (int i = 0; i < 3; ++i) gui.press(ImGuiKey_F6), gui.settle();
  GUI_CHECK(gui.walk_to_timeline());
  GUI_CHECK(gui.view().tokens.size() == prompt);
  gui.press(ImGuiKey_RightArrow);
  gui.settle();
  GUI_CHECK(gui.view().tokens.size() == prompt + 1);
  gui.press(ImGuiKey_End);
  gui.settle();
  GUI_CHECK(gui.view().tokens.size() == prompt + 3 && gui.document().run().nodes.size() == 4);
}

GUI_TEST("keyboard", "the rail is walked through") {
  gui.engine.WindowFocus("//rail");
  gui.frames(2);
  GUI_CHECK(gui.walk_to("//rail/Embed"));
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.document().stage == 2);
  gui.press(ImGuiKey_UpArrow);
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.document().stage == 1);
}

GUI_TEST("keyboard", "heads are walked through by the arrows, chosen, and switched off by their menu") {
  gui.settle();
  gui.enter("heads");
  GUI_CHECK(gui.walk_to(gui.panel("heads", "L24\xC2\xB7H4/head"), ImGuiKey_Tab, 320));
  gui.press(ImGuiKey_RightArrow);
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.document().selection.layer == 24 && gui.document().selection.head == 5);
  gui.press(ImGuiKey_UpArrow);
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.document().selection.layer == 23 && gui.document().selection.head == 5);
  gui.press(ImGuiKey_Menu);
  gui.frames(3);
  gui.click("//$FOCUSED/Switch it off");
  gui.settle();
  GUI_CHECK(gui.document().edits.size() == 1 && gui.document().edits[0].layer == 23 && gui.document().edits[0].head == 5);
}

GUI_TEST("keyboard", "the pattern's cell is moved by the arrows, and its edge cut by the menu key") {
  gui.settle();
  gui.enter("pattern");
  GUI_CHECK(gui.walk_to(gui.panel("pattern", "attention pattern")));
  gui.press(ImGuiKey_UpArrow);
  gui.press(ImGuiKey_RightArrow);
  gui.settle();
  GUI_CHECK(gui.document().selection.cell.has_value());
  GUI_CHECK(*gui.document().selection.cell == Cell{12, 2});
  gui.press(ImGuiKey_Menu);
  gui.frames(3);
  gui.click("//$FOCUSED/Cut this edge before softmax (score = -\xE2\x88\x9E)");
  gui.settle();
  GUI_CHECK(gui.document().edits.size() == 1);
  GUI_CHECK(gui.document().edits[0].position_begin == 12 && gui.document().edits[0].key == 2);
}

GUI_TEST("keyboard", "a cut of the chain and the line of the plot are moved by the arrows") {
  gui.press(ImGuiMod_Ctrl | ImGuiKey_6);
  gui.settle();
  const auto kept = [&](std::string_view kind) {
    for (const ChainStage& stage : gui.view().chain->stages)
      if (stage.kind == kind) return stage.kept;
    return -1;
  };
  gui.enter("chain");
  GUI_CHECK(gui.walk_to(gui.panel("chain", "$$4/cut"), ImGuiKey_Tab, 120));
  const int before = kept("top_k");
  gui.press(ImGuiKey_UpArrow);
  gui.settle();
  GUI_CHECK(kept("top_k") == before - 1 && gui.document().sampler.top_k == before - 1);
  gui.enter("rank_plot");
  GUI_CHECK(gui.walk_to(gui.panel("rank_plot", "cut")));
  const float top_p = gui.document().sampler.top_p;
  gui.press(ImGuiKey_LeftArrow);
  gui.settle();
  GUI_CHECK(gui.document().sampler.top_p < top_p);
}

// Items that the mouse finds and the keyboard does not, by window and label. Left out are a panel's header, which is the
// handle that it is dragged by, and the corner of a head, which does what the head's menu does.
std::vector<std::string> items_without_keyboard(Gui& gui, size_t& seen) {
  std::vector<std::string> found;
  for (const ImGuiWindow* window : ImGui::GetCurrentContext()->Windows) {
    const std::string name = window->Name;
    if (!window->WasActive || name.find("Debug") != std::string::npos || name.starts_with("##")) continue;
    ImGuiTestItemList items;
    gui.engine.GatherItems(&items, window->ID, 4);
    for (const ImGuiTestItemInfo& item : items) {
      const bool header = item.ID == ImHashStr("##header", 0, item.Window->ID), off = item.ID == ImHashStr("switch", 0, item.ParentID);
      ++seen;
      // Windows in windows, splitters and scroll bars are items, too; their names have no text.
      const bool frame = item.DebugLabel[0] == 0;
      if (item.ItemFlags & ImGuiItemFlags_NoNav && !header && !off && !frame) found.push_back(name + ": " + item.DebugLabel);
    }
  }
  return found;
}

GUI_TEST("keyboard", "all that the mouse can press in the four stages can be reached by keys") {
  for (int i = 0; i < 2; ++i) gui.press(ImGuiKey_F6), gui.settle();
  size_t seen = 0, missed = 0;
  for (const int stage : {1, 2, 3, 6}) {
    gui.press(ImGuiMod_Ctrl | static_cast<ImGuiKey>(ImGuiKey_0 + stage));
    gui.settle();
    gui.frames(2);
    for (const std::string& item : items_without_keyboard(gui, seen)) {
      gui.engine.LogError("stage %d, %s", stage, item.c_str());
      ++missed;
    }
  }
  GUI_CHECK(seen > 1000 && missed == 0);
}

GUI_TEST("keyboard", "a panel's menu is walked to, and its figure copied") {
  gui.settle();
  gui.enter("heads");
  GUI_CHECK(gui.walk_to(gui.panel("heads", "copy/copy"), ImGuiKey_Tab, 320));
  gui.press(ImGuiKey_Enter);
  gui.frames(3);
  ImGui::SetClipboardText("");
  for (int i = 0; i < 4 && gui.clipboard().empty(); ++i) gui.press(ImGuiKey_DownArrow), gui.press(ImGuiKey_Enter), gui.frames(2);
  GUI_CHECK(!gui.clipboard().empty());
}

}  // namespace
}  // namespace glassbox::test
