// glassbox look: what the window shows first, in a terminal: the tokens, the next token, one attention map.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "app/cli/process.h"
#include "app/cli/terminal.h"
#include "app/cli/verbs.h"
#include "app/widgets/numbers.h"
#include "core/run/random.h"

namespace glassbox {
namespace {

constexpr int kBars = 10;      // candidates
constexpr int kMinWidth = 30;  // narrower terminals get lines that wrap
constexpr int kLabel = 14;     // columns of a token's name beside the map
constexpr int kWideMap = 48;   // up to so many tokens each row has a line and a name of its own

// The colours of the window (app/theme/theme.cpp), which this program may be built without.
struct Palette {
  Rgb chips[6];
  Rgb text, dim, logits, well;
  Rgb map[3];  // of attention weights: 0, one half, 1
};
constexpr Palette kDark = {{0x284A6C, 0x5E4216, 0x245337, 0x683738, 0x503D66, 0x005353},
                           0xE6E8EB,
                           0x9AA3AF,
                           0xA7F5FE,
                           0x131519,
                           {0x1B1E24, 0x7560D6, 0xF6F3FF}};
constexpr Palette kLight = {{0xC3E2FF, 0xF4DAB6, 0xC2E9CE, 0xFFD0CF, 0xE6D5FC, 0xB4EAE9},
                            0x1B1F24,
                            0x59636F,
                            0x1E4F59,
                            0xF3F4F6,
                            {0xFFFFFF, 0x8E55C8, 0x2C0A4A}};

void add_options(OptionList& list, Options& options) {
  add_engine_options(list, options);
  add_text_options(list, options);
  list.integer({"--layer", "N", "of the attention map (24, as far as the model has it)"}, options.layer);
  list.integer({"--head", "N", "of the attention map (4, as far as the model has it)"}, options.head);
  add_sampler_options(list, options);
  add_edit_option(list, options);
  list.choice({"--theme", "NAME", "for a dark or a light terminal (dark)"}, options.theme, {"dark", "light"});
  list.choice({"--color", "WHEN", "auto: in a terminal, unless NO_COLOR is set (auto)"}, options.colour,
              {"auto", "always", "never"});
}

bool wants_colour(const Options& options) {
  if (options.colour != "auto") return options.colour == "always";
  const char* no_colour = std::getenv("NO_COLOR");  // no-color.org: any value but the empty one
  const char* kind = std::getenv("TERM");
  return is_terminal(stdout) && !(no_colour && *no_colour) && !(kind && std::string_view(kind) == "dumb");
}

struct View {
  const Model& model;
  const Step& step;
  const ChainResult& chain;
  const Palette& palette;
  Paint paint;
  int width;

  std::string token(size_t position) const {
    return visible_bytes(model.tokenizer().bytes_of(step.recipe.tokens[position]));
  }
  std::string dim(const std::string& text) const { return paint.text(palette.dim) + text + paint.reset(); }
};

// A sentence in as many lines as it needs, the first `bright` characters of it not dimmed.
void say(Output& out, const View& view, const std::string& text, size_t bright = 0) {
  bool first = true;
  for (const std::string& line : wrap_words(text, view.width)) {
    const size_t kept = first ? std::min(bright, line.size()) : 0;
    out.line(line.substr(0, kept) + view.dim(line.substr(kept)));
    first = false;
  }
}

void draw_tokens(Output& out, const View& view) {
  int column = 0;
  std::string line;
  for (size_t i = 0; i < view.step.recipe.tokens.size(); ++i) {
    std::string text = view.token(i);
    if (display_width(text) > view.width - 2) text = fit_columns(text, view.width - 2);
    // Without colour brackets part the tokens.
    const std::string chip = view.paint.on() ? view.paint.ground(view.palette.chips[i % 6]) +
                                                   view.paint.text(view.palette.text) + text + view.paint.reset()
                                             : "[" + text + "]";
    const int width = display_width(text) + (view.paint.on() ? 0 : 2);
    if (column > 0 && column + width > view.width) {
      out.line(line);
      line.clear();
      column = 0;
    }
    line += chip;
    column += width;
  }
  out.line(line);
}

// Eighths of a column.
std::string bar(double share, int columns) {
  static const char* const kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int eighths = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * columns * 8));
  std::string text;
  for (int i = 0; i < eighths / 8; ++i) text += "█";
  return text + kEighths[eighths % 8];
}

