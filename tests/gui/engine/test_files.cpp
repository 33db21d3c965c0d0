// Files: opening, saving, figures as PNG, and what happens when they are bad.
#include <filesystem>
#include <fstream>

#include "core/model/model.h"
#include "imgui_internal.h"
#include "tests/gui/engine/gui_testing.h"

namespace glassbox::test {
namespace {

namespace fs = std::filesystem;

// A folder that goes away with the test.
struct Folder {
  Folder() {
    path = (fs::temp_directory_path() / ("glassbox-gui-" + std::to_string(std::hash<const void*>{}(this)))).string();
    fs::create_directories(path);
  }
  ~Folder() {
    std::error_code error;
    fs::remove_all(path, error);
  }
  std::string path;
};

void type_path(Gui& gui, const std::string& path) {
  gui.frames(3);
  gui.press(ImGuiMod_Ctrl | ImGuiKey_A);
  gui.engine.KeyChars(path.c_str());
  gui.press(ImGuiKey_Enter);
  gui.frames(4);
}

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

GUI_TEST("files", "a document is saved and opened again") {
  const Folder folder;
  const std::string path = folder.path + "/work.glassbox.json";
  gui.type_prompt("To be kept.");
  gui.click("//rail/Embed");
  gui.settle();
  gui.press(ImGuiMod_Ctrl | ImGuiMod_Shift | ImGuiKey_S);
  type_path(gui, path);
  GUI_CHECK(fs::exists(path));
  gui.type_prompt("Something else.");
  gui.click("//rail/Attention");
  gui.settle();
  gui.press(ImGuiMod_Ctrl | ImGuiKey_O);
  type_path(gui, path);
  gui.settle();
  GUI_CHECK(gui.document().text == "To be kept.");
  GUI_CHECK(gui.document().stage == 2);
  GUI_CHECK(gui.view().tokens == gui.encode("To be kept."));
}

GUI_TEST("files", "a truncated model is refused with a reason, and the one in use goes on") {
  const Folder folder;
  const std::string path = folder.path + "/cut.gguf";
  std::ofstream(path, std::ios::binary) << "GGUF" << std::string(20, '\x03');
  const std::shared_ptr<const Model> model = gui.bench().model();
  gui.press(ImGuiMod_Ctrl | ImGuiKey_O);
  type_path(gui, path);
  gui.settle();
  GUI_CHECK(gui.bench().load_error().has_value());
  GUI_CHECK(gui.bench().load_error()->kind == ErrorKind::bad_file);
  GUI_CHECK(gui.app.notices().error_count() == 1);
  GUI_CHECK(gui.bench().model() == model);
  gui.click("//notice 0/**/Copy");
  GUI_CHECK(gui.clipboard() == gui.bench().load_error()->message());
  gui.click("//notice 0/**/Dismiss");
  gui.frames(3);
  GUI_CHECK(gui.app.notices().error_count() == 0);
  gui.type_prompt("Still alive");
  gui.settle();
  GUI_CHECK(gui.view().tokens == gui.encode("Still alive"));
}

GUI_TEST("files", "a panel is saved as PNG of its size") {
  const Folder folder;
  const std::string path = folder.path + "/cell.png";
  gui.settle();
  gui.click(gui.panel("cell", "copy"));
  gui.frames(2);
  gui.click("//$FOCUSED/Save PNG …");
  type_path(gui, path);
  for (int i = 0; i < 20 && !fs::exists(path); ++i) gui.frames(1);
  GUI_CHECK(fs::exists(path));
  const std::string png = read(path);
  GUI_CHECK(png.size() > 1000 && png.substr(1, 3) == "PNG");
  const auto number = [&](size_t at) {
    int value = 0;
    for (size_t i = 0; i < 4; ++i) value = value * 256 + static_cast<unsigned char>(png[at + i]);
    return value;
  };
  const ImGuiWindow* window = gui.panel_window("cell");
  GUI_CHECK(std::abs(number(16) - static_cast<int>(window->Size.x)) <= 1);
  GUI_CHECK(std::abs(number(20) - static_cast<int>(window->Size.y)) <= 1);
}

GUI_TEST("panels", "a panel is dragged out by its header, and put back") {
  gui.settle();
  const ImGuiWindow* window = gui.panel_window("next_token");
  const ImVec2 grip(window->Pos.x + 150, window->Pos.y + 18);
  gui.drag(grip, {grip.x - 420, grip.y + 160});
  gui.frames(4);
  GUI_CHECK(!window->DockIsActive);
  GUI_CHECK(gui.document().docking.at("3").find("next_token") != std::string::npos);
  gui.palette("Reset layout");
  gui.settle();
  GUI_CHECK(window->DockIsActive);
  GUI_CHECK(gui.document().docking.at("3").empty());
}

GUI_TEST("panels", "a panel is closed by its own menu") {
  gui.settle();
  gui.click(gui.panel("next_token", "copy"));
  gui.frames(2);
  gui.click("//$FOCUSED/Close panel");
  gui.settle();
  GUI_CHECK(gui.document().panels.at("next_token") == false);
  GUI_CHECK(!gui.panel_window("next_token")->WasActive);
}

}  // namespace
}  // namespace glassbox::test
