// Lessons: begun, predicted, tried and reached by hand.
#include "core/model/model.h"
#include "imgui_internal.h"
#include "tests/gui/engine/gui_testing.h"

namespace glassbox::test {
namespace {

// An item in the lesson's text, also when it is scrolled out of sight.
std::string in_text(Gui& gui, const std::string& item) {
  const ImGuiWindow* text = gui.engine.WindowInfo("//lesson/text").Window;
  if (!text) return "";
  std::string path = "//";
  for (const char* c = text->Name; *c; ++c) path += *c == '/' ? std::string("\\/") : std::string(1, *c);
  return path + "/" + item;
}

bool reached(Gui& gui, const std::string& lesson, const std::string& goal) {
  const auto progress = gui.document().progress.find(lesson);
  return progress != gui.document().progress.end() && progress->second.goals.contains(goal);
}

// Goes to the lesson with this title by the links at the foot of the pane.
void find_lesson(Gui& gui, const std::string& title) {
  const auto shown = [&] { return gui.shown_text("lesson").find(title) != std::string::npos; };
  const auto first_line = [&] {
    const std::string text = gui.shown_text("lesson/text");
    return text.substr(0, text.find(title) == std::string::npos ? 0 : text.find(title) + title.size());
  };
  for (int i = 0; i < 4 && first_line().empty() && gui.exists("//lesson/next lesson"); ++i) {
    gui.click("//lesson/next lesson");
    gui.settle();
  }
  GUI_CHECK(shown() && !first_line().empty());
}

GUI_TEST("lessons", "a prediction is made before the answer is shown, and stays") {
  gui.press(ImGuiMod_Ctrl | ImGuiKey_3);
  gui.settle();
  find_lesson(gui, "Looking is not saying");
  const std::string lesson = gui.document().lesson;
  GUI_CHECK(!lesson.empty());
  GUI_CHECK(gui.shown_text("lesson").find("holds") == std::string::npos || gui.shown_text("lesson").find("As you said") == std::string::npos);
  gui.click(in_text(gui, "suppressor/falls/it falls##answer"));
  gui.settle();
  GUI_CHECK(gui.document().progress.at(lesson).predictions.at("suppressor") == "falls");
  GUI_CHECK(gui.shown_text("lesson").find("Not so. It is: it rises") != std::string::npos);
  gui.press(ImGuiMod_Ctrl | ImGuiKey_Z);
  gui.settle();
  GUI_CHECK(gui.shown_text("lesson").find("Not so") == std::string::npos);
  gui.click(in_text(gui, "suppressor/rises/it rises##answer"));
  gui.settle();
  GUI_CHECK(gui.shown_text("lesson").find("As you said: it rises") != std::string::npos);
}

GUI_TEST("lessons", "a goal ticks when the thing has been done, by hand") {
  gui.press(ImGuiMod_Ctrl | ImGuiKey_3);
  gui.settle();
  find_lesson(gui, "Looking is not saying");
  const std::string lesson = gui.document().lesson;
  // Another head does not do it.
  gui.click(gui.panel("heads", "L3\xC2\xB7H3/head"));
  gui.settle();
  gui.click(gui.panel("cell", "###switch"));
  gui.settle();
  GUI_CHECK(gui.document().edits.size() == 1 && !reached(gui, lesson, "holds_back"));
  gui.click(gui.panel("cell", "###switch"));
  gui.settle();
  gui.click(gui.panel("heads", "L24\xC2\xB7H4/head"));
  gui.settle();
  gui.click(gui.panel("cell", "###switch"));
  gui.settle();
  gui.frames(3);
  GUI_CHECK(reached(gui, lesson, "holds_back") && !reached(gui, lesson, "writes"));
  // What was reached stays, also when the edit is taken back.
  gui.press(ImGuiMod_Ctrl | ImGuiKey_Z);
  gui.settle();
  GUI_CHECK(gui.document().edits.empty() && reached(gui, lesson, "holds_back"));
}

GUI_TEST("lessons", "try this sets the workbench up, by the keyboard too") {
  gui.press(ImGuiMod_Ctrl | ImGuiKey_6);
  gui.settle();
  find_lesson(gui, "What top-p really cuts");
  gui.click(in_text(gui, "$$2/Once upon a"));
  gui.settle();
  GUI_CHECK(gui.document().text == "Once upon a" && gui.document().sampler.top_p == 0.9f);
  GUI_CHECK(gui.view().tokens == gui.encode("Once upon a"));
  GUI_CHECK(gui.walk_to(in_text(gui, "$$3/Back to France")));
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.document().text == "The capital of France is");
}

GUI_TEST("lessons", "the pane is hidden and brought back, and its links go through the lessons of the stage") {
  gui.press(ImGuiMod_Ctrl | ImGuiKey_1);
  gui.settle();
  gui.click("//lesson/next lesson");
  gui.settle();
  const std::string second = gui.document().lesson;
  gui.click("//lesson/previous lesson");
  gui.settle();
  GUI_CHECK(!second.empty() && gui.document().lesson != second);
  gui.click("//lesson/**/close");
  gui.frames(3);
  GUI_CHECK(gui.document().panels.at("lesson") == false && !ImGui::FindWindowByName("lesson")->WasActive);
  gui.palette("Lesson pane");
  gui.frames(3);
  GUI_CHECK(ImGui::FindWindowByName("lesson")->WasActive);
}

GUI_TEST("lessons", "each built stage has two lessons at least") {
  for (const int stage : {1, 2, 3, 6}) {
    gui.press(ImGuiMod_Ctrl | static_cast<ImGuiKey>(ImGuiKey_0 + stage));
    gui.settle();
    GUI_CHECK(gui.exists("//lesson/next lesson"));
    GUI_CHECK(gui.shown_text("lesson").find("1 of ") != std::string::npos);
  }
}

}  // namespace
}  // namespace glassbox::test
