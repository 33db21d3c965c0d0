// What each prediction calls right is what the experiment shows, on the real model.
#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "tests/lessons/lesson_bench.h"

using namespace glassbox;
using namespace glassbox::test;

namespace {

// One lesson, opened on the workbench, with short words for what the experiments do.
class Trial {
 public:
  Trial(LessonBench& bench, const Lesson& lesson) : bench_(bench), lesson_(lesson) {}
  void start() { bench_.start(lesson_); }
  void press(size_t button) {
    REQUIRE(button < lesson_.tries.size());
    bench_.apply(lesson_.tries[button].commands);
    bench_.rest();
  }
  void draw(int tokens) {
    bench_.bench().step_tokens(tokens);
    bench_.rest();
  }
  void apply(const std::vector<Command>& commands) {
    bench_.apply(commands);
    bench_.rest();
  }
  double value(QuantityKind kind, const std::string& text = "", const std::string& text2 = "") {
    // Also what the lesson itself does not measure.
    const Quantity quantity{kind, text, text2};
    Needs needs = lesson_needs(lesson_, bench().document(), bench().model()->config());
    needs.merge(quantity_needs(quantity, bench().document(), bench().model()->config()));
    bench().set_needs(needs);
    REQUIRE(bench().settle());
    const auto measured = measure(quantity, bench_.context());
    INFO(quantity_name(kind) << " " << text);
    REQUIRE(measured);
    return *measured;
  }
  double prob(const std::string& text) { return value(QuantityKind::prob, text); }
  std::string nearest(NearBy by) {
    (void)value(QuantityKind::norm);
    return bench().model()->tokenizer().text_of(bench().view().neighbours->best[static_cast<size_t>(by)].front().id);
  }
  std::string likeliest() {
    (void)value(QuantityKind::entropy);
    return bench().model()->tokenizer().text_of(bench().view().chain->candidates.front().id);
  }
  Workbench& bench() { return bench_.bench(); }

