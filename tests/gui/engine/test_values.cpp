// A value of each panel, read where a person reads it (the card at the pointer, and "Copy value"), against a fresh run of
// the command line. Those of stage 1 and of some others stand with their panel's tests.
#include <cmath>

#include "app/widgets/numbers.h"
#include "core/model/model.h"
#include "imgui_internal.h"
#include "tests/gui/engine/fresh_program.h"
#include "tests/gui/engine/gui_testing.h"

namespace glassbox::test {
namespace {

constexpr const char* kMary = "When Mary and John went to the shop, John gave the bag to";
constexpr const char* kFrance = "The capital of France is";

bool says(const std::string& card, const std::string& value) { return card.find(value) != std::string::npos; }
// As panels write a number exactly.
std::string exact(const nlohmann::json& value) { return format_exact(value.get<float>()); }

GUI_TEST("values", "heads: the last row's best weight") {
  gui.settle();
  const nlohmann::json fresh = fresh_json({"inspect", "-p", kMary, "--heads"});
  GUI_CHECK(fresh.is_object());
  const nlohmann::json& head = fresh["heads"][24 * 9 + 4];
  GUI_CHECK(head["layer"] == 24 && head["head"] == 4);
  gui.hover(gui.panel("heads", "L24\xC2\xB7H4/head"));
  gui.frames(3);
  const std::string card = gui.hover_card();
  GUI_CHECK(says(card, "L24\xC2\xB7H4"));
  GUI_CHECK(says(card, format_fixed(head["best_weight"].get<double>(), 3)));
  GUI_CHECK(says(card, format_fixed(head["direct_logit"].get<double>(), 2)));
  GUI_CHECK(number(gui.copied_here()) == head["best_weight"].get<float>());
  // A head that looks at one token, be it only the first one, and writes away from it is marked, and says why.
  const nlohmann::json& away = fresh["heads"][24 * 9 + 6];
  GUI_CHECK(away["best_key"] == 0 && away["best_weight"] >= 0.5 && away["direct_logit"] < -0.5 && away["badges"] == "S");
  gui.hover(gui.panel("heads", "L24\xC2\xB7H6/head"));
  gui.frames(3);
  GUI_CHECK(says(gui.hover_card(), "Suppressor"));
}

GUI_TEST("values", "pattern and cell: score, scale, mask and softmax with the real numbers") {
  gui.settle();
  const auto tap = [&](const char* name) { return fresh_json({"inspect", "-p", kMary, "--tap", name, "--layer", "24", "--head", "4", "--pos", "13"}); };
  const nlohmann::json scores = tap("attn_scores"), weights = tap("attn_pattern");
  GUI_CHECK(scores.is_object() && weights.is_object());
  const ImRect figure = gui.engine.ItemInfo(gui.panel("pattern", "attention pattern").c_str()).RectFull;
  const auto place = [&](int query, int key) {
    const float cells = static_cast<float>(gui.view().tokens.size());
    return ImVec2(figure.Min.x + figure.GetWidth() * (static_cast<float>(key) + 0.5f) / cells,
                  figure.Min.y + figure.GetHeight() * (static_cast<float>(query) + 0.5f) / cells);
  };
  gui.engine.MouseMoveToPos(place(13, 1));
  gui.frames(3);
  const std::string card = gui.hover_card();
  GUI_CHECK(says(card, format_value(scores["data"][1].get<double>())));
  GUI_CHECK(says(card, "64"));  // the scale is 1 / √64
  GUI_CHECK(number(gui.copied_here()) == weights["data"][1].get<float>());
  gui.engine.MouseMoveToPos(place(3, 9));
  gui.frames(3);
  GUI_CHECK(says(gui.hover_card(), "mask"));
  // The opened cell's boxes.
  gui.engine.MouseMoveToPos(place(13, 1));
  gui.engine.MouseClick();
  gui.settle();
  GUI_CHECK(number(gui.copied_value(gui.panel("cell", "$$1/box"))) == scores["data"][1].get<float>());
  GUI_CHECK(number(gui.copied_value(gui.panel("cell", "$$2/box"))) == weights["data"][1].get<float>());
  const float dot = number(gui.copied_value(gui.panel("cell", "$$0/box")));
  GUI_CHECK(std::abs(dot / 8 - scores["data"][1].get<float>()) < 1e-3f);
}

GUI_TEST("values", "next token: the probability of a row") {
  gui.settle();
  const nlohmann::json fresh = fresh_json({"next", "-p", kMary});
  GUI_CHECK(fresh.is_object());
  const nlohmann::json& second = fresh["candidates"][1];
  const std::string row = gui.panel("next_token", "$$" + std::to_string(second["id"].get<int>()) + "/row");
  gui.hover(row);
  gui.frames(3);
  GUI_CHECK(says(gui.hover_card(), exact(second["prob_model"])));
  GUI_CHECK(number(gui.copied_here()) == second["prob_model"].get<float>());
  GUI_CHECK(std::abs(number(gui.copied_value(gui.panel("next_token", "entropy"))) - fresh["entropy_bits"].get<float>()) < 1e-5f);
}

GUI_TEST("values", "embedding row and cosines: cards with their formula and numbers") {
  gui.press(ImGuiMod_Ctrl | ImGuiKey_2);
  gui.type_prompt(kFrance);
  gui.press(ImGuiKey_Escape);
  gui.click("//prompt/chip3");
  gui.settle();
  const nlohmann::json fresh = fresh_json({"neighbors", "-p", kFrance});
  GUI_CHECK(fresh.is_object());
  const ImRect map = gui.engine.ItemInfo(gui.panel("cosines", "cosines").c_str()).RectFull;
  gui.engine.MouseMoveToPos({map.Min.x + map.GetWidth() * 1.5f / 5, map.Min.y + map.GetHeight() * 3.5f / 5});
  gui.frames(3);
  const std::string card = gui.hover_card();
  GUI_CHECK(says(card, exact(fresh["cosine"][3][1])));
  GUI_CHECK(says(card, format_value(fresh["dot"][3][1].get<double>(), 5)));
  GUI_CHECK(says(card, format_value(fresh["norms"][3].get<double>(), 5)));
  GUI_CHECK(number(gui.copied_here()) == fresh["cosine"][3][1].get<float>());
  const nlohmann::json near = fresh_json({"neighbors", "--token", " France", "-k", "5"});
  GUI_CHECK(near.is_object());
  gui.hover(gui.panel("neighbours", "dot 0"));
  gui.frames(3);
  GUI_CHECK(says(gui.hover_card(), exact(near["dot"][0]["dot"])));
}

GUI_TEST("values", "chain and plot: what each rule does to a token") {
  gui.press(ImGuiMod_Ctrl | ImGuiKey_6);
  gui.type_prompt(kFrance);
  gui.press(ImGuiKey_Escape);
  gui.settle();
  const nlohmann::json fresh = fresh_json({"next", "-p", kFrance, "--top-k", "40", "--top-p", "0.95", "--min-p", "0.05"});
  GUI_CHECK(fresh.is_object());
  const nlohmann::json& first = fresh["candidates"][0];
  const ImRect row = gui.engine.ItemInfo(gui.panel("chain", "$$" + std::to_string(first["id"].get<int>()) + "/row").c_str()).RectFull;
  gui.engine.MouseMoveToPos({row.Max.x - 30, row.GetCenter().y});
  gui.frames(3);
  const std::string card = gui.hover_card();
  GUI_CHECK(says(card, exact(first["prob"])));
  GUI_CHECK(number(gui.copied_here()) == first["prob"].get<float>());
  gui.hover(gui.panel("chain", "$$5/title"));  // of top-p
  gui.frames(3);
  GUI_CHECK(says(gui.hover_card(), format_count(fresh["stages"][3]["kept"].get<int>())));
  const ImRect plot = gui.engine.ItemInfo(gui.panel("rank_plot", "plot").c_str()).RectFull;
  gui.engine.MouseMoveToPos({plot.Min.x + 1, plot.Max.y - 20});
  gui.frames(3);
  GUI_CHECK(says(gui.hover_card(), "Paris"));
  GUI_CHECK(number(gui.copied_here()) == first["prob_heated"].get<float>());
}

GUI_TEST("values", "settings: what stands in the boxes is what the chain is run with") {
  gui.press(ImGuiMod_Ctrl | ImGuiKey_6);
  gui.settle();
  const std::string settings = gui.shown_text("sampler_settings");
  for (const char* value : {"Temperature", "1.00", "Top-k", "40", "Top-p", "0.95", "Min-p", "0.050", "off"}) GUI_CHECK(says(settings, value));
}

}  // namespace
}  // namespace glassbox::test
