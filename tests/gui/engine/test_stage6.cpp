// Stage 6: the chain, its settings and the plot by rank, by mouse and keyboard, against the engine and the command line.
#include <algorithm>
#include <cmath>

#include "core/model/model.h"
#include "imgui_internal.h"
#include "tests/gui/engine/fresh_program.h"
#include "tests/gui/engine/gui_testing.h"

namespace glassbox::test {
namespace {

constexpr const char* kPrompt = "The capital of France is";

void open_stage(Gui& gui) { gui.open_stage("Inference", kPrompt); }

const ChainStage& stage_of(Gui& gui, std::string_view kind) {
  const auto& stages = gui.view().chain->stages;
  return *std::find_if(stages.begin(), stages.end(), [&](const ChainStage& stage) { return stage.kind == kind; });
}

// Types a value into the box right of a slider.
void type_setting(Gui& gui, const std::string& label, const std::string& value) {
  gui.click(gui.panel("sampler_settings", label + "/##box"));
  gui.frames(2);
  gui.engine.KeyCharsReplaceEnter(value.c_str());
  gui.settle();
}

// The usual settings of these tests: everything on.
void set_all(Gui& gui) {
  type_setting(gui, "Temperature", "1.5");
  type_setting(gui, "Top-k", "16");
  type_setting(gui, "Top-p", "0.9");
  type_setting(gui, "Min-p", "0.05");
}

ImVec2 middle(Gui& gui, const std::string& path) { return gui.engine.ItemInfo(path.c_str()).RectFull.GetCenter(); }

GUI_TEST("stage 6", "typed settings give what the command line gives, and do not re-run the model") {
  open_stage(gui);
  const auto step = gui.view().step;
  set_all(gui);
  GUI_CHECK(gui.document().sampler.temperature == 1.5f && gui.document().sampler.top_k == 16);
  GUI_CHECK(gui.document().sampler.top_p == 0.9f && gui.document().sampler.min_p == 0.05f);
  GUI_CHECK(gui.view().step == step);
  const nlohmann::json figure = gui.copied_figure("chain");
  GUI_CHECK(figure.is_object());
  const nlohmann::json fresh = fresh_json({"next", "-p", kPrompt, "--temp", "1.5", "--top-k", "16", "--top-p", "0.9", "--min-p", "0.05"});
  GUI_CHECK(fresh.is_object());
  GUI_CHECK(figure["candidates"].size() == 49152);
  for (const char* field : {"stages", "candidates", "entropy_bits", "vocab", "drawn"}) GUI_CHECK(figure[field] == fresh[field]);
}

GUI_TEST("stage 6", "a setting out of range is refused with a reason") {
  open_stage(gui);
  const SamplerSettings before = gui.document().sampler;
  const size_t notices = gui.app.notices().error_count();
  type_setting(gui, "Temperature", "-1");
  GUI_CHECK(gui.document().sampler == before);
  GUI_CHECK(gui.app.notices().error_count() == notices + 1);
  type_setting(gui, "Top-p", "1.5");
  GUI_CHECK(gui.document().sampler == before);
}

GUI_TEST("stage 6", "sliders answer to drags and to arrow keys, and undo brings the value back") {
  open_stage(gui);
  type_setting(gui, "Temperature", "1");
  gui.pause();
  const ImRect track = gui.engine.ItemInfo(gui.panel("sampler_settings", "Temperature/##track").c_str()).RectFull;
  gui.drag(track.GetCenter(), {track.Max.x - 2, track.GetCenter().y});
  gui.settle();
  GUI_CHECK(gui.document().sampler.temperature == 2.0f);
  GUI_CHECK(stage_of(gui, "temperature").active);
  gui.press(ImGuiMod_Ctrl | ImGuiKey_Z);
  gui.settle();
  GUI_CHECK(gui.document().sampler.temperature == 1.0f);
  // By the keyboard alone: Tab leads to the track, the arrows move it by its step, Shift and an arrow by ten.
  GUI_CHECK(gui.walk_to(gui.panel("sampler_settings", "Top-p/##track")));
  const float top_p = gui.document().sampler.top_p;
  gui.press(ImGuiKey_LeftArrow);
  gui.settle();
  GUI_CHECK(std::abs(gui.document().sampler.top_p - (top_p - 0.01f)) < 1e-5f);
  gui.press(ImGuiMod_Shift | ImGuiKey_LeftArrow);
  gui.settle();
  GUI_CHECK(std::abs(gui.document().sampler.top_p - (top_p - 0.11f)) < 1e-5f);
  GUI_CHECK(gui.document().run().nodes.size() == 1);  // the transport had none of these keys
}

GUI_TEST("stage 6", "greedy keeps one token, reset brings the usual settings back") {
  open_stage(gui);
  gui.click(gui.panel("sampler_settings", "greedy"));
  gui.settle();
  GUI_CHECK(gui.document().sampler.temperature == 0);
  GUI_CHECK(stage_of(gui, "temperature").kept == 1);
  GUI_CHECK(gui.view().chain->drawn == gui.view().chain->candidates[0].id);
  gui.click(gui.panel("sampler_settings", "reset"));
  gui.settle();
  GUI_CHECK(gui.document().sampler == make_document().sampler);
}

GUI_TEST("stage 6", "a cut is dragged to a row") {
  open_stage(gui);
  set_all(gui);
  // Columns: token, logit, penalty, temperature, top-k, top-p, min-p; the handle of top-p is number 5.
  const std::string handle = gui.panel("chain", "$$5/cut");
  const int before = stage_of(gui, "top_p").kept;
  const ImVec2 from = middle(gui, handle);
  const float row = ImFloor(22.5f);
  gui.drag(from, {from.x, from.y - 3 * row});
  gui.settle();
  GUI_CHECK(stage_of(gui, "top_p").kept == before - 3);
  GUI_CHECK(gui.document().sampler.top_k == 16 && gui.document().sampler.min_p == 0.05f);
  GUI_CHECK(gui.document().sampler.top_p < 0.9f);
}

GUI_TEST("stage 6", "the line of the plot sets top-p") {
  open_stage(gui);
  set_all(gui);
  const std::string line = gui.panel("rank_plot", "cut");
  const ImVec2 from = middle(gui, line);
  gui.drag(from, {from.x - 40, from.y});
  gui.settle();
  const float top_p = gui.document().sampler.top_p;
  GUI_CHECK(top_p < 0.9f);
  const int kept = stage_of(gui, "top_p").kept;
  GUI_CHECK(kept >= 1 && kept < 7);
  // It stands where it was dropped, to within a token.
  GUI_CHECK(std::abs(middle(gui, line).x - (from.x - 40)) < 25);
}

GUI_TEST("stage 6", "a column's title is dragged to another place of the chain") {
  open_stage(gui);
  set_all(gui);
  using enum SamplerStage;
  const std::string min_p_title = gui.panel("chain", "$$6/title"), top_k_title = gui.panel("chain", "$$4/title");
  gui.drag(middle(gui, min_p_title), middle(gui, top_k_title));
  gui.settle();
  GUI_CHECK(gui.document().sampler.order == std::vector<SamplerStage>{temperature, min_p, top_k, top_p});
  GUI_CHECK(gui.view().chain->stages[2].kind == "min_p");
  // And by the menu.
  gui.click(gui.panel("chain", "order of the chain/order of the chain"));
  gui.frames(2);
  gui.click("//$FOCUSED/usual order");
  gui.settle();
  GUI_CHECK(gui.document().sampler.order == SamplerSettings{}.order);
}

GUI_TEST("stage 6", "a click marks a token, and a double click branches with it") {
  open_stage(gui);
  const size_t length = gui.tokens().size();
  const int32_t third = gui.view().chain->candidates[2].id;
  const std::string row = gui.panel("chain", "$$" + std::to_string(third) + "/row");
  gui.click(row);
  gui.frames(3);
  GUI_CHECK(gui.tokens().size() == length);  // a click selects, and selects only
  GUI_CHECK(gui.app.hovered().token == third);
  gui.engine.ItemDoubleClick(row.c_str());
  gui.settle();
  GUI_CHECK(gui.tokens().size() == length + 1);
  GUI_CHECK(gui.tokens().back() == third);
  const Run& run = gui.document().run();
  GUI_CHECK(run.nodes[static_cast<size_t>(run.cursor)].by_hand);
}

GUI_TEST("stage 6", "a candidate's logit is copied") {
  open_stage(gui);
  const Candidate first = gui.view().chain->candidates[0];
  const ImRect rect = gui.engine.ItemInfo(gui.panel("chain", "$$" + std::to_string(first.id) + "/row").c_str()).RectFull;
  gui.engine.MouseMoveToPos({rect.Min.x + 150, rect.GetCenter().y});
  gui.frames(2);
  const nlohmann::json fresh = fresh_json({"next", "-p", kPrompt});
  GUI_CHECK(fresh.is_object());
  GUI_CHECK(gui.hover_card().find("logit z") != std::string::npos);
  GUI_CHECK(number(gui.copied_here()) == fresh["candidates"][0]["logit"].get<float>());
  GUI_CHECK(first.id == fresh["candidates"][0]["id"].get<int32_t>());
}

}  // namespace
}  // namespace glassbox::test
