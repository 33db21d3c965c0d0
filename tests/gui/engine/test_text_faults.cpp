// No text is cut off or covered by another, in any stage, theme and scale, on short and long and foreign prompts.
#include "imgui_internal.h"
#include "tests/gui/engine/gui_testing.h"
#include "tests/gui/engine/text_check.h"

namespace glassbox::test {
namespace {

void check_stages(Gui& gui, const std::string& what) {
  size_t found = 0;
  for (const int stage : {1, 2, 3, 6}) {
    gui.press(ImGuiMod_Ctrl | static_cast<ImGuiKey>(ImGuiKey_0 + stage));
    gui.engine.MouseMoveToPos({3, 900});
    gui.settle();
    // Nothing is computed for another theme, so it costs a few frames only.
    for (const ThemeKind theme : {ThemeKind::light, ThemeKind::dark}) {
      gui.app.run(cmd::SetTheme{theme});
      gui.frames(2);
      const std::vector<std::string> faults = gui.read_text().faults;
      const char* name = theme == ThemeKind::light ? "light" : "dark";
      for (size_t i = 0; i < faults.size() && i < 12; ++i) gui.engine.LogError("%s, %s, stage %d: %s", what.c_str(), name, stage, faults[i].c_str());
      found += faults.size();
    }
  }
  if (found > 0) IM_ERRORF("%s: %d texts are cut off or covered", what.c_str(), static_cast<int>(found));
}

// Two texts on one another, and one that is cut off on the right.
void draw_faulty(ImGuiTestContext*) {
  ImGui::SetNextWindowPos({300, 300});
  ImGui::SetNextWindowSize({200, 90});
  ImGui::Begin("faulty", nullptr, ImGuiWindowFlags_NoSavedSettings | ImGuiWindowFlags_NoDocking | ImGuiWindowFlags_NoScrollbar | ImGuiWindowFlags_NoDecoration);
  const ImVec2 at = ImGui::GetCursorScreenPos();
  ImGui::GetWindowDrawList()->AddText(at, IM_COL32_WHITE, "one text");
  ImGui::GetWindowDrawList()->AddText({at.x + 20, at.y + 2}, IM_COL32_WHITE, "another");
  ImGui::GetWindowDrawList()->AddText({at.x + 150, at.y + 40}, IM_COL32_WHITE, "too long for its place");
  ImGui::End();
}

GUI_TEST("text", "the check reads what is drawn, and finds what overlaps and what is cut off") {
  gui.engine.Test->GuiFunc = draw_faulty;
  gui.frames(3);
  const std::string shown = gui.shown_text("faulty");
  const std::vector<std::string> faults = gui.read_text().faults;
  gui.engine.Test->GuiFunc = nullptr;
  gui.frames(2);
  GUI_CHECK(shown.starts_with("one text\nanother\ntoo lo"));  // letters that lie outside are not drawn at all
  size_t overlaps = 0, cut = 0;
  for (const std::string& fault : faults) {
    overlaps += fault.find("overlaps \"another\"") != std::string::npos || fault.find("overlaps \"one text\"") != std::string::npos;
    cut += fault.find("\"too lo") != std::string::npos && fault.find("is cut off") != std::string::npos;
  }
  GUI_CHECK(overlaps >= 1 && cut == 1);
}

// On the first prompt, on one of 400 tokens, and on Chinese and emoji.
void check_texts(Gui& gui, float scale) {
  std::string ferry;
  for (int i = 0; i < 32; ++i) ferry += "The ferry leaves the harbour at ten past six, and nobody waves. ";
  gui.app.run(cmd::SetScale{scale});
  const std::string what = std::to_string(static_cast<int>(scale * 100 + 0.5f)) + " %";
  check_stages(gui, what);
  gui.app.run(cmd::SetText{ferry});
  gui.settle();
  GUI_CHECK(gui.tokens().size() >= 400);
  check_stages(gui, what + ", long prompt");
  gui.app.run(cmd::SetText{"Strawberry has 3 r's \xE8\x8D\x89\xE8\x8E\x93 \xF0\x9F\x8D\x93 unbelievability \xE2\x80\x94 \xE4\xBD\xA0\xE5\xA5\xBD"});
  check_stages(gui, what + ", Chinese and emoji");
}

GUI_TEST("text", "nothing is clipped or covered at 100 %") { check_texts(gui, 1.0f); }
GUI_TEST("text", "nothing is clipped or covered at 80 %") { check_texts(gui, 0.8f); }
GUI_TEST("text", "nothing is clipped or covered at 200 %") { check_texts(gui, 2.0f); }

}  // namespace
}  // namespace glassbox::test
