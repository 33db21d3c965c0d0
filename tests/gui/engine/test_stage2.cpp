// Stage 2: the embedding row, the neighbours and the cosines, by mouse and keyboard, against the command line.
#include <algorithm>
#include <cmath>

#include "app/widgets/numbers.h"
#include "core/model/model.h"
#include "imgui_internal.h"
#include "tests/gui/engine/fresh_program.h"
#include "tests/gui/engine/gui_testing.h"

namespace glassbox::test {
namespace {

constexpr const char* kPrompt = "We flew from Paris to Berlin on Tuesday with bananas";
constexpr int kParis = 3;

void open_stage(Gui& gui) {
  gui.click("//rail/Embed");
  gui.type_prompt(kPrompt);
  gui.press(ImGuiKey_Escape);
  gui.click("//prompt/chip3");
  gui.settle();
}

// The middle of a cell of a heatmap.
ImVec2 cell_place(Gui& gui, const std::string& item, int row, int column, int rows, int columns) {
  const ImRect rect = gui.engine.ItemInfo(item.c_str()).RectFull;
  return {rect.Min.x + rect.GetWidth() * (static_cast<float>(column) + 0.5f) / static_cast<float>(columns),
          rect.Min.y + rect.GetHeight() * (static_cast<float>(row) + 0.5f) / static_cast<float>(rows)};
}

GUI_TEST("stage 2", "the row of the selected token is what inspect prints") {
  open_stage(gui);
  const nlohmann::json fresh = fresh_json({"inspect", "-p", kPrompt, "--tap", "embed", "--pos", "3"});
  GUI_CHECK(fresh.is_object());
  const nlohmann::json figure = gui.copied_figure("embedding_row");
  GUI_CHECK(figure.is_object());
  for (const char* field : {"tap", "layer", "position", "axes", "shape", "data"}) GUI_CHECK(figure[field] == fresh[field]);
  GUI_CHECK(std::abs(figure["data"][322].get<double>() + 0.4922) < 1e-4);
  // The table itself has the same numbers.
  std::vector<float> row(576);
  gui.bench().model()->embedding_row(gui.tokens()[kParis], row.data());
  for (size_t i = 0; i < row.size(); ++i) GUI_CHECK(figure["data"][i].get<float>() == row[i]);
}

GUI_TEST("stage 2", "an element is hovered and copied") {
  open_stage(gui);
  std::vector<float> row(576);
  gui.bench().model()->embedding_row(gui.tokens()[kParis], row.data());
  // 576 values in full rows: the same element lies in the same place whatever the number of rows, seen as a fraction.
  const std::string strip = gui.panel("embedding_row", "embedding strip");
  gui.engine.MouseMoveToPos(cell_place(gui, strip, 0, 0, 12, 192));
  gui.frames(2);
  const nlohmann::json fresh = fresh_json({"inspect", "-p", kPrompt, "--tap", "embed", "--pos", "3"});
  GUI_CHECK(fresh.is_object());
  GUI_CHECK(gui.hover_card().find(format_exact(row[0])) != std::string::npos);
  GUI_CHECK(number(gui.copied_here()) == fresh["data"][0].get<float>());
}

GUI_TEST("stage 2", "the layer drop-down goes to the residual stream, as inspect has it") {
  open_stage(gui);
  gui.click(gui.panel("embedding_row", "layer/##button"));
  gui.frames(2);
  gui.click("//$FOCUSED/$$13/layer 12");
  gui.settle();
  GUI_CHECK(gui.document().selection.vector_layer == 12);
  const nlohmann::json fresh = fresh_json({"inspect", "-p", kPrompt, "--tap", "resid_post", "--layer", "12", "--pos", "3"});
  GUI_CHECK(fresh.is_object());
  const nlohmann::json figure = gui.copied_figure("embedding_row");
  GUI_CHECK(figure.is_object());
  for (const char* field : {"tap", "layer", "position", "axes", "shape", "data"}) GUI_CHECK(figure[field] == fresh[field]);
}

GUI_TEST("stage 2", "the neighbours are those of the command line, by all three measures") {
  open_stage(gui);
  const nlohmann::json figure = gui.copied_figure("neighbours");
  GUI_CHECK(figure.is_object());
  const nlohmann::json fresh = fresh_json({"neighbors", "--token", " Paris", "-k", std::to_string(figure["cosine"].size())});
  GUI_CHECK(fresh.is_object());
  for (const char* field : {"token", "norm", "cosine", "dot", "euclid"}) GUI_CHECK(figure[field] == fresh[field]);
  GUI_CHECK(figure["dot"][0]["text"] == "<filename>");

  gui.hover(gui.panel("neighbours", "cosine 1"));
  gui.frames(3);
  GUI_CHECK(gui.app.hovered().token == fresh["cosine"][1]["id"].get<int>());
  GUI_CHECK(number(gui.copied_here()) == fresh["cosine"][1]["cosine"].get<float>());
  gui.hover(gui.panel("neighbours", "Euclid 2"));
  gui.frames(2);
  GUI_CHECK(number(gui.copied_here()) == fresh["euclid"][2]["distance"].get<float>());
}

GUI_TEST("stage 2", "a neighbour that stands in the prompt is gone to by a click; another is written at its end") {
  open_stage(gui);
  const std::vector<Neighbour>& list = gui.view().neighbours->best[0];
  const int32_t berlin = gui.tokens()[5];
  const auto at = std::find_if(list.begin(), list.end(), [&](const Neighbour& near) { return near.id == berlin; });
  GUI_CHECK(at != list.end());
  gui.click(gui.panel("neighbours", "cosine " + std::to_string(at - list.begin())));
  gui.settle();
  GUI_CHECK(gui.document().selection.position == 5);
  gui.click("//prompt/chip3");
  gui.settle();
  gui.engine.ItemClick(gui.panel("neighbours", "cosine 1").c_str(), ImGuiMouseButton_Right);
  gui.frames(2);
  gui.click("//$FOCUSED/Write it at the end of the prompt");
  gui.settle();
  GUI_CHECK(gui.document().text == std::string(kPrompt) + " London");
  GUI_CHECK(gui.text_of(gui.tokens().back()) == " London");
  GUI_CHECK(gui.view().neighbours->id == gui.tokens().back());
}

GUI_TEST("stage 2", "the cosines are those of the command line, at the embedding and at any layer") {
  open_stage(gui);
  const nlohmann::json figure = gui.copied_figure("cosines");
  GUI_CHECK(figure.is_object());
  const nlohmann::json fresh = fresh_json({"neighbors", "-p", kPrompt});
  GUI_CHECK(fresh.is_object());
  for (const char* field : {"layer", "axes", "shape", "cosine", "dot", "norms"}) GUI_CHECK(figure[field] == fresh[field]);
  GUI_CHECK(std::abs(figure["cosine"][5][3].get<double>() - 0.5945) < 1e-4);
  // A cell is hovered, copied and clicked.
  const std::string map = gui.panel("cosines", "cosines");
  gui.engine.MouseMoveToPos(cell_place(gui, map, 5, 3, 10, 10));
  gui.frames(3);
  GUI_CHECK(gui.app.hovered().position == 5);
  GUI_CHECK(number(gui.copied_here()) == fresh["cosine"][5][3].get<float>());
  gui.engine.MouseMoveToPos(cell_place(gui, map, 7, 2, 10, 10));
  gui.engine.MouseClick();
  gui.settle();
  GUI_CHECK(gui.document().selection.position == 7);
  // Another layer.
  gui.click(gui.panel("cosines", "layer/##button"));
  gui.frames(2);
  gui.engine.ItemClick("//$FOCUSED/$$21/layer 20");
  gui.settle();
  GUI_CHECK(gui.view().cosines->layer == 20);
  const nlohmann::json later = fresh_json({"neighbors", "-p", kPrompt, "--layer", "20"});
  GUI_CHECK(later.is_object());
  GUI_CHECK(gui.copied_figure("cosines")["cosine"] == later["cosine"]);
}

GUI_TEST("stage 2", "the slider runs through the layers by mouse and by key") {
  open_stage(gui);
  const std::string track = gui.panel("cosines", "layer/##track");
  const ImRect rect = gui.engine.ItemInfo(track.c_str()).RectFull;
  const float y = rect.GetCenter().y;
  gui.drag({rect.Min.x + 8, y}, {rect.Max.x - 4, y});
  gui.settle();
  GUI_CHECK(gui.document().selection.vector_layer == 29);
  gui.press(ImGuiKey_LeftArrow);
  gui.settle();
  GUI_CHECK(gui.document().selection.vector_layer == 28);
  GUI_CHECK(gui.view().cosines->layer == 28);
  gui.press(ImGuiMod_Ctrl | ImGuiKey_Z);
  gui.settle();
  GUI_CHECK(gui.document().selection.vector_layer != 28);
}

GUI_TEST("stage 2", "the scale stays until it is fitted") {
  open_stage(gui);
  GUI_CHECK(!gui.exists(gui.panel("embedding_row", "\xC2\xB1 0.5##scale")));
  gui.click(gui.panel("embedding_row", "fit"));
  gui.frames(2);
  GUI_CHECK(gui.exists(gui.panel("embedding_row", "\xC2\xB1 0.5##scale")));
  gui.click("//prompt/chip5");
  gui.settle();
  GUI_CHECK(gui.exists(gui.panel("embedding_row", "\xC2\xB1 0.5##scale")));  // not fitted again by itself
  gui.click(gui.panel("embedding_row", "\xC2\xB1 0.5##scale"));
  gui.frames(2);
  GUI_CHECK(!gui.exists(gui.panel("embedding_row", "\xC2\xB1 0.5##scale")));
}

}  // namespace
}  // namespace glassbox::test
