// What belongs to no stage: theme, scale, status bar, unbuilt stages, About, copying, undo, another model.
#include <algorithm>
#include <filesystem>

#include "app/widgets/numbers.h"
#include "core/model/model.h"
#include "imgui_internal.h"
#include "tests/gui/engine/fresh_program.h"
#include "tests/gui/engine/gui_testing.h"
#include "tests/gui/engine/machine.h"
#include "tests/support/model_path.h"

namespace glassbox::test {
namespace {

GUI_TEST("window", "theme and scale are undone like everything else") {
  const float height = gui.app.theme().px(28);
  gui.palette("theme light");
  gui.pause();
  gui.press(ImGuiMod_Ctrl | ImGuiKey_Equal), gui.press(ImGuiMod_Ctrl | ImGuiKey_Equal);
  gui.settle();
  GUI_CHECK(gui.document().theme == ThemeKind::light && gui.document().scale == 1.25f);
  GUI_CHECK(gui.app.theme().px(28) > height * 1.2f);
  gui.press(ImGuiMod_Ctrl | ImGuiKey_Minus);
  gui.settle();
  GUI_CHECK(gui.document().scale == 1.1f);
  for (int i = 0; i < 6 && gui.bench().can_undo(); ++i) gui.press(ImGuiMod_Ctrl | ImGuiKey_Z);
  gui.settle();
  GUI_CHECK(gui.document().theme == ThemeKind::dark && gui.document().scale == 1.0f);
  for (int i = 0; i < 6 && gui.bench().can_redo(); ++i) gui.press(ImGuiMod_Ctrl | ImGuiMod_Shift | ImGuiKey_Z);
  gui.settle();
  GUI_CHECK(gui.document().theme == ThemeKind::light && gui.document().scale == 1.1f);
}

GUI_TEST("window", "the scale goes from 80 to 250 % and no farther") {
  for (int i = 0; i < 12; ++i) gui.press(ImGuiMod_Ctrl | ImGuiKey_Equal);
  gui.settle();
  GUI_CHECK(gui.document().scale == 2.5f);
  for (int i = 0; i < 14; ++i) gui.press(ImGuiMod_Ctrl | ImGuiKey_Minus);
  gui.settle();
  GUI_CHECK(gui.document().scale == 0.8f);
}

GUI_TEST("window", "stages that are not built say so, and show no panel") {
  for (const int stage : {4, 5, 7, 8}) {
    gui.press(ImGuiMod_Ctrl | static_cast<ImGuiKey>(ImGuiKey_0 + stage));
    gui.settle();
    GUI_CHECK(gui.shown_text("centre").find("This stage is not built yet") != std::string::npos);
    for (const Panel& panel : all_panels()) {
      const ImGuiWindow* window = gui.panel_window(std::string(panel.id));
      GUI_CHECK(!window || !window->WasActive);
    }
  }
  const std::string rail = gui.shown_text("rail");
  size_t said = 0;
  for (size_t at = 0; (at = rail.find("not built", at)) != std::string::npos; ++at) ++said;
  GUI_CHECK(said == 4);
}

GUI_TEST("window", "the status bar tells of the model what the command line tells") {
  const nlohmann::json fresh = fresh_json({"info"});
  GUI_CHECK(fresh.is_object());
  gui.settle();
  const std::string bar = gui.shown_text("status");
  GUI_CHECK(bar.find(fresh["name"].get<std::string>() + " " + fresh["format"].get<std::string>()) != std::string::npos);
  GUI_CHECK(bar.find(format_bytes(fresh["weight_bytes"].get<size_t>())) != std::string::npos);
  GUI_CHECK(bar.find("tok/s") != std::string::npos);
  gui.click("//status/model");
  gui.frames(3);
  std::string details = gui.shown_text("status details");
  GUI_CHECK(details.find("30 \xC3\x97 9") != std::string::npos);
  GUI_CHECK(details.find(format_count(fresh["parameters"].get<int64_t>())) != std::string::npos);
  gui.press(ImGuiKey_Escape);
  gui.frames(3);
  GUI_CHECK(gui.shown_text("status details").empty());
  gui.click("//status/kv");
  gui.frames(3);
  GUI_CHECK(gui.shown_text("status details").find("KV cache") != std::string::npos);
  gui.click("//status/kv");
  gui.frames(3);
  GUI_CHECK(gui.shown_text("status details").empty());
}

GUI_TEST("window", "the status bar says where it is computed and lets one choose") {
  gui.settle();
  const uint64_t hash = gui.view().step->logits_hash;
  gui.click("//status/device");
  gui.frames(3);
  const std::string details = gui.shown_text("status details");
  // Two of a kind are told apart, and memory is told where it is known.
  GUI_CHECK(details.find("cuda:0 \xC2\xB7 NVIDIA H200 \xC2\xB7 139 GiB") != std::string::npos);
  GUI_CHECK(details.find("3 GiB free at the start") != std::string::npos || details.find("3.0 GiB free at the start") != std::string::npos);
  GUI_CHECK(details.find("cuda:1 \xC2\xB7 NVIDIA H200") != std::string::npos);
  GUI_CHECK(!gui.exists("//status details/cuda:2 \xC2\xB7 GeForce GTX 1080 \xC2\xB7 8 GiB"));
  GUI_CHECK(details.find("cuda:2 cannot be used: GeForce GTX 1080 is older") != std::string::npos);
  GUI_CHECK(details.find("quantised dot products") != std::string::npos);  // it is the CPU
  gui.click("//status details/CPU");
  gui.settle();
  GUI_CHECK(gui.app.bench().device() == DeviceChoice{DeviceChoice::Kind::cpu});
  GUI_CHECK(gui.view().step->logits_hash == hash);
  gui.click("//status details/cuda:1 \xC2\xB7 NVIDIA H200 \xC2\xB7 139 GiB");
  gui.settle();
  GUI_CHECK(gui.app.bench().load_error().has_value());
  GUI_CHECK(gui.app.bench().device() == DeviceChoice{DeviceChoice::Kind::cpu});
  GUI_CHECK(gui.view().step->logits_hash == hash);
  gui.click("//status details/auto");
  gui.settle();
  GUI_CHECK(!gui.app.bench().load_error().has_value());
  gui.press(ImGuiKey_Escape);
}

GUI_TEST("window", "a device that nobody asked for is told in a notice") {
  gui.settle();
  GUI_CHECK(gui.shown_text("notice 0").empty());
  gui.click("//status/device");
  gui.frames(3);
  machine().note = "On the CPU, because the NVIDIA driver is for CUDA 12.4, this program needs 13.0.";
  gui.click("//status details/auto");
  gui.settle();
  machine().note.clear();
  gui.frames(3);
  GUI_CHECK(gui.shown_text("status details").find("CUDA 12.4") != std::string::npos);
  const ImGuiWindow* const details = ImGui::FindWindowByName("status details");
  const ImGuiWindow* const beside = ImGui::FindWindowByName("notice 0");
  GUI_CHECK(details && beside && beside->Pos.x >= details->Pos.x + details->Size.x);  // neither covers the other
  gui.press(ImGuiKey_Escape);
  gui.frames(3);
  const std::string notice = gui.shown_text("notice 0");
  GUI_CHECK(notice.find("CUDA 12.4") != std::string::npos);
  GUI_CHECK(notice.find("chosen in the status bar") != std::string::npos);
  gui.click("//notice 0/**/Dismiss");
  gui.frames(3);
  GUI_CHECK(gui.shown_text("notice 0").empty());
  gui.click("//status/device");
  gui.frames(3);
  gui.click("//status details/auto");
  gui.settle();
  GUI_CHECK(gui.app.bench().device_note().empty());
  gui.press(ImGuiKey_Escape);
}

GUI_TEST("window", "About names the parts and their licences") {
  gui.palette("About Glassbox");
  gui.frames(3);
  const std::string about = gui.shown_text("##Popup");
  GUI_CHECK(about.find("Apache-2.0") != std::string::npos && about.find("Dear ImGui") != std::string::npos);
  gui.press(ImGuiKey_Escape);
  gui.frames(3);
  GUI_CHECK(gui.shown_text("##Popup").empty());
}

GUI_TEST("window", "every figure is copied as JSON and as CSV") {
  size_t panels = 0;
  for (const int stage : {1, 2, 3, 6}) {
    gui.press(ImGuiMod_Ctrl | static_cast<ImGuiKey>(ImGuiKey_0 + stage));
    gui.settle();
    for (const Panel& panel : all_panels()) {
      if (panel.stage != stage) continue;
      const std::string id(panel.id);
      const nlohmann::json figure = gui.copied_figure(id);
      GUI_CHECK((figure.is_object() || figure.is_array()) && !figure.empty());
      ImGui::SetClipboardText("");
      gui.click(gui.panel(id, "copy/copy"));
      gui.frames(2);
      gui.click("//$FOCUSED/Copy as CSV");
      gui.frames(2);
      const std::string csv = gui.clipboard();
      if (csv.find(',') == std::string::npos || !csv.ends_with('\n')) gui.engine.LogError("the CSV of %s: %s", id.c_str(), csv.substr(0, 200).c_str());
      GUI_CHECK(csv.find(',') != std::string::npos && csv.ends_with('\n'));
      ++panels;
    }
  }
  GUI_CHECK(panels == all_panels().size());
}

GUI_TEST("window", "another model is opened; without a template the chat toggle is off and says why") {
  const std::string tiny = std::string(GLASSBOX_SOURCE_DIR) + "/tests/golden/tiny_llama/f32.gguf";
  const std::shared_ptr<const Model> before = gui.bench().model();
  gui.press(ImGuiMod_Ctrl | ImGuiKey_O);
  gui.frames(3);
  gui.press(ImGuiMod_Ctrl | ImGuiKey_A);
  gui.engine.KeyChars(tiny.c_str());
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.bench().model() != before && gui.bench().model()->config().layer_count() == 2);
  gui.type_prompt("the cat");
  gui.press(ImGuiKey_Escape);
  gui.settle();
  GUI_CHECK(gui.view().tokens == gui.encode("the cat"));
  for (const int stage : {1, 2, 3, 6}) {
    gui.press(ImGuiMod_Ctrl | static_cast<ImGuiKey>(ImGuiKey_0 + stage));
    gui.settle();
    GUI_CHECK(gui.app.notices().error_count() == 0);
  }
  gui.engine.MouseMove("//prompt/Chat", ImGuiTestOpFlags_NoError | ImGuiTestOpFlags_NoCheckHoveredId);
  gui.frames(60);
  GUI_CHECK(gui.hover_card().find("has no chat template") != std::string::npos);
  gui.engine.MouseClick();
  gui.frames(3);
  GUI_CHECK(!gui.document().chat);
  // The way back, as a drop on the window does it.
  gui.app.open_path(before->path());
  gui.settle();
  GUI_CHECK(gui.bench().model()->config().layer_count() == 30);
}

GUI_TEST("window", "text and chips point at each other") {
  gui.type_prompt("The capital of France is");
  gui.press(ImGuiKey_Escape);
  gui.settle();
  const ImRect field = gui.engine.WindowInfo("//prompt/##text").Window->Rect();
  const float y = field.Min.y + gui.app.theme().px(8) + 8;
  gui.engine.MouseMoveToPos({field.Min.x + gui.app.theme().px(10) + 6, y});
  gui.frames(3);
  GUI_CHECK(gui.app.hovered().position == 0);
  const ImVec2 letters = gui.app.theme().body.font->CalcTextSizeA(gui.app.theme().px(16 * Theme::kLine), FLT_MAX, 0, "The cap");
  gui.engine.MouseMoveToPos({field.Min.x + gui.app.theme().px(10) + letters.x, y});
  gui.frames(3);
  GUI_CHECK(gui.app.hovered().position == 1);
  // And the chip says what the token is.
  gui.hover("//prompt/chip1");
  gui.frames(3);
  const std::string card = gui.hover_card();
  GUI_CHECK(card.find(std::to_string(gui.tokens()[1])) != std::string::npos);
  GUI_CHECK(card.find("20 63 61 70 69 74 61 6c") != std::string::npos);
}

GUI_TEST("window", "a keystroke at the end runs one position, not the whole text") {
  gui.type_prompt("The capital of France is a city that");
  gui.settle();
  const auto before = gui.view().step;
  gui.type(" I");
  gui.settle();
  GUI_CHECK(gui.view().step->length() == before->length() + 1);
  GUI_CHECK(gui.view().step->timing.rows <= 2);
}

}  // namespace
}  // namespace glassbox::test
