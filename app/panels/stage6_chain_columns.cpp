#include "app/panels/stage6_chain_columns.h"

#include <algorithm>
#include <cmath>

#include "app/widgets/widgets.h"

namespace glassbox {

namespace {

// Pixels: what a column needs, and what it has when there is room.
struct Wish {
  float least, good;
  float bar_share;  // of the room that is left
};

Wish wish_of(const Theme& theme, const ChainColumn& column) {
  const auto number = [&](std::string_view text) { return text_size(theme.mono, text).x; };
  const auto title = [&](std::string_view text) { return text_size(theme.bold, text).x; };
  const float gap = theme.px(8), tight = theme.px(12);
  switch (column.kind) {
    case ColumnKind::token: return {theme.px(88), theme.px(136), 0};
    case ColumnKind::logit: return {number("00.00") + tight, number("00.00") + 2 * gap, 0.22f};
    case ColumnKind::penalty: return {title("penalty") + tight, title("penalty") + 4 * gap, 0};
    case ColumnKind::stage:
      if (column.cuts()) return {title("min-p") + 2 * gap, std::max(title("min-p 0.05"), title("top-p 0.95")) + 2 * gap, 0};
      return {title("÷ T = 1.50") + tight, title("÷ T = 1.50") + 2 * gap, 0.22f};
    case ColumnKind::probability: return {title("probability") + tight, title("probability") + 2 * gap, 0.56f};
  }
  return {theme.px(60), theme.px(60), 0};
}

bool has_penalties(const SamplerSettings& s) {
  return s.penalty_window != 0 && (s.repetition_penalty != 1 || s.presence_penalty != 0 || s.frequency_penalty != 0);
}

// How often a token stands in the window that the penalties see.
int times_seen(const FrameContext& context, const SamplerSettings& settings, int32_t id) {
  const std::vector<int32_t>& tokens = context.view().tokens;
  const size_t window = settings.penalty_window < 0 ? tokens.size() : std::min(tokens.size(), static_cast<size_t>(settings.penalty_window));
  return static_cast<int>(std::count(tokens.end() - static_cast<std::ptrdiff_t>(window), tokens.end(), id));
}

std::string number(double value) { return format_value(value); }

void penalty_lines(const FrameContext& context, const Candidate& candidate) {
  const Theme& theme = context.theme;
  const SamplerSettings& s = context.view().chain->settings;
  const int count = times_seen(context, s, candidate.id);
  card_value(theme, "penalised logit", number(static_cast<double>(candidate.penalised)), theme.text);
  if (!has_penalties(s)) {
    card_source(theme, "All penalties are off: the logit is unchanged.");
    return;
  }
  if (count == 0) {
    card_source(theme, "The token is not among the last " + (s.penalty_window < 0 ? std::string("tokens") : std::to_string(s.penalty_window) + " tokens") + ": its logit is unchanged.");
    return;
  }
  std::string line = number(static_cast<double>(candidate.logit));
  if (s.repetition_penalty != 1) line += (candidate.logit > 0 ? " / " : " × ") + number(static_cast<double>(s.repetition_penalty));
  if (s.presence_penalty != 0) line += " - " + number(static_cast<double>(s.presence_penalty));
  if (s.frequency_penalty != 0) line += " - " + std::to_string(count) + " × " + number(static_cast<double>(s.frequency_penalty));
  card_line(theme, line + " = " + number(static_cast<double>(candidate.penalised)));
  card_row(theme, "seen", std::to_string(count) + " ×");
  card_source(theme, "Penalties always come first in the chain.");
}

void temperature_lines(const FrameContext& context, const Candidate& candidate) {
  const Theme& theme = context.theme;
  const ChainResult& chain = *context.view().chain;
  const double t = static_cast<double>(chain.settings.temperature), greatest = static_cast<double>(chain.candidates.front().penalised);
  card_value(theme, "P at T", format_probability(static_cast<double>(candidate.prob_heated)), theme.logits);
  if (t == 0) {
    card_source(theme, "T = 0 is greedy: the first token has all the probability.");
    return;
  }
  const double weight = std::exp((static_cast<double>(candidate.penalised) - greatest) / t);
  card_equation(theme, Fraction{"exp((z - max) / T)", "Σ exp((zⱼ - max) / T)"},
                Fraction{number(weight), number(weight / static_cast<double>(candidate.prob_heated))},
                format_probability(static_cast<double>(candidate.prob_heated)));
  card_row(theme, "z, max", number(static_cast<double>(candidate.penalised)) + ", " + number(greatest));
  card_row(theme, "T", number(t));
  card_row(theme, "exact", format_exact(candidate.prob_heated));
  card_source(theme, "Over all " + format_count(static_cast<int64_t>(chain.candidates.size())) + " tokens, whatever was cut before.");
}

void cut_lines(const FrameContext& context, SamplerStage stage, int row) {
  const Theme& theme = context.theme;
  const ChainResult& chain = *context.view().chain;
  const SamplerSettings& s = chain.settings;
  const int before = kept_before(chain, stage), after = kept_after(chain, stage);
  if (row >= before) {
    card_value(theme, stage_title(stage) + ": not reached", "", theme.dim);
    card_source(theme, "A stage before this one has cut the token.");
    return;
  }
  const bool kept = row < after;
  card_value(theme, stage_label(s, stage) + (kept ? ": kept" : ": cut"), "", theme.text);
  if (!chain.stages[static_cast<size_t>(stage_index(chain, stage))].active) {
    card_source(theme, "The setting is off: everything passes.");
    return;
  }
  const std::shared_ptr<const StageInput> input = stage_input(context, stage);
  switch (stage) {
    case SamplerStage::temperature: break;
    case SamplerStage::top_k:
      card_line(theme, "rank " + format_count(row + 1) + (kept ? " ≤ " : " > ") + format_count(s.top_k));
      break;
    case SamplerStage::top_p: {
      card_line(theme, "Σ before it = " + format_value(input->mass(row), 5) + (kept ? " < " : " ≥ ") + format_exact(s.top_p));
      card_row(theme, "its own P here", format_probability(input->probability(row)));
      card_row(theme, "Σ with it", format_value(input->mass(row + 1), 5));
      break;
    }
    case SamplerStage::min_p:
      card_equation(theme, Fraction{"p", "p of the first"},
                    Fraction{format_probability(input->probability(row)), format_probability(input->probability(0))},
                    number(input->weights[static_cast<size_t>(row)]) + (kept ? " ≥ " : " < ") + format_exact(s.min_p));
      break;
  }
  card_source(theme, "Measured on the " + format_count(before) + " candidates that the stage is given, made to sum to 1, at T = " +
                         number(input->temperature) + ".");
}

void probability_lines(const FrameContext& context, const Candidate& candidate, int row) {
  const Theme& theme = context.theme;
  const ChainResult& chain = *context.view().chain;
  card_value(theme, "P", format_probability(static_cast<double>(candidate.prob)), theme.logits);
  if (candidate.prob == 0) {
    const int by = candidate.cut_by;
    card_source(theme, by >= 0 ? "Cut by " + chain.stages[static_cast<size_t>(by)].kind + "." : "No probability is left for it.");
    return;
  }
  double below = 0;
  for (int i = 0; i < row; ++i) below += static_cast<double>(chain.candidates[static_cast<size_t>(i)].prob);
  const double above = below + static_cast<double>(candidate.prob);
  card_row(theme, "the model's own", format_probability(static_cast<double>(candidate.prob_model)));
  card_row(theme, "exact", format_exact(candidate.prob));
  card_row(theme, "drawn when u in", "[" + format_fixed(below, 4) + ", " + format_fixed(above, 4) + ")");
  card_row(theme, "u", format_fixed(chain.u, 6));
  card_source(theme, candidate.id == chain.drawn ? "u chose this token. u is a function of the seed, the branch and the position."
                                                 : "After all rules, made to sum to 1 over the kept tokens.");
}

}  // namespace

std::vector<ChainColumn> make_columns(const Theme& theme, const SamplerSettings& settings, float width) {
  std::vector<ChainColumn> columns = {{ColumnKind::token}, {ColumnKind::logit}, {ColumnKind::penalty}};
  for (const SamplerStage stage : settings.order) columns.push_back({ColumnKind::stage, stage});
  columns.push_back({ColumnKind::probability});
  float least = 0;
  for (const ChainColumn& column : columns) least += wish_of(theme, column).least;
  // Between the two, the cuts grow first, since their titles then have room for the values, and the others after them
  // evenly; what is left then goes to the bars.
  float spare = std::max(0.0f, width - least);
  const auto grow = [&](bool cuts) {
    float wanted = 0;
    for (const ChainColumn& column : columns)
      if (column.cuts() == cuts) wanted += wish_of(theme, column).good - wish_of(theme, column).least;
    const float share = wanted > 0 ? std::min(1.0f, spare / wanted) : 0.0f;
    spare -= share * wanted;
    return share;
  };
  const float cut_growth = grow(true), growth = grow(false), room = spare;
  const float longest = theme.px(330);
  float x = 0;
  for (ChainColumn& column : columns) {
    const Wish wish = wish_of(theme, column);
    const float own = wish.least + (wish.good - wish.least) * (column.cuts() ? cut_growth : growth);
    column.x = std::round(x);
    column.bar = std::min(std::floor(room * wish.bar_share), longest) - theme.px(22);
    if (column.bar < theme.px(14)) column.bar = 0;
    column.width = own + (column.bar > 0 ? column.bar + theme.px(22) : room * wish.bar_share);
    x += column.width;
  }
  return columns;
}

ColumnHead column_head(const ChainResult& chain, const ChainColumn& column) {
  const std::string vocabulary = format_count(static_cast<int64_t>(chain.candidates.size()));
  switch (column.kind) {
    case ColumnKind::token: return {"token", "token", "", "", false};
    case ColumnKind::logit: return {"logit", "logit", vocabulary, vocabulary, false};
    case ColumnKind::penalty: {
      const SamplerSettings& s = chain.settings;
      if (!has_penalties(s)) return {"penalty", "penalty", "off", "off", true};
      const std::string note = s.repetition_penalty != 1 ? "÷ " + format_value(static_cast<double>(s.repetition_penalty), 3) : "on";
      return {"penalty", "penalty", note, note, false};
    }
    case ColumnKind::stage: {
      const ChainStage& stage = chain.stages[static_cast<size_t>(stage_index(chain, column.stage))];
      const std::string name = stage_label(chain.settings, column.stage), kept = format_count(stage.kept);
      if (!column.cuts()) return {name, stage_title(column.stage), kept, kept, false};
      return {name, stage_title(column.stage), stage.active ? kept + " kept" : "off", stage.active ? kept : "off", !stage.active};
    }
    case ColumnKind::probability: {
      const std::string bits = format_fixed(chain.stages[chain.stages.size() - 2].entropy_bits, 2);
      return {"probability", "P", "H " + bits + " bit", bits + " bit", false};
    }
  }
  return {};
}

void draw_candidate_card(const FrameContext& context, const ChainColumn& column, int row) {
  const Theme& theme = context.theme;
  const ChainResult& chain = *context.view().chain;
  const Candidate& candidate = chain.candidates[static_cast<size_t>(row)];
  begin_hover_card(theme);
  card_tokens(theme, token_of(context, candidate.id), "id", std::to_string(candidate.id), theme.text, theme.dim);
  switch (column.kind) {
    case ColumnKind::token:
      card_row(theme, "rank", format_count(row + 1) + " of " + format_count(static_cast<int64_t>(chain.candidates.size())));
      card_row(theme, "the model's own P", format_probability(static_cast<double>(candidate.prob_model)));
      card_row(theme, "after the chain", format_probability(static_cast<double>(candidate.prob)));
      card_source(theme, "Sorted by the penalised logit. A double click continues the text with this token.");
      break;
    case ColumnKind::logit:
      card_value(theme, "logit z", format_exact(candidate.logit), theme.logits);
      card_row(theme, "softmax(z)", format_probability(static_cast<double>(candidate.prob_model)));
      card_source(theme, "The final norm's output times this token's row of the output matrix; logits [V] = [" +
                             format_count(static_cast<int64_t>(chain.candidates.size())) + "], position " +
                             std::to_string(static_cast<int>(context.view().tokens.size()) - 1) + ".");
      break;
    case ColumnKind::penalty: penalty_lines(context, candidate); break;
    case ColumnKind::stage:
      if (column.cuts()) cut_lines(context, column.stage, row);
      else temperature_lines(context, candidate);
      break;
    case ColumnKind::probability: probability_lines(context, candidate, row); break;
  }
  end_hover_card(theme);
}

void draw_stage_card(const FrameContext& context, const ChainColumn& column) {
  const Theme& theme = context.theme;
  const ChainResult& chain = *context.view().chain;
  begin_hover_card(theme);
  const ColumnHead head = column_head(chain, column);
  card_value(theme, head.name, "", theme.text);
  const auto stage_rows = [&](const ChainStage& stage) {
    card_row(theme, "kept", format_count(stage.kept));
    card_row(theme, "mass kept", format_value(stage.mass));
    card_row(theme, "entropy after", format_value(stage.entropy_bits) + " bit");
  };
  switch (column.kind) {
    case ColumnKind::token: card_source(theme, "The whole vocabulary, by penalised logit, greatest first; ties by id."); break;
    case ColumnKind::logit:
      card_row(theme, "entropy", format_value(chain.entropy_model_bits) + " bit");
      card_source(theme, "The model's numbers for the next token. The bars show the distance above the least logit of the first 1 000.");
      break;
    case ColumnKind::penalty:
      stage_rows(chain.stages.front());
      card_source(theme, "Tokens seen in the last tokens have their logit lowered: repetition divides, presence and frequency subtract.");
      break;
    case ColumnKind::stage:
      stage_rows(chain.stages[static_cast<size_t>(stage_index(chain, column.stage))]);
      switch (column.stage) {
        case SamplerStage::temperature: card_line(theme, "p = exp(z / T) / Σ exp(zⱼ / T)"); break;
        case SamplerStage::top_k: card_source(theme, "The k tokens with the greatest logits stay."); break;
        case SamplerStage::top_p: card_source(theme, "The shortest head of the list stays whose probabilities, as this stage sees them, sum to at least p."); break;
        case SamplerStage::min_p: card_source(theme, "Tokens stay that have at least this share of the first token's probability."); break;
      }
      card_source(theme, column.cuts() ? "Drag the line in the column to move the cut; drag this title left or right to change the order of the chain."
                                       : "Drag this title left or right to change the order of the chain.");
      break;
    case ColumnKind::probability:
      card_row(theme, "entropy", format_value(chain.stages[chain.stages.size() - 2].entropy_bits) + " bit");
      card_row(theme, "drawn", token_of(context, chain.drawn) + ", u = " + format_fixed(chain.u, 6));
      card_source(theme, "What the draw sees: the kept tokens, made to sum to 1.");
      break;
  }
  end_hover_card(theme);
}

}  // namespace glassbox