void draw_next(Output& out, const View& view) {
  const int columns = std::clamp(view.width - 16 - 10 - 14, 4, 60);
  const size_t shown = std::min<size_t>(kBars, view.chain.candidates.size());
  for (size_t i = 0; i < shown; ++i) {
    const Candidate& candidate = view.chain.candidates[i];
    const std::string text = visible_bytes(view.model.tokenizer().bytes_of(candidate.id));
    std::string row = fit_columns(text, 16) + right_align(format_probability(candidate.prob), 8) + "  ";
    row += view.paint.text(view.palette.logits) + bar(candidate.prob, columns) + view.paint.reset();
    if (candidate.cut_by >= 0)
      row += view.dim("cut by " + view.chain.stages[static_cast<size_t>(candidate.cut_by)].kind);
    out.line(row);
  }
  double rest = 0;
  for (size_t i = shown; i < view.chain.candidates.size(); ++i) rest += view.chain.candidates[i].prob;
  out.line(view.dim("all others      " + right_align(format_probability(rest), 8) + "  entropy " +
                    format_value(view.chain.entropy_model_bits) + " bits"));
}

// The lower triangle of one head's weights, pooled by the greatest weight where there are more tokens than pixels.
class Pattern {
 public:
  Pattern(const Step& step, int layer, int head, int side)
      : length_(step.length()), side_(std::min(side, step.length())), values_(static_cast<size_t>(side_ * side_)) {
    for (int query = 0; query < length_; ++query) {
      const Page* page = step.page(Tap::attn_pattern, layer, query);
      if (!page) continue;
      const std::span<const float> weights = page->head(query, head);
      for (int key = 0; key < static_cast<int>(weights.size()); ++key) {
        float& value = values_[static_cast<size_t>(pixel(query) * side_ + pixel(key))];
        value = std::max(value, weights[static_cast<size_t>(key)]);
      }
    }
  }
  int side() const { return side_; }
  bool pooled() const { return side_ < length_; }
  // Negative where the mask closes the cell, or outside the map.
  double at(int row, int column) const {
    if (row >= side_ || column >= side_ || column > row) return -1;
    return values_[static_cast<size_t>(row * side_ + column)];
  }

 private:
  int pixel(int position) const { return static_cast<int>(static_cast<int64_t>(position) * side_ / length_); }
  int length_, side_;
  std::vector<float> values_;
};

std::string shade(double weight) {
  static const char* const kShades[] = {"·", "░", "▒", "▓", "█"};
  return weight < 0 ? " " : kShades[std::min(4, static_cast<int>(weight * 5))];
}

Rgb cell_colour(const View& view, double weight) {
  const Palette& p = view.palette;
  return weight < 0 ? p.well : blend(p.map[0], p.map[1], p.map[2], weight);
}

// Cells in one line of half blocks: the upper half has the colour of `row`, the lower one that of `row` + 1, or the
// same where each row has a line of its own. A colour is written when it changes.
std::string half_blocks(const View& view, const Pattern& pattern, int row, int columns_a_cell, int rows_a_line) {
  std::string line;
  std::optional<Rgb> text, ground;
  for (int column = 0; column < pattern.side(); ++column) {
    const double upper = pattern.at(row, column), lower = rows_a_line == 2 ? pattern.at(row + 1, column) : upper;
    const Rgb above = cell_colour(view, upper), below = cell_colour(view, lower);
    if (view.paint.on() && text != above) line += view.paint.text(above), text = above;
    if (view.paint.on() && ground != below) line += view.paint.ground(below), ground = below;
    for (int i = 0; i < columns_a_cell; ++i) line += view.paint.on() ? "▀" : shade(std::max(upper, lower));
  }
  return line + view.paint.reset();
}