 private:
  LessonBench& bench_;
  const Lesson& lesson_;
};

struct Experiment {
  const char *lesson, *prediction, *right;
  void (*show)(Trial&);  // from the lesson's start; checks that `right` is right
};

const Experiment kExperiments[] = {
    {"1_letters", "guess", "s", [](Trial& trial) { CHECK(trial.likeliest() == " s"); }},
    {"1_letters", "spelled", "rises",
     [](Trial& trial) {
       const double before = trial.prob(" l");
       trial.press(0);
       CHECK(trial.prob(" l") > 3 * before);
       CHECK(trial.likeliest() == " l");
       trial.press(1);  // "Ask for the first letter instead"
       CHECK(trial.likeliest() == " s");
       trial.press(2);  // "Spell out a word that still fails"
       CHECK(trial.likeliest() != " e");
     }},
    {"1_merges", "first", "it",
     [](Trial& trial) {
       const auto merges = trial.bench().model()->tokenizer().trace_merges(" unbelievability");
       REQUIRE(merges.ok());
       const Merge& first = merges->steps.front().merge;
       CHECK(first.rank == 17);
       const auto text = [&](int32_t id) { return trial.bench().model()->tokenizer().text_of(id); };
       CHECK(text(first.id) == "it");
       CHECK(trial.bench().model()->tokenizer().merge_count() == 48900);
     }},
    {"1_merges", "capitals", "six",
     [](Trial& trial) {
       CHECK(trial.value(QuantityKind::piece_tokens) == 3);
       trial.press(0);
       CHECK(trial.value(QuantityKind::piece_tokens) == 6);
     }},
    {"1_chat", "bare", "end", [](Trial& trial) { CHECK(trial.likeliest() == "<|im_end|>"); }},
    {"1_chat", "forge", "none",
     [](Trial& trial) {
       trial.press(0);
       const double before = trial.value(QuantityKind::special_tokens);
       trial.press(1);
       CHECK(trial.value(QuantityKind::special_tokens) == before);
       CHECK(trial.value(QuantityKind::forged_markers) == 1);
       trial.press(2);
       CHECK(trial.value(QuantityKind::special_tokens) == 1);
     }},
    {"2_neighbours", "monday", "tuesday",
     [](Trial& trial) {
       CHECK(trial.nearest(NearBy::cosine) == " Tuesday");
       const auto& found = trial.bench().view().neighbours->best[static_cast<size_t>(NearBy::cosine)];
       CHECK(std::round(found[0].cosine * 1000) == 894);
       CHECK(trial.bench().model()->tokenizer().text_of(found[6].id) == "Monday");
       CHECK(std::round(found[6].cosine * 1000) == 688);
     }},
    {"2_neighbours", "random", "much",
     [](Trial& trial) {
       (void)trial.value(QuantityKind::norm);
       const auto table = make_embedding_table(*trial.bench().model());
       const auto width = static_cast<size_t>(table->width), vocab = static_cast<size_t>(table->vocab);
       // The mean over all pairs is the square of the mean unit row.
       std::vector<double> mean(width);
       for (size_t i = 0; i < table->rows.size(); ++i)
         mean[i % width] += static_cast<double>(table->rows[i] / table->norms[i / width]) / static_cast<double>(vocab);
       double square = 0;
       for (const double x : mean) square += x * x;
       CHECK(std::round(square * 100) == 44);
       // One pair in a hundred: on pairs a fixed step apart, which is as good as chance here.
       std::vector<double> cosines;
       for (size_t a = 0; a < vocab; a += 2) {
         const size_t b = (a + 20011) % vocab;
         double dot = 0;
         for (size_t i = 0; i < width; ++i)
           dot += static_cast<double>(table->rows[a * width + i]) * static_cast<double>(table->rows[b * width + i]);
         cosines.push_back(dot / static_cast<double>(table->norms[a] * table->norms[b]));
       }
       std::sort(cosines.begin(), cosines.end());
       CHECK(std::abs(cosines[cosines.size() * 99 / 100] - 0.69) < 0.01);
       trial.press(0);
       CHECK(std::round(trial.value(QuantityKind::token_cosine, " hot", " big") * 100) == 22);
     }},
    {"2_neighbours", "opposites", "high",
     [](Trial& trial) {
       trial.press(0);
       CHECK(std::round(trial.value(QuantityKind::token_cosine, " hot", " cold") * 100) == 58);
     }},
    {"2_near", "carrots", "strugg",
     [](Trial& trial) {
       CHECK(trial.value(QuantityKind::dot_differs) == 0);  // ·seven
       trial.press(0);
       CHECK(trial.nearest(NearBy::dot) == " strugg");
       // The lengths that the text names.
       const auto table = make_embedding_table(*trial.bench().model());
       const int32_t id = trial.bench().model()->tokenizer().find_id(" strugg");
       CHECK(std::round(table->norms[static_cast<size_t>(id)] * 100) == 749);
       std::vector<float> norms = table->norms;
       std::nth_element(norms.begin(), norms.begin() + table->vocab / 2, norms.end());
       CHECK(std::round(norms[static_cast<size_t>(table->vocab) / 2] * 100) == 315);
       std::vector<double> mean(static_cast<size_t>(table->width));
       for (size_t i = 0; i < table->rows.size(); ++i) mean[i % mean.size()] += table->rows[i] / table->vocab;
       double square = 0;
       for (const double x : mean) square += x * x;
       CHECK(std::round(std::sqrt(square) * 100) == 218);
     }},
    {"2_near", "euclid", "carrot2",
     [](Trial& trial) {
       trial.press(0);
       CHECK(trial.nearest(NearBy::euclid) == " carrot");
     }},
    {"2_senses", "embedding", "one",
     [](Trial& trial) { CHECK(trial.value(QuantityKind::token_cosine, " watch", " watch") > 0.99999); }},
    {"2_senses", "last", "half",
     [](Trial& trial) {
       trial.press(1);
       const double cosine = trial.value(QuantityKind::token_cosine, " watch", " watch");
       CHECK(cosine > 0.58);
       CHECK(cosine < 0.66);
     }},
    {"3_cell", "key", "falls",
     [](Trial& trial) {
       trial.apply({cmd::OpenCell{13, 2}});
       const double weight = trial.value(QuantityKind::cell_weight), score = trial.value(QuantityKind::cell_score);
       CHECK(score < -0.5);
       trial.press(1);
       CHECK(trial.value(QuantityKind::cell_weight) < weight);
       CHECK(std::abs(trial.value(QuantityKind::cell_score) - 2 * score) < 0.05);
     }},
    {"3_cell", "value", "same",
     [](Trial& trial) {
       const double weight = trial.value(QuantityKind::cell_weight);
       trial.press(2);
       CHECK(trial.value(QuantityKind::cell_weight) == weight);
       CHECK(std::abs(trial.value(QuantityKind::prob_change, " Mary")) > 0.02);
     }},
    {"3_looking", "suppressor", "rises",
     [](Trial& trial) {
       CHECK(trial.likeliest() == " Mary");
       trial.press(0);
       CHECK(trial.value(QuantityKind::prob_change, " Mary") > 0.02);
     }},
    {"3_looking", "mover", "little",
     [](Trial& trial) {
       trial.press(1);
       const double change = trial.value(QuantityKind::prob_change, " Mary");
       CHECK(change < -0.01);
       CHECK(change > -0.2);
     }},
    {"3_copying", "five", "gone",
     [](Trial& trial) {
       CHECK(trial.prob(" river") > 0.5);
       // They are the five with the highest scores.
       (void)trial.value(QuantityKind::induction_score);
       const HeadTable table = *trial.bench().view().heads;
       std::vector<size_t> order(table.scores.size());
       for (size_t i = 0; i < order.size(); ++i) order[i] = i;
       std::partial_sort(order.begin(), order.begin() + 5, order.end(),
                         [&](size_t a, size_t b) { return table.scores[a].induction > table.scores[b].induction; });
       const std::set<size_t> best(order.begin(), order.begin() + 5);
       trial.press(0);
       std::set<size_t> off;
       for (const Edit& edit : trial.bench().document().edits)
         off.insert(static_cast<size_t>(edit.layer * table.heads + *edit.head));
       CHECK(off == best);
       CHECK(trial.prob(" river") < 0.1);
     }},
    {"3_copying", "control", "same",
     [](Trial& trial) {
       trial.press(1);
       CHECK(trial.value(QuantityKind::heads_off) == 5);
       CHECK(std::abs(trial.value(QuantityKind::prob_change, " river")) < 0.1);
     }},
    {"6_temperature", "two", "tenth",
     [](Trial& trial) {
       const double before = trial.value(QuantityKind::top1_prob);
       CHECK(before > 0.7);
       CHECK(before < 0.8);
       trial.press(0);
       CHECK(trial.value(QuantityKind::top1_prob) < 0.1);
     }},
    {"6_temperature", "order", "no",
     [](Trial& trial) {
       (void)trial.value(QuantityKind::top1_prob);
       const std::vector<int32_t> ranks = trial.bench().view().chain->rank_of;
       const double entropy = trial.value(QuantityKind::entropy);
       trial.press(0);
       (void)trial.value(QuantityKind::top1_prob);
       CHECK(trial.bench().view().chain->rank_of == ranks);
       CHECK(trial.value(QuantityKind::entropy) == entropy);
     }},
    {"6_nucleus", "heat", "thousands",
     [](Trial& trial) {
       CHECK(trial.value(QuantityKind::kept, "top_p") < 20);
       trial.press(0);
       CHECK(trial.value(QuantityKind::kept, "top_p") > 1500);
       trial.press(1);  // top-p before temperature
       CHECK(trial.value(QuantityKind::kept, "top_p") < 20);
     }},
    {"6_nucleus", "open", "many",
     [](Trial& trial) {
       trial.press(2);
       CHECK(trial.value(QuantityKind::kept, "top_p") > 300);
       CHECK(trial.likeliest() == " time");
     }},
    {"6_greedy", "seed", "same",
     [](Trial& trial) {
       trial.draw(12);
       trial.apply({cmd::MoveCursor{0}, cmd::RedrawFromHere{}});
       trial.draw(12);
       CHECK(trial.value(QuantityKind::same_lines) == 12);
       CHECK(trial.value(QuantityKind::branches) == 2);
       const std::vector<int32_t> tokens = trial.bench().document().shown_tokens();
       trial.apply({cmd::SetSeed{7}, cmd::ResetRun{}});
       trial.draw(12);
       CHECK(trial.bench().document().shown_tokens() == tokens);
     }},
    {"6_greedy", "style", "loop",
     [](Trial& trial) {
       trial.draw(40);
       const Tokenizer& tokenizer = trial.bench().model()->tokenizer();
       const std::string text = tokenizer.decode(trial.bench().document().shown_tokens());
       size_t said = 0;
       for (size_t at = text.find("The cat was"); at != std::string::npos; at = text.find("The cat was", at + 1))
         ++said;
       CHECK(said >= 5);
     }},
};

}  // namespace

TEST_CASE("what a prediction calls right is what the experiment shows", "[lessons][model][slow]") {
  LessonBench& bench = lesson_bench();
  std::set<std::pair<std::string, std::string>> shown;
  for (const Lesson& lesson : committed_lessons()) {
    for (const Prediction& prediction : lesson.predictions) {
      const auto experiment =
          std::find_if(std::begin(kExperiments), std::end(kExperiments), [&](const Experiment& candidate) {
            return lesson.id == candidate.lesson && prediction.id == candidate.prediction;
          });
      INFO(lesson.id << ", " << prediction.id);
      REQUIRE(experiment != std::end(kExperiments));
      CHECK(prediction.right == experiment->right);
      Trial trial(bench, lesson);
      trial.start();
      experiment->show(trial);
      shown.emplace(lesson.id, prediction.id);
    }
  }
  CHECK(shown.size() == std::size(kExperiments));
}
