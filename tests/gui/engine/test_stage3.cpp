// Stage 3: heads, pattern, cell and next token, by mouse and keyboard, against the engine and the command line.
#include <algorithm>
#include <cmath>

#include "core/model/model.h"
#include "core/run/figures.h"
#include "imgui_internal.h"
#include "tests/gui/engine/fresh_program.h"
#include "tests/gui/engine/gui_testing.h"

namespace glassbox::test {
namespace {

constexpr const char* kPrompt = "When Mary and John went to the shop, John gave the bag to";

void open_stage(Gui& gui) { gui.open_stage("Attention", kPrompt); }

// The middle of a cell of the pattern, on the screen.
ImVec2 cell_place(Gui& gui, int query, int key) {
  const ImGuiTestItemInfo figure = gui.engine.ItemInfo(gui.panel("pattern", "attention pattern").c_str());
  const ImRect rect = figure.RectFull;
  const float cells = static_cast<float>(gui.view().tokens.size());
  return {rect.Min.x + rect.GetWidth() * (static_cast<float>(key) + 0.5f) / cells,
          rect.Min.y + rect.GetHeight() * (static_cast<float>(query) + 0.5f) / cells};
}

std::string head_item(Gui& gui, const std::string& head) { return gui.panel("heads", head + "/head"); }

double prob_of(const nlohmann::json& next, int32_t id, const char* field) {
  for (const nlohmann::json& candidate : next["candidates"])
    if (candidate["id"].get<int32_t>() == id) return candidate[field].get<double>();
  return std::nan("");
}

GUI_TEST("stage 3", "a click on a thumbnail chooses the head") {
  open_stage(gui);
  gui.click(head_item(gui, "L20·H5"));
  gui.settle();
  GUI_CHECK(gui.document().selection.layer == 20);
  GUI_CHECK(gui.document().selection.head == 5);
  gui.hover(head_item(gui, "L23·H1"));
  gui.frames(2);
  GUI_CHECK(gui.app.hovered().layer == 23);
  GUI_CHECK(gui.app.hovered().head == 1);
}

GUI_TEST("stage 3", "in a long text the pattern of a head in another layer is read when it is chosen") {
  open_stage(gui);
  std::string text;
  for (int i = 0; i < 300; ++i) text += i % 3 == 0 ? " and a box" : " the box";
  gui.app.run(cmd::SetText{text});
  gui.settle();
  const int last = gui.view().step->length() - 1;
  GUI_CHECK(last > 600);  // whole patterns of all heads would be too large
  for (const int layer : {20, 3}) {
    GUI_CHECK(gui.view().step->page(Tap::attn_pattern, layer, last) == nullptr);
    gui.click(head_item(gui, "L" + std::to_string(layer) + "·H5"));
    gui.settle();
    GUI_CHECK(gui.document().selection.layer == layer);
    const Page* page = gui.view().step->page(Tap::attn_pattern, layer, last);
    GUI_CHECK(page != nullptr);
    const auto weights = page->head(last, 5);
    GUI_CHECK(*std::max_element(weights.begin(), weights.end()) == gui.view().heads->at(layer, 5).best_weight);
    GUI_CHECK(gui.view().thumbnails->length == last + 1);
  }
}

GUI_TEST("stage 3", "a head is switched off at its corner, and the next token moves as the command line says") {
  open_stage(gui);
  gui.hover(head_item(gui, "L24·H4"));
  gui.frames(2);
  gui.click(gui.panel("heads", "L24·H4/switch"));
  gui.settle();
  GUI_CHECK(gui.document().edits.size() == 1);
  GUI_CHECK(gui.document().edits[0].kind == EditKind::zero && gui.document().edits[0].tap == Tap::attn_z);
  GUI_CHECK(gui.view().change != nullptr && gui.view().baseline != nullptr);
  const int32_t mary = gui.encode(" Mary").front();
  const float before = gui.view().change->before[static_cast<size_t>(mary)];
  const float after = gui.view().change->after[static_cast<size_t>(mary)];
  GUI_CHECK(after > before + 0.03f);

  const nlohmann::json fresh = fresh_json({"next", "-p", kPrompt, "--edit", "zero:attn_z:L24:H4"});
  GUI_CHECK(fresh.is_object());
  const nlohmann::json figure = gui.copied_figure("next_token");
  GUI_CHECK(figure.is_object());
  GUI_CHECK(prob_of(figure, mary, "prob_before") == prob_of(fresh, mary, "prob_before"));
  GUI_CHECK(prob_of(figure, mary, "prob_model") == prob_of(fresh, mary, "prob_model"));
  GUI_CHECK(figure["kl_nats"] == fresh["kl_nats"]);
  GUI_CHECK(std::abs(prob_of(figure, mary, "prob_model") - static_cast<double>(after)) < 1e-6);

  // The chip of the edit takes it back.
  gui.click(gui.panel("next_token", "$$0/edit"));
  gui.settle();
  GUI_CHECK(gui.document().edits.empty());
  GUI_CHECK(gui.view().change == nullptr || gui.view().baseline == nullptr);
}

GUI_TEST("stage 3", "scaling a head by one changes no bit") {
  open_stage(gui);
  const uint64_t plain = gui.view().step->logits_hash;
  gui.engine.ItemClick(head_item(gui, "L24·H4").c_str(), ImGuiMouseButton_Right);
  gui.frames(2);
  gui.engine.MenuClick("//$FOCUSED/Scale its output/× 1 (changes no bit)");
  gui.settle();
  GUI_CHECK(gui.document().edits.size() == 1);
  GUI_CHECK(gui.document().edits[0].kind == EditKind::scale && gui.document().edits[0].factor == 1.0f);
  GUI_CHECK(gui.view().step->logits_hash == plain);
}

GUI_TEST("stage 3", "a cell of the pattern is hovered and opened") {
  open_stage(gui);
  gui.engine.MouseMoveToPos(cell_place(gui, 9, 3));
  gui.frames(3);
  GUI_CHECK(gui.app.hovered().query == 9);
  GUI_CHECK(gui.app.hovered().key == 3);
  gui.engine.MouseClick();
  gui.settle();
  GUI_CHECK(gui.document().selection.cell.has_value());
  GUI_CHECK(*gui.document().selection.cell == Cell{9, 3});
  // A masked cell does not open.
  gui.engine.MouseMoveToPos(cell_place(gui, 3, 9));
  gui.engine.MouseClick();
  gui.frames(3);
  GUI_CHECK(*gui.document().selection.cell == Cell{9, 3});
  // Ctrl and the arrows move it.
  gui.press(ImGuiMod_Ctrl | ImGuiKey_DownArrow);
  gui.press(ImGuiMod_Ctrl | ImGuiKey_LeftArrow);
  gui.frames(2);
  GUI_CHECK(*gui.document().selection.cell == Cell{10, 2});
}

GUI_TEST("stage 3", "the pattern that is copied is what inspect prints") {
  open_stage(gui);
  gui.click(head_item(gui, "L24·H4"));
  gui.settle();
  const nlohmann::json figure = gui.copied_figure("pattern");
  GUI_CHECK(figure.is_object());
  const nlohmann::json fresh = fresh_json({"inspect", "-p", kPrompt, "--tap", "attn_pattern", "--layer", "24", "--head", "4"});
  GUI_CHECK(fresh.is_object());
  for (const char* field : {"tap", "layer", "head", "axes", "shape", "data"}) GUI_CHECK(figure[field] == fresh[field]);
  GUI_CHECK(figure["data"][13][1].get<double>() > 0.7);
}

GUI_TEST("stage 3", "a value is copied from its cell") {
  open_stage(gui);
  gui.click(head_item(gui, "L24·H4"));
  gui.settle();
  gui.engine.MouseMoveToPos(cell_place(gui, 13, 1));
  gui.frames(2);
  const std::string copied = gui.copied_here();
  const Page* page = gui.view().step->page(Tap::attn_pattern, 24, 13);
  GUI_CHECK(page != nullptr);
  GUI_CHECK(number(copied) == page->head(13, 4)[1]);
}

GUI_TEST("stage 3", "an edge is cut before softmax, and its weight goes to the others") {
  open_stage(gui);
  gui.click(head_item(gui, "L24·H4"));
  gui.settle();
  gui.engine.MouseMoveToPos(cell_place(gui, 13, 1));
  gui.frames(2);
  gui.engine.MouseClick(ImGuiMouseButton_Right);
  gui.frames(2);
  gui.click("//$FOCUSED/Cut this edge before softmax (score = -∞)");
  gui.settle();
  GUI_CHECK(gui.document().edits.size() == 1);
  GUI_CHECK(gui.document().edits[0].kind == EditKind::cut_score);
  const auto weights = gui.view().step->page(Tap::attn_pattern, 24, 13)->head(13, 4);
  GUI_CHECK(weights[1] == 0.0f);
  float sum = 0;
  for (const float weight : weights) sum += weight;
  GUI_CHECK(std::abs(sum - 1) < 1e-4f);
  gui.press(ImGuiMod_Ctrl | ImGuiKey_Z);
  gui.settle();
  GUI_CHECK(gui.document().edits.empty());
}

GUI_TEST("stage 3", "the wheel zooms the pattern at the pointer, and Esc shows all again") {
  open_stage(gui);
  gui.engine.MouseMoveToPos(cell_place(gui, 7, 2));
  gui.frames(2);
  gui.engine.MouseWheelY(3);
  gui.frames(3);
  // The same place of the screen is still the same cell.
  GUI_CHECK(gui.app.hovered().query == 7);
  GUI_CHECK(gui.app.hovered().key == 2);
  const ImRect figure = gui.engine.ItemInfo(gui.panel("pattern", "attention pattern").c_str()).RectFull;
  gui.engine.MouseMoveToPos({figure.Max.x - 3, figure.Max.y - 3});
  gui.frames(3);
  GUI_CHECK(gui.app.hovered().query < 13);
  gui.engine.MouseClick();
  gui.press(ImGuiKey_Escape);
  gui.frames(3);
  GUI_CHECK(gui.app.hovered().query == 13);
}

GUI_TEST("stage 3", "the cell's own numbers are those of the command line") {
  open_stage(gui);
  gui.click(head_item(gui, "L24·H4"));
  gui.engine.MouseMoveToPos(cell_place(gui, 13, 1));
  gui.engine.MouseClick();
  gui.settle();
  const nlohmann::json figure = gui.copied_figure("cell");
  GUI_CHECK(figure.is_object() && figure.contains("q_rot"));
  const nlohmann::json q = fresh_json({"inspect", "-p", kPrompt, "--tap", "q_rot", "--layer", "24", "--head", "4", "--pos", "13"});
  const nlohmann::json k = fresh_json({"inspect", "-p", kPrompt, "--tap", "k_rot", "--layer", "24", "--head", "1", "--pos", "1"});
  GUI_CHECK(figure["q_rot"]["data"] == q["data"]);
  GUI_CHECK(figure["k_rot"]["data"] == k["data"]);
  double dot = 0;
  for (size_t d = 0; d < q["data"].size(); ++d) dot += q["data"][d].get<double>() * k["data"][d].get<double>();
  GUI_CHECK(std::abs(dot - figure["dot"].get<double>()) < 1e-3);
  GUI_CHECK(std::abs(dot / 8 - figure["score"].get<double>()) < 1e-3);
}

GUI_TEST("stage 3", "the head of the opened cell is switched off and on by the button") {
  open_stage(gui);
  gui.click(gui.panel("cell", "switch head off###switch"));
  gui.settle();
  GUI_CHECK(gui.document().edits.size() == 1);
  gui.click(gui.panel("cell", "switch head off###switch"));
  gui.settle();
  GUI_CHECK(gui.document().edits.empty());
}

GUI_TEST("stage 3", "a double click on a next token continues the text with it") {
  open_stage(gui);
  const size_t length = gui.tokens().size();
  const int32_t second = gui.view().chain->candidates[1].id;
  gui.engine.ItemDoubleClick(gui.panel("next_token", "$$" + std::to_string(second) + "/row").c_str());
  gui.settle();
  GUI_CHECK(gui.tokens().size() == length + 1);
  GUI_CHECK(gui.tokens().back() == second);
  GUI_CHECK(gui.view().tokens == gui.tokens());
}

}  // namespace
}  // namespace glassbox::test
