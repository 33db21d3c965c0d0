#include "tests/gui/engine/gui_testing.h"

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "core/model/model.h"
#include "core/run/command.h"
#include "imgui_internal.h"

namespace glassbox::test {

std::vector<Registered>& registered_tests() {
  static std::vector<Registered> tests;
  return tests;
}

std::vector<int32_t> Gui::encode(const std::string& text) const {
  const Model& model = *app.bench().model();
  std::vector<int32_t> ids;
  if (model.tokenizer().adds_bos()) ids.push_back(model.tokenizer().bos_id());
  for (const Token& token : model.tokenizer().encode(text)) ids.push_back(token.id);
  return ids;
}

std::string Gui::text_of(int32_t token) const { return app.bench().model()->tokenizer().text_of(token); }

void Gui::settle(double seconds) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  for (int still = 0; still < 4;) {
    engine.Yield();
    if (engine.IsError()) return;
    still = app.settled() ? still + 1 : 0;
    if (still > 0) continue;
    if (Clock::now() > end) {
      IM_ERRORF("the program did not settle in %.0f s", seconds);
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

ImGuiWindow* Gui::panel_window(const std::string& panel_id) {
  for (ImGuiWindow* window : ImGui::GetCurrentContext()->Windows)
    if (std::string(window->Name).ends_with("###" + panel_id)) return window;
  return nullptr;
}

std::string Gui::panel(const std::string& panel_id, const std::string& item) {
  const ImGuiWindow* window = panel_window(panel_id);
  return window ? "//" + std::string(window->Name) + "/**/" + item : "";
}

void Gui::type_prompt(const std::string& text) {
  engine.KeyPress(ImGuiMod_Ctrl | ImGuiKey_L);
  engine.Yield(2);
  engine.KeyPress(ImGuiMod_Ctrl | ImGuiKey_A);
  if (text.empty()) engine.KeyPress(ImGuiKey_Delete);
  else engine.KeyChars(text.c_str());
  engine.Yield(2);
}

void Gui::palette(const std::string& name) {
  engine.KeyPress(ImGuiMod_Ctrl | ImGuiKey_P);
  engine.Yield(3);
  engine.KeyChars(name.c_str());
  engine.Yield(2);
  engine.KeyPress(ImGuiKey_Enter);
  engine.Yield(2);
}

std::string Gui::clipboard() const {
  const char* text = ImGui::GetClipboardText();
  return text ? text : "";
}

nlohmann::json Gui::copied_figure(const std::string& panel_id) {
  ImGui::SetClipboardText("");
  engine.ItemClick(panel(panel_id, "copy/copy").c_str());
  engine.Yield(2);
  engine.ItemClick("//$FOCUSED/Copy as JSON");
  engine.Yield(2);
  return nlohmann::json::parse(clipboard(), nullptr, false);
}

std::string Gui::copied_value(const std::string& path) {
  engine.MouseMove(path.c_str());
  engine.Yield(2);
  return copied_here();
}

std::string Gui::copied_here() {
  ImGui::SetClipboardText("");
  engine.MouseClick(ImGuiMouseButton_Right);
  engine.Yield(2);
  engine.ItemClick("//$FOCUSED/Copy value");
  engine.Yield(2);
  if (clipboard().empty()) IM_ERRORF("%s", "nothing was copied");
  return clipboard();
}

const TextReport& Gui::read_text() {
  text_.wanted = true;
  for (int i = 0; i < 5 && text_.wanted; ++i) engine.Yield();
  return text_.report;
}

std::string Gui::shown_text(const std::string& window) {
  std::string all;
  for (const DrawnText& text : read_text().texts)
    if (text.visible && text.window.find(window) != std::string::npos) all += text.text + "\n";
  return all;
}

void Gui::enter(const std::string& panel_id) {
  engine.WindowFocus(("//" + std::string(panel_window(panel_id)->Name)).c_str());
  engine.Yield(2);
}

bool Gui::walk_to(const std::string& path, ImGuiKeyChord key, int most) {
  const ImGuiID wanted = engine.ItemInfo(path.c_str()).ID;
  const auto there = [&] { return ImGui::GetCurrentContext()->NavId == wanted && ImGui::GetIO().NavVisible; };
  for (int i = 0; i < most && wanted != 0 && !there(); ++i) {
    engine.KeyPress(key);
    engine.Yield();
  }
  return wanted != 0 && there();
}

void Gui::open_stage(const std::string& name, const std::string& prompt) {
  click("//rail/" + name);
  type_prompt(prompt);
  press(ImGuiKey_Escape);
  settle();
}

bool Gui::walk_to_timeline() {
  press(ImGuiMod_Ctrl | ImGuiKey_L);
  frames(2);
  press(ImGuiKey_Escape);
  if (!walk_to("//prompt/timeline")) return false;
  press(ImGuiKey_Home);
  settle();
  return true;
}

void Gui::pause() { std::this_thread::sleep_for(std::chrono::duration<double>(History::kMergeSeconds + 0.05)); }

float number(const std::string& text) {
  char* end = nullptr;
  const float value = std::strtof(text.c_str(), &end);
  return end == text.c_str() ? std::nanf("") : value;
}

void Gui::drag(ImVec2 from, ImVec2 to) {
  engine.MouseMoveToPos(from);
  engine.MouseDown();
  engine.Yield(2);
  engine.MouseMoveToPos({(from.x + to.x) / 2, (from.y + to.y) / 2});
  engine.MouseMoveToPos(to);
  engine.Yield(2);
  engine.MouseUp();
  engine.Yield(3);
}

}  // namespace glassbox::test
