// What the panels of stage 3 share: the chosen head and its numbers, read from the step's pages.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "app/panels/panel.h"

namespace glassbox {

struct HeadChoice {
  int layer = 0, head = 0;
  bool operator==(const HeadChoice&) const = default;
};
// The document's head, moved inside the model when that has fewer layers or heads.
HeadChoice chosen_head(const Document& document, const ModelConfig& config);
std::string head_name(HeadChoice head);  // "L24·H4"
// True when an enabled edit sets the head's whole output to zero.
bool head_is_off(const Document& document, HeadChoice head);
// The key/value head that a query head reads.
int kv_head_of(const LayerConfig& layer, int head);

// The token at a position of the shown step, white space made visible; empty outside it.
std::string shown_token(const FrameContext& context, int position);

// The numbers of one head in the shown step. A view for one frame: it keeps pointers into the step's pages.
class HeadReader {
 public:
  HeadReader(const View& view, const ModelConfig& config, HeadChoice head);

  int length() const { return length_; }  // T; 0 without a step
  const LayerConfig& layer() const { return *layer_; }
  HeadChoice head() const { return head_; }
  // Keys 0 … query; empty when the page is not there (yet).
  std::span<const float> weights(int query) const;
  std::span<const float> scores(int query) const;
  // [D] as the scores use them: after rotation where the model rotates. Keys as they lie in the cache.
  std::span<const float> query_vector(int position) const;
  std::span<const float> key_vector(int position) const;
  std::span<const float> value_vector(int position) const;
  // NaN when not there; the weight of a key after the query is NaN too (masked).
  float weight(int query, int key) const;
  float score(int query, int key) const;

 private:
  std::span<const float> row(Tap tap, int position, int head) const;
  const Step* step_ = nullptr;
  const LayerConfig* layer_;
  HeadChoice head_;
  int length_ = 0;
  bool rotated_ = false;
  mutable std::vector<std::span<const float>> weight_rows_;  // looked up once a frame
};

// How one weight came about.
struct CellNumbers {
  float score = 0, weight = 0;
  float dot = 0;           // Σ_d q_d·k_d, or NaN when the vectors are not there
  double greatest = 0;     // the row's greatest score
  double exp_score = 0;    // exp(score − greatest)
  double exp_sum = 0;      // Σ_j exp(s_j − greatest) over the keys that the row may see
  bool outside_window = false;
  bool cut = false;        // by an enabled edit
};
std::optional<CellNumbers> read_cell(const HeadReader& reader, const Document& document, int query, int key);
bool cell_is_cut(const Document& document, HeadChoice head, int query, int key);

// The lines of a hover card on a cell of the pattern: both tokens, the score and the softmax with the numbers put in.
void draw_cell_card(const FrameContext& context, const HeadReader& reader, int query, int key);

// "÷ √64" when the scale is 1/√D, else "× 0.0884".
std::string scale_text(const LayerConfig& layer);

}  // namespace glassbox
