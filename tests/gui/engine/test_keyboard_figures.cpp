// The keyboard in figures: one item each, in which the arrows move a cursor; its card shows, Ctrl+C takes the value, and
// the menu key opens the menu.
#include <cmath>

#include "app/widgets/numbers.h"
#include "core/model/model.h"
#include "imgui_internal.h"
#include "tests/gui/engine/gui_testing.h"

namespace glassbox::test {
namespace {

constexpr const char* kFlight = "We flew from Paris to Berlin on Tuesday with bananas";

void open_embeddings(Gui& gui) {
  gui.press(ImGuiMod_Ctrl | ImGuiKey_2);
  gui.type_prompt(kFlight);
  gui.press(ImGuiKey_Escape);
  gui.click("//prompt/chip3");
  gui.settle();
}

std::string copied_by_key(Gui& gui) {
  ImGui::SetClipboardText("");
  gui.press(ImGuiMod_Ctrl | ImGuiKey_C);
  gui.frames(2);
  return gui.clipboard();
}

// "Copy value" of the menu that the menu key opens, by the keyboard alone.
std::string copied_by_menu_key(Gui& gui) {
  ImGui::SetClipboardText("");
  gui.press(ImGuiKey_Menu);
  gui.frames(3);
  const bool open = ImGui::IsPopupOpen("", ImGuiPopupFlags_AnyPopupId | ImGuiPopupFlags_AnyPopupLevel);
  if (open && !gui.walk_to("//$FOCUSED/Copy value", ImGuiKey_DownArrow, 4)) return "no way to it";
  gui.press(ImGuiKey_Enter);
  gui.frames(2);
  return gui.clipboard();
}

bool card_says(Gui& gui, const std::string& value) { return gui.hover_card().find(value) != std::string::npos; }

GUI_TEST("keyboard", "elements of the embedding row are walked through and copied") {
  open_embeddings(gui);
  std::vector<float> row(576);
  gui.bench().model()->embedding_row(gui.tokens()[3], row.data());
  gui.enter("embedding_row");
  GUI_CHECK(gui.walk_to(gui.panel("embedding_row", "embedding strip")));
  GUI_CHECK(number(copied_by_key(gui)) == row[0]);
  gui.press(ImGuiKey_RightArrow);
  gui.press(ImGuiKey_RightArrow);
  GUI_CHECK(card_says(gui, "e[2]") && card_says(gui, format_exact(row[2])));
  GUI_CHECK(number(copied_by_key(gui)) == row[2]);
  gui.press(ImGuiMod_Shift | ImGuiKey_RightArrow);
  GUI_CHECK(number(copied_by_menu_key(gui)) == row[12]);
  // The rows are a folded list: before the first of the second stands the last of the first.
  gui.press(ImGuiKey_End);
  const float last = number(copied_by_key(gui));
  gui.press(ImGuiKey_Home);
  gui.press(ImGuiKey_DownArrow);
  gui.press(ImGuiKey_LeftArrow);
  GUI_CHECK(number(copied_by_key(gui)) == last);
  gui.press(ImGuiKey_PageDown);
  gui.press(ImGuiKey_End);
  gui.press(ImGuiKey_RightArrow);
  GUI_CHECK(number(copied_by_key(gui)) == row[575]);
  // Tab leads on to the controls under it.
  GUI_CHECK(gui.walk_to(gui.panel("embedding_row", "fit"), ImGuiKey_Tab, 3));
}

GUI_TEST("keyboard", "cells of the cosine matrix are walked through, copied and chosen") {
  open_embeddings(gui);
  const CosineMatrix& matrix = *gui.view().cosines;
  const auto at = [&](int row, int column) { return matrix.cosine[static_cast<size_t>(row * matrix.length + column)]; };
  gui.enter("cosines");
  GUI_CHECK(gui.walk_to(gui.panel("cosines", "cosines")));
  gui.press(ImGuiKey_PageUp);
  gui.press(ImGuiKey_Home);
  for (int i = 0; i < 5; ++i) gui.press(ImGuiKey_DownArrow);
  for (int i = 0; i < 3; ++i) gui.press(ImGuiKey_RightArrow);
  gui.frames(2);
  GUI_CHECK(gui.app.hovered().position == 5);  // lit in every panel
  GUI_CHECK(card_says(gui, format_exact(at(5, 3))) && card_says(gui, "5, 3"));
  GUI_CHECK(number(copied_by_key(gui)) == at(5, 3));
  GUI_CHECK(number(copied_by_menu_key(gui)) == at(5, 3));
  gui.press(ImGuiKey_UpArrow);
  gui.press(ImGuiKey_Enter);
  gui.settle();
  GUI_CHECK(gui.document().selection.position == 4);
  // The pointer takes over where it moves, and the keyboard where a key is pressed.
  const ImRect rect = gui.engine.ItemInfo(gui.panel("cosines", "cosines").c_str()).RectFull;
  const float cell = rect.GetWidth() / static_cast<float>(matrix.length);
  gui.engine.MouseMoveToPos({rect.Min.x + 7.5f * cell, rect.Min.y + 9.5f * cell});
  gui.frames(2);
  GUI_CHECK(gui.app.hovered().position == 9);
  gui.press(ImGuiKey_DownArrow);
  gui.frames(2);
  GUI_CHECK(gui.app.hovered().position == 5);
}

GUI_TEST("keyboard", "the pattern's value is copied, and its card stands at the cell") {
  gui.settle();
  gui.enter("pattern");
  GUI_CHECK(gui.walk_to(gui.panel("pattern", "attention pattern")));
  gui.press(ImGuiKey_UpArrow);
  gui.settle();
  const Cell cell = *gui.document().selection.cell;
  const float weight = gui.view().step->page(Tap::attn_pattern, gui.document().selection.layer, cell.query)
                           ->head(cell.query, gui.document().selection.head)[static_cast<size_t>(cell.key)];
  GUI_CHECK(number(copied_by_key(gui)) == weight);
  GUI_CHECK(card_says(gui, format_exact(weight)));
  const ImRect rect = gui.engine.ItemInfo(gui.panel("pattern", "attention pattern").c_str()).RectFull;
  const float side = rect.GetWidth() / static_cast<float>(gui.tokens().size());
  const ImGuiWindow* card = nullptr;
  for (const ImGuiWindow* window : ImGui::GetCurrentContext()->Windows)
    if (window->WasActive && std::string(window->Name).find("##Tooltip") != std::string::npos) card = window;
  GUI_CHECK(card != nullptr);
  const ImVec2 corner(rect.Min.x + side * static_cast<float>(cell.key), rect.Min.y + side * static_cast<float>(cell.query + 1));
  GUI_CHECK(std::abs(card->Pos.x - corner.x) < 4 * side && std::abs(card->Pos.y - corner.y) < card->Size.y + 2 * side);
  // The mask is no way on.
  gui.press(ImGuiKey_End);
  gui.settle();
  GUI_CHECK(*gui.document().selection.cell == (Cell{cell.query, cell.query}));
}

GUI_TEST("keyboard", "dimensions and row of the opened cell are walked through") {
  gui.settle();
  const nlohmann::json figure = gui.copied_figure("cell");
  GUI_CHECK(figure.is_object());
  gui.enter("cell");
  GUI_CHECK(gui.walk_to(gui.panel("cell", "dimensions")));
  gui.press(ImGuiKey_RightArrow);
  GUI_CHECK(card_says(gui, "dimension 1"));
  GUI_CHECK(number(copied_by_key(gui)) == figure["qk"][1].get<float>());
  GUI_CHECK(gui.walk_to(gui.panel("cell", "row")));
  gui.press(ImGuiKey_Home);
  gui.settle();
  GUI_CHECK(*gui.document().selection.cell == (Cell{13, 0}));
  GUI_CHECK(number(copied_by_key(gui)) == figure["attn_pattern"]["data"][0].get<float>());
}

GUI_TEST("keyboard", "columns of the chain and ranks of the plot are walked through") {
  gui.press(ImGuiMod_Ctrl | ImGuiKey_6);
  gui.settle();
  const std::vector<Candidate>& list = gui.view().chain->candidates;
  const auto row = [&](size_t i) { return gui.panel("chain", "$$" + std::to_string(list[i].id) + "/row"); };
  gui.enter("chain");
  GUI_CHECK(gui.walk_to(row(0)));
  GUI_CHECK(copied_by_key(gui) == std::to_string(list[0].id));
  gui.press(ImGuiKey_RightArrow);
  GUI_CHECK(number(copied_by_key(gui)) == list[0].logit);
  GUI_CHECK(gui.walk_to(row(2), ImGuiKey_DownArrow, 2));
  GUI_CHECK(number(copied_by_key(gui)) == list[2].logit);  // the column is kept
  gui.press(ImGuiKey_End);
  GUI_CHECK(number(copied_by_key(gui)) == list[2].prob);
  GUI_CHECK(card_says(gui, "drawn when u in") || card_says(gui, "Cut by"));
  GUI_CHECK(gui.walk_to(gui.panel("chain", "$$0/title"), ImGuiMod_Shift | ImGuiKey_Tab));
  GUI_CHECK(gui.walk_to(gui.panel("chain", "$$4/title"), ImGuiKey_RightArrow, 6));
  GUI_CHECK(card_says(gui, "mass kept"));
  gui.enter("rank_plot");
  GUI_CHECK(gui.walk_to(gui.panel("rank_plot", "plot")));
  gui.press(ImGuiKey_Home);
  gui.press(ImGuiKey_RightArrow);
  GUI_CHECK(number(copied_by_key(gui)) == list[1].prob_heated);
  GUI_CHECK(gui.walk_to(gui.panel("rank_plot", "entropy")));
  GUI_CHECK(card_says(gui, "the model's own"));
}

GUI_TEST("keyboard", "badges and panels explain themselves") {
  gui.settle();
  gui.enter("heads");
  GUI_CHECK(gui.walk_to(gui.panel("heads", "##title"), ImGuiKey_Tab, 320));
  GUI_CHECK(card_says(gui, "Every attention head of the model"));
  GUI_CHECK(gui.walk_to(gui.panel("heads", "$$3/legend"), ImGuiKey_Tab, 320));
  gui.settle();
  gui.frames(30);  // a tooltip takes its time
  GUI_CHECK(card_says(gui, "Suppressor"));
}

}  // namespace
}  // namespace glassbox::test