void draw_pattern(Output& out, const View& view, int layer, int head) {
  const int length = view.step.length();
  // Few tokens: a line a query, its name before it and where it looks most behind it. Many: the map alone.
  const bool wide = length <= kWideMap && kLabel + 2 * length <= view.width;
  const int room = wide ? length : std::max(view.width, 1);
  const Pattern pattern(view.step, layer, head, room);
  const std::string title = "attention, layer " + std::to_string(layer) + " head " + std::to_string(head);
  say(out, view, title + " · rows: who looks · columns: at whom, from the first token on", title.size());
  if (!wide) {
    for (int row = 0; row < pattern.side(); row += 2) out.line(half_blocks(view, pattern, row, 1, 2));
    if (pattern.pooled())
      say(out, view,
          plural(length, "token") + " in " + plural(pattern.side(), "column") +
              ": each cell is the greatest weight in it");
    return;
  }
  for (int row = 0; row < length; ++row) {
    int best = 0;
    for (int column = 1; column <= row; ++column)
      if (pattern.at(row, column) > pattern.at(row, best)) best = column;
    const std::string most =
        " " + view.token(static_cast<size_t>(best)) + " " + format_probability(pattern.at(row, best));
    const bool fits = kLabel + 2 * length + display_width(most) <= view.width;
    out.line(fit_columns(view.token(static_cast<size_t>(row)), kLabel - 1) + " " +
             half_blocks(view, pattern, row, 2, 1) + (fits ? view.dim(most) : ""));
  }
}

void draw_footer(Output& out, const View& view) {
  if (has_display()) {
    say(out, view, "The window shows all of this live: glassbox");
    return;
  }
  say(out, view,
      "For the window: run glassbox in a desktop session, over ssh -X, or in a virtual display (Xvfb, VNC).");
  say(out, view, "A picture of it without any display: glassbox shot --stage 3 -p TEXT -o FILE.png");
}

Result<int> choose(const std::optional<int>& asked, int initial, int count, const char* what) {
  if (!asked) return std::min(initial, count - 1);
  if (*asked >= 0 && *asked < count) return *asked;
  return Error{ErrorKind::usage, "There is no " + std::string(what) + " " + std::to_string(*asked) + ".",
               "--" + std::string(what), "0 to " + std::to_string(count - 1), ""};
}

Result<void> run(CliContext& context) {
  Options options = context.options;
  const Document initial = make_document();
  if (!has_text(options)) options.prompt = initial.text;
  const Result<SamplerSettings> sampler = sampler_of(options);
  if (!sampler) return sampler.error();
  Result<LoadedEngine> engine = load_engine(options);
  if (!engine) return engine.error();
  const ModelConfig& config = engine->model->config();
  Result<std::vector<Edit>> edits = edits_of(options, config);
  if (!edits) return edits.error();
  const Result<int> layer = choose(options.layer, initial.selection.layer, config.layer_count(), "layer");
  if (!layer) return layer.error();
  const int heads = config.layers[static_cast<size_t>(*layer)].heads;
  const Result<int> head = choose(options.head, initial.selection.head, heads, "head");
  if (!head) return head.error();
  Result<std::vector<int32_t>> tokens = read_tokens(options, *engine->model);
  if (!tokens) return tokens.error();
  StepRequest request{tokens.take(), edits.take(), precision_of(options), {}};
  request.needs.add(Tap::attn_pattern, *layer, *layer + 1);
  Progress progress("computing");
  const Result<std::shared_ptr<const Step>> step =
      engine->sessions->run(request, [&progress](double done) { return progress(done); });
  progress.finish();
  if (!step) return step.error();
  const double u = draw_uniform(options.seed, 0, request.tokens.size());
  const ChainResult chain = run_chain((*step)->logits, *sampler, request.tokens, u);

  const View view{*engine->model,
                  **step,
                  chain,
                  options.theme == "light" ? kLight : kDark,
                  Paint(wants_colour(options)),
                  std::max(terminal_width(), kMinWidth)};
  Output& out = context.out;
  const std::string name = engine->model->name() + " " + engine->model->format();
  say(out, view, name + " · " + engine->sessions->ops().description() + " · " + plural((*step)->length(), "token"),
      name.size());
  out.line();
  draw_tokens(out, view);
  out.line();
  out.line(std::string("next token") + view.dim(request.edits.empty() ? "" : ", with edits"));
  draw_next(out, view);
  out.line();
  draw_pattern(out, view, *layer, *head);
  out.line();
  draw_footer(out, view);
  return {};
}

}  // namespace

const Verb kLookVerb = {"look", "tokens, next token and attention in the terminal", add_options, run};

}  // namespace glassbox
