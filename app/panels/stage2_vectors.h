// What the panels of stage 2 share: the chosen layer, and the vector of a token there.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "app/panels/panel.h"

namespace glassbox {

// −1 the embedding, l ≥ 0 the residual stream after layer l; moved inside the model when that has fewer layers.
int chosen_vector_layer(const Document& document, const ModelConfig& config);
// "embedding", "layer 0", …: index i is layer i − 1.
std::vector<std::string> vector_layer_names(const ModelConfig& config);

// The vector of the selected token of the shown step.
struct ShownVector {
  int position = 0;
  int32_t id = 0;
  int layer = -1;
  std::vector<float> values;  // [C]
  double norm = 0;            // Euclidean
  int largest = 0;            // index of the greatest |value|
};
// Null when there is no token, or when the layer's page is not there yet.
std::shared_ptr<const ShownVector> shown_vector(const FrameContext& context);

// The token at a position of the view's step, white space made visible; empty outside it.
std::string view_token(const FrameContext& context, int position);
// The selected position within the view's tokens; −1 when there are none.
int view_position(const FrameContext& context);

// "token_embd, 49 152 × 576, Q8_0"
std::string embedding_table_name(const Model& model);
// "e·f" over "‖e‖ ‖f‖", and the same with numbers.
void card_cosine(const Theme& theme, double dot, double first_norm, double second_norm);

}  // namespace glassbox
