// Analyses: pure functions of a step or a model, and the thread that runs them beside the engine, so that sliders answer
// in the middle of a prefill.
#pragma once

#include <array>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "core/model/model.h"
#include "core/run/document.h"
#include "core/run/sampler.h"
#include "core/run/step.h"
#include "kernels/nearest.h"

namespace glassbox {

// The embedding table in fp32 with its norms; made once a model, where the host looks for neighbours.
// The rows are the table's own: without positions and without ModelConfig::embed_scale.
struct EmbeddingTable {
  int vocab = 0, width = 0;
  std::vector<float> rows;   // [V, C]
  std::vector<float> norms;  // [V] Euclidean
};
std::shared_ptr<const EmbeddingTable> make_embedding_table(const Model& model);

struct Neighbour {
  int32_t id;
  float cosine, dot, distance;
  float norm;  // of the row
};
struct Neighbours {
  std::vector<float> query;  // [C]
  float query_norm = 0;
  int32_t id = -1;           // the token that was asked for; −1 for a free vector
  std::array<std::vector<Neighbour>, 3> best;  // by NearBy; nearest first, without the token itself
};
// The `count` nearest of all rows by each measure, in one pass; equal values by id. query [C]; leave_out: an id that is
// not listed, −1: none. A vector of length 0 has cosine 0 with everything.
Neighbours find_neighbours(const EmbeddingTable& table, std::span<const float> query, int32_t leave_out, int count);
// The parts of it, for those who get the closeness of rows from elsewhere: the query alone, one neighbour, the lists.
Neighbours begin_neighbours(std::span<const float> query);
Neighbour make_neighbour(int32_t id, const RowCloseness& row, float query_norm);
void rank_rows(int vocab, const std::function<RowCloseness(int32_t)>& closeness_of, int32_t leave_out, int count,
               Neighbours& found);

// cos(x_i, x_j) over the positions of a step: layer −1 embeddings, l ≥ 0 resid_post of l. Of a long text only the last
// kMaxCosineRows positions, which start at `begin`: the matrix grows with the square of their number.
inline constexpr int kMaxCosineRows = 1024;
struct CosineMatrix {
  int layer = -1, length = 0;  // T here: rows of the matrix
  int begin = 0;               // the position of row 0
  std::vector<float> cosine;  // [T, T]
  std::vector<float> dots;    // [T, T]
  std::vector<float> norms;   // [T]
};
// Null when the step lacks a page.
std::shared_ptr<const CosineMatrix> make_cosine_matrix(const Model& model, const Step& step, int layer);

// Every head's pattern, max-pooled to at most kPooledKeys × kPooledKeys: pixel i stands for the positions
// [i·width, (i + 1)·width), as the pooled row of the last position has it, and is the greatest weight of its cells.
struct Thumbnails {
  int layers = 0, heads = 0, length = 0;
  int width = 1;               // pooled_width(length)
  int side = 0;                // pixels used of each thumbnail
  std::vector<float> weights;  // [L, H, side, side]
};
// Null when the step lacks attn_pooled of some layer. H is that of the layer with most heads.
std::shared_ptr<const Thumbnails> make_thumbnails(const ModelConfig& config, const Step& step);

// Measured properties of heads; VISUAL.md gives the definitions, badge_definition() says them on hover.
enum class Badge : uint8_t { previous, induction, name_mover, suppressor };
char badge_letter(Badge badge);
std::string badge_definition(Badge badge);
inline constexpr float kPreviousBadge = 0.6f, kInductionBadge = 0.4f, kLookBadge = 0.5f, kLogitBadge = 0.5f;
struct HeadScores {
  float previous = 0;          // mean weight on the token before, over positions ≥ 1; NaN when there is one position
  float induction = 0;         // mean weight on the token after the last occurrence, on a random sequence repeated twice; NaN until measured
  float best_weight = 0;       // at the last position, the greatest weight on one token
  int best_key = -1;
  float direct_logit = 0;      // the head's direct contribution to the logit of the token at best_key
};
struct HeadTable {
  int layers = 0, heads = 0;
  std::vector<HeadScores> scores;  // [L, H]
  const HeadScores& at(int layer, int head) const { return scores[static_cast<size_t>(layer * heads + head)]; }
  std::vector<Badge> badges(int layer, int head) const;
};
// What each dimension of a head's z adds to a token's logit, but for the final norm's scale: Σ_c (g ⊙ head row)[c] · W_O.
// It depends on the model alone, and while somebody types the heads look at the same tokens again and again.
class HeadOutputs {
 public:
  const std::vector<float>& get(const Model& model, int layer, int head, int32_t token);  // [D], until the next call

 private:
  static constexpr size_t kMost = 20000;  // 6 MiB for the default model
  std::map<std::tuple<int, int, int32_t>, std::vector<float>> kept_;
  uint64_t model_hash_ = 0;
};
// Needs attn_focus of all layers, and at the last position attn_z of all and resid_post of the last. `induction` [L·H]
// or empty. `outputs`: kept between calls, makes the next one faster.
std::shared_ptr<const HeadTable> make_head_table(const Model& model, const Step& step, std::span<const float> induction,
                                                 HeadOutputs* outputs = nullptr);
// The random sequence of the induction score (fixed seed, `half` ordinary tokens twice), and the score from its step.
std::vector<int32_t> make_induction_tokens(const Model& model, int half = 24);
std::vector<float> measure_induction(const ModelConfig& config, const Step& step, int half = 24);

// A head's direct contribution to the logit of a token at a position: z_h · W_O[h] · (g ⊙ head row) / rms, with the final
// norm's scale of that position, as it is before a soft-cap of the logits. The parts of all heads, of the MLPs, of the
// biases and of the embedding sum to the logit. NaN when pages are missing (attn_z of the layer, resid_post of the last)
// or the model's final norm is no RMSNorm.
float direct_logit(const Model& model, const Step& step, int layer, int head, int position, int32_t token);
// The same for every head, [L, H]; cheaper than one by one. Empty where direct_logit gives NaN for all.
std::vector<float> direct_logits(const Model& model, const Step& step, int position, int32_t token);
// The part of direct_logit(layer, head, query) that comes through one key: weight · v_key · W_O[h] · (g ⊙ head row) / rms.
// Over all keys it sums to direct_logit. Needs attn_pattern and v of the layer and resid_post of the last; NaN otherwise.
// `outputs`: kept between calls, makes the next one faster.
float cell_logit(const Model& model, const Step& step, int layer, int head, int query, int key, int32_t token,
                 HeadOutputs* outputs = nullptr);

// The thread. A newer job of the same kind replaces a waiting one, and takes its place in the queue.
class AnalysisThread {
 public:
  // `wake` is called from the thread after each job; it must only notify.
  explicit AnalysisThread(std::function<void()> wake);
  ~AnalysisThread();  // finishes the running job, drops those that wait
  // `work` runs on the thread; its effects are its own (it publishes into a slot that it owns by shared_ptr).
  void post(const std::string& kind, std::function<void()> work);
  bool idle() const;  // nothing waits or runs

 private:
  void loop();
  std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<std::string, std::function<void()>>> jobs_;
  bool stop_ = false, running_ = false;
  std::thread thread_;
};

}  // namespace glassbox
