// Gestures on the whole program. Each test gets a fresh document on the default model and uses mouse and keyboard only;
// what came of it is read from the workbench.
//
//   GUI_TEST("prompt", "typing changes the tokens") {
//     gui.type_prompt("Hello there");
//     GUI_CHECK(gui.tokens() == gui.encode("Hello there"));
//   }
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/shell/app.h"
#include "imgui_te_context.h"
#include "imgui_te_engine.h"
#include "tests/gui/engine/text_check.h"

namespace glassbox::test {

// Asks the host to read the next frame's text; its drawing is gone when a test runs.
struct TextCheck {
  bool wanted = false;
  TextReport report;
};

// The test's hands and eyes. Its functions run frames; none touches the document but by events of mouse and keyboard.
class Gui {
 public:
  Gui(ImGuiTestContext* context, App& program, TextCheck& text) : engine(*context), app(program), text_(text) {}

  ImGuiTestContext& engine;
  App& app;

  Workbench& bench() { return app.bench(); }
  const Document& document() const { return app.document(); }
  const View& view() { return app.bench().view(); }
  std::vector<int32_t> tokens() const { return app.document().shown_tokens(); }
  std::vector<int32_t> encode(const std::string& text) const;  // by the model's tokenizer, special tokens parsed
  std::string text_of(int32_t token) const;

  // Frames until nothing is computed or moved. Fails the test after the time limit (wall clock).
  void settle(double seconds = 60);
  void frames(int count) { engine.Yield(count); }

  // An item by its path from the root: "//prompt/step", "//rail/Embed". Dots are fine in labels after "##".
  void click(const std::string& path) { engine.ItemClick(path.c_str()); }
  void hover(const std::string& path) { engine.MouseMove(path.c_str()); }
  bool exists(const std::string& path) { return engine.ItemExists(path.c_str()); }
  // An item of a panel: panel("tokens", "chip3"); child windows are searched too.
  std::string panel(const std::string& panel_id, const std::string& item);
  // The panel's window and its place on the screen.
  ImGuiWindow* panel_window(const std::string& panel_id);
  void press(ImGuiKeyChord chord) { engine.KeyPress(chord); }
  // Puts the keyboard into a panel, as Ctrl+Tab does for a person.
  void enter(const std::string& panel_id);
  // Presses the key, `most` times, until the keyboard stands on the item. False when it does not get there.
  bool walk_to(const std::string& path, ImGuiKeyChord key = ImGuiKey_Tab, int most = 80);
  // Shows a stage by its name on the rail, with the text in the prompt bar, and the keyboard out of it.
  void open_stage(const std::string& name, const std::string& prompt);
  // From the prompt bar, with Tab, and to the line's start. False when the keyboard does not get there.
  bool walk_to_timeline();
  // Lets so much of the clock go by that the next command is a gesture of its own, which undo takes back alone.
  void pause();
  // Puts the text into the prompt bar, as a person does: Ctrl+L, select all, type.
  void type_prompt(const std::string& text);
  void type(const std::string& text) { engine.KeyChars(text.c_str()); }
  // Starts a command of the palette by its name.
  void palette(const std::string& name);
  std::string clipboard() const;
  // "Copy as JSON" of a panel's menu; discarded JSON when what it copied is none.
  nlohmann::json copied_figure(const std::string& panel_id);
  // "Copy value" of the menu of an item, or of what lies under the pointer. Never empty: the test fails before.
  std::string copied_value(const std::string& path);
  std::string copied_here();
  // What the next frame has to read, and what of it is cut off or covered; see text_check.h.
  const TextReport& read_text();
  // All that can be read in windows whose name holds `window`, in the order of drawing, a line a text.
  std::string shown_text(const std::string& window);
  // What the card at the pointer says.
  std::string hover_card() { return shown_text("##Tooltip"); }
  // A drag from one place of the screen to another.
  void drag(ImVec2 from, ImVec2 to);

 private:
  TextCheck& text_;
};

struct Registered {
  const char *group, *name, *file;
  int line;
  void (*run)(Gui&);
};
std::vector<Registered>& registered_tests();
// The number that a text begins with; NaN when it begins with none.
float number(const std::string& text);
struct Registration {
  Registration(const char* group, const char* name, const char* file, int line, void (*run)(Gui&)) {
    registered_tests().push_back({group, name, file, line, run});
  }
};

}  // namespace glassbox::test

#define GUI_JOIN2(a, b) a##b
#define GUI_JOIN(a, b) GUI_JOIN2(a, b)
// A test; its body sees `gui`.
#define GUI_TEST(group, name)                                                                                     \
  static void GUI_JOIN(gui_test_, __LINE__)(glassbox::test::Gui & gui);                                           \
  static const glassbox::test::Registration GUI_JOIN(gui_registration_, __LINE__)(group, name, __FILE__, __LINE__, \
                                                                                  GUI_JOIN(gui_test_, __LINE__)); \
  static void GUI_JOIN(gui_test_, __LINE__)([[maybe_unused]] glassbox::test::Gui & gui)
// Fails the test and leaves it.
#define GUI_CHECK(...) IM_CHECK_SILENT((__VA_ARGS__))
