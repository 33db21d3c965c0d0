#include "app/panels/stage2_vectors.h"

#include <algorithm>
#include <cmath>

#include "app/widgets/widgets.h"

namespace glassbox {

int chosen_vector_layer(const Document& document, const ModelConfig& config) {
  return std::clamp(document.selection.vector_layer, -1, config.layer_count() - 1);
}

std::vector<std::string> vector_layer_names(const ModelConfig& config) {
  std::vector<std::string> names = {"embedding"};
  for (int layer = 0; layer < config.layer_count(); ++layer) names.push_back("layer " + std::to_string(layer));
  return names;
}

namespace {

void measure(ShownVector& vector) {
  double squares = 0;
  for (size_t i = 0; i < vector.values.size(); ++i) {
    squares += static_cast<double>(vector.values[i]) * static_cast<double>(vector.values[i]);
    if (std::abs(vector.values[i]) > std::abs(vector.values[static_cast<size_t>(vector.largest)])) vector.largest = static_cast<int>(i);
  }
  vector.norm = std::sqrt(squares);
}

}  // namespace

std::shared_ptr<const ShownVector> shown_vector(const FrameContext& context) {
  const Model* model = context.model();
  if (!model) return nullptr;
  const std::vector<int32_t> tokens = context.document().shown_tokens();
  const int position = context.document().shown_position(), layer = chosen_vector_layer(context.document(), model->config());
  if (position < 0 || position >= static_cast<int>(tokens.size())) return nullptr;
  ShownVector vector;
  vector.position = position, vector.id = tokens[static_cast<size_t>(position)], vector.layer = layer;
  if (vector.id < 0 || vector.id >= model->config().vocab) return nullptr;
  const size_t width = static_cast<size_t>(model->config().width);
  // The row of the table needs no forward pass: it is there as soon as the token is.
  if (layer < 0) {
    const uint64_t version = mix_version(mix_version(model->hash(), static_cast<uint64_t>(vector.id)), static_cast<uint64_t>(position));
    return context.memo.get<ShownVector>("stage 2 vector", version, [&] {
      vector.values.resize(width);
      model->embedding_row(vector.id, vector.values.data());
      measure(vector);
      return vector;
    });
  }
  const View& view = context.view();
  if (!view.step || position >= view.step->length() || view.tokens[static_cast<size_t>(position)] != vector.id) return nullptr;
  const Page* page = view.step->page(Tap::resid_post, layer, position);
  if (!page) return nullptr;
  uint64_t version = mix_version(mix_version(model->hash(), view.id), static_cast<uint64_t>(layer + 1));
  version = mix_version(version, static_cast<uint64_t>(position));
  return context.memo.get<ShownVector>("stage 2 vector", version, [&] {
    const std::span<const float> row = page->row(position);
    vector.values.assign(row.begin(), row.end());
    measure(vector);
    return vector;
  });
}

std::string view_token(const FrameContext& context, int position) {
  const std::vector<int32_t>& tokens = context.view().tokens;
  if (!context.model() || position < 0 || position >= static_cast<int>(tokens.size())) return {};
  const int32_t id = tokens[static_cast<size_t>(position)];
  const Tokenizer& tokenizer = context.model()->tokenizer();
  return id >= 0 && id < tokenizer.vocab_size() ? token_text(context.theme, tokenizer, id) : std::string();
}

int view_position(const FrameContext& context) {
  const int count = static_cast<int>(context.view().tokens.size()), selected = context.document().selection.position;
  return selected < 0 ? count - 1 : std::min(selected, count - 1);
}

std::string embedding_table_name(const Model& model) {
  std::string type(dtype_info(model.weights().embedding.dtype).name);
  std::transform(type.begin(), type.end(), type.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return "token_embd, " + format_count(model.config().vocab) + " × " + format_count(model.config().width) + ", " + type;
}

void card_cosine(const Theme& theme, double dot, double first_norm, double second_norm) {
  card_equation(theme, Fraction{"e·f", "‖e‖ ‖f‖"},
                Fraction{format_value(dot, 5), format_value(first_norm, 5) + " × " + format_value(second_norm, 5)});
}

}  // namespace glassbox
