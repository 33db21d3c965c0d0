// The sampler's settings as sliders. None of them re-runs the model.
#include <algorithm>
#include <cmath>

#include "app/panels/panel_list.h"
#include "app/panels/stage6_shared.h"
#include "app/widgets/widgets.h"

namespace glassbox {

namespace {

// One row: what it is called, its range, and the place of its value in the settings.
struct Row {
  const char* label;
  SliderRange range;
  float (*read)(const SamplerSettings&);
  void (*write)(SamplerSettings&, float);
};

// A typed number as a whole one, far inside the range of int; the check of the settings says what is allowed.
int whole(float value) { return static_cast<int>(std::lround(std::clamp(value, -1e9f, 1e9f))); }

std::vector<Row> make_rows(int vocab) {
  std::vector<Row> rows;
  const auto add = [&](const char* label, SliderRange range, float (*read)(const SamplerSettings&), void (*write)(SamplerSettings&, float)) {
    rows.push_back({label, range, read, write});
  };
  add("Temperature",
      {.min = 0, .max = 2, .step = 0.01f, .decimals = 2, .off = "greedy", .off_value = 0,
       .hint = "p ∝ exp(z / T). Below 1 the distribution is sharper, above 1 flatter; 0 takes the first token. Range 0 … 100."},
      [](const SamplerSettings& s) { return s.temperature; }, [](SamplerSettings& s, float v) { s.temperature = v; });
  add("Top-k",
      {.min = 0, .max = static_cast<float>(vocab), .step = 1, .decimals = 0, .logarithmic = true, .off = "off", .off_value = 0,
       .hint = "Keeps the k tokens with the greatest logits; 0 is off."},
      [](const SamplerSettings& s) { return static_cast<float>(s.top_k); }, [](SamplerSettings& s, float v) { s.top_k = whole(v); });
  add("Top-p",
      {.min = 0.01f, .max = 1, .step = 0.01f, .decimals = 2, .off = "off", .off_value = 1,
       .hint = "Keeps the shortest head of the list whose probabilities sum to at least p; 1 is off. (Holtzman et al. 2019)"},
      [](const SamplerSettings& s) { return s.top_p; }, [](SamplerSettings& s, float v) { s.top_p = v; });
  add("Min-p",
      {.min = 0, .max = 0.99f, .step = 0.001f, .decimals = 3, .logarithmic = true, .off = "off", .off_value = 0,
       .hint = "Keeps what has at least this share of the first token's probability; 0 is off. (Nguyen et al. 2024)"},
      [](const SamplerSettings& s) { return s.min_p; }, [](SamplerSettings& s, float v) { s.min_p = v; });
  add("Repetition penalty",
      {.min = 0.5f, .max = 2, .step = 0.01f, .decimals = 2, .off = "off", .off_value = 1,
       .hint = "Logits of tokens seen in the window: divided by it when positive, multiplied when not. 1 is off. (Keskar et al. 2019)"},
      [](const SamplerSettings& s) { return s.repetition_penalty; }, [](SamplerSettings& s, float v) { s.repetition_penalty = v; });
  add("Presence penalty",
      {.min = -2, .max = 2, .step = 0.01f, .decimals = 2, .off = "off", .off_value = 0, .hint = "Subtracted once from the logit of a token seen in the window. 0 is off."},
      [](const SamplerSettings& s) { return s.presence_penalty; }, [](SamplerSettings& s, float v) { s.presence_penalty = v; });
  add("Frequency penalty",
      {.min = -2, .max = 2, .step = 0.01f, .decimals = 2, .off = "off", .off_value = 0,
       .hint = "Subtracted from the logit of a token once for each time it is in the window. 0 is off."},
      [](const SamplerSettings& s) { return s.frequency_penalty; }, [](SamplerSettings& s, float v) { s.frequency_penalty = v; });
  add("Penalty window",
      {.min = -1, .max = 512, .step = 1, .decimals = 0, .off = "all", .off_value = -1,
       .hint = "How many of the last tokens the three penalties look at; -1 is all of them, 0 none."},
      [](const SamplerSettings& s) { return static_cast<float>(s.penalty_window); }, [](SamplerSettings& s, float v) { s.penalty_window = whole(v); });
  return rows;
}

void draw_sampler_settings(FrameContext& context) {
  const SamplerSettings& settings = context.document().sampler;
  PanelHeader header(context, "Settings");
  const SamplerSettings usual = make_document().sampler;
  if (header.button("reset", {.enabled = !(settings == usual), .hint = "the settings that a new document has"})) context.run(cmd::SetSampler{usual});
  if (header.button("all off", {.enabled = !(settings == SamplerSettings{}), .hint = "the model's own distribution"}))
    context.run(cmd::SetSampler{SamplerSettings{}});
  if (header.button("greedy", {.active = settings.temperature == 0, .hint = "T = 0: always the first token"})) {
    SamplerSettings next = settings;
    next.temperature = settings.temperature == 0 ? 1.0f : 0.0f;
    context.run(cmd::SetSampler{next});
  }
  header.end();
  PanelBody body(context);
  const std::vector<Row> rows = make_rows(context.model() ? context.model()->config().vocab : 65536);
  // The rows share the height as long as they keep a decent distance.
  const float height = context.theme.px(28);
  const float pitch = std::clamp(std::floor((body.size.y - height) / static_cast<float>(rows.size() - 1)), height + context.theme.px(2), context.theme.px(42));
  for (size_t i = 0; i < rows.size(); ++i) {
    ImGui::SetCursorScreenPos({body.min.x, body.min.y + static_cast<float>(i) * pitch});
    float value = rows[i].read(settings);
    if (!slider(context.theme, rows[i].label, &value, rows[i].range)) continue;
    SamplerSettings next = settings;
    rows[i].write(next, value);
    context.run(cmd::SetSampler{next});
  }
}

void needs_sampler_settings(const Document&, const ModelConfig&, Needs& needs) { needs.chain = true; }

nlohmann::json sampler_figure(const FrameContext& context) { return to_json(context.document().sampler); }

}  // namespace

const Panel kSamplerSettingsPanel = {
    "sampler_settings",
    "Settings",
    "How the next token is chosen from the model's numbers. Drag a slider, or click its box and type; every panel follows "
    "at once, because the model need not run again. A value that is out of range is refused with the range.",
    6,
    needs_sampler_settings,
    draw_sampler_settings,
    sampler_figure,
};

}  // namespace glassbox
