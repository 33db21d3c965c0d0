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
#include <vector>

#include "core/model/model.h"
#include "core/run/document.h"
#include "core/run/sampler.h"
#include "core/run/step.h"

namespace glassbox {

// The embedding table in fp32 with its norms; made once a model.
struct EmbeddingTable {
  int vocab = 0, width = 0;
  std::vector<float> rows;   // [V, C]
  std::vector<float> norms;  // [V] Euclidean
};
std::shared_ptr<const EmbeddingTable> make_embedding_table(const Model& model);

struct Neighbour {
  int32_t id;
  float cosine, dot, distance;
};
struct Neighbours {
  std::vector<float> query;  // [C]
  float query_norm = 0;
  int32_t id = -1;           // the token that was asked for; −1 for a free vector
  std::array<std::vector<Neighbour>, 3> best;  // by NearBy; nearest first, without the token itself
};
Neighbours find_neighbours(const EmbeddingTable& table, std::span<const float> query, int32_t leave_out, int count);

// cos(x_i, x_j) over the rows of a step: layer −1 embeddings, l ≥ 0 resid_post of l.
struct CosineMatrix {
  int layer = -1, length = 0;
  std::vector<float> cosine;  // [T, T]
  std::vector<float> dots;    // [T, T]
  std::vector<float> norms;   // [T]
};
// Null when the step lacks a page.
std::shared_ptr<const CosineMatrix> make_cosine_matrix(const EmbeddingTable& table, const Step& step, int layer);

// Every head's pattern, max-pooled to at most kThumbnail × kThumbnail.
inline constexpr int kThumbnail = 28;
struct Thumbnails {
  int layers = 0, heads = 0, length = 0;
  int side = 0;                // pixels used of each thumbnail: min(length, kThumbnail)
  bool pooled = false;         // length > side: each pixel is the greatest weight of its cells
  std::vector<float> weights;  // [L, H, side, side]
};
std::shared_ptr<const Thumbnails> make_thumbnails(const ModelConfig& config, const Step& step);

// Measured properties of heads; VISUAL.md gives the definitions, badge_definition() says them on hover.
enum class Badge : uint8_t { previous, induction, name_mover, suppressor };
char badge_letter(Badge badge);
std::string badge_definition(Badge badge);
struct HeadScores {
  float previous = 0;          // mean weight on the token before, over positions ≥ 1
  float induction = 0;         // mean weight on the token after the last occurrence, on a random sequence repeated twice; NaN until measured
  float best_weight = 0;       // at the last position, the greatest weight on one token (not the first)
  int best_key = -1;
  float direct_logit = 0;      // the head's direct contribution to the logit of the token at best_key
};
struct HeadTable {
  int layers = 0, heads = 0;
  std::vector<HeadScores> scores;  // [L, H]
  const HeadScores& at(int layer, int head) const { return scores[static_cast<size_t>(layer * heads + head)]; }
  std::vector<Badge> badges(int layer, int head) const;
};
// Needs attn_pattern and attn_z of all layers and resid_post of the last. `induction` [L·H] or empty.
std::shared_ptr<const HeadTable> make_head_table(const Model& model, const Step& step, std::span<const float> induction);
// The random sequence of the induction score (fixed seed, `half` ordinary tokens twice), and the score from its step.
std::vector<int32_t> make_induction_tokens(const Model& model, int half = 24);
std::vector<float> measure_induction(const ModelConfig& config, const Step& step, int half = 24);

// A head's direct contribution to the logit of a token at a position: z_h · W_O[h] · (g ⊙ head row) / rms, with the final
// norm's scale of that position. NaN when pages are missing or the model's final norm is no RMSNorm.
float direct_logit(const Model& model, const Step& step, int layer, int head, int position, int32_t token);

// The thread. A newer job of the same kind replaces a waiting one.
class AnalysisThread {
 public:
  explicit AnalysisThread(std::function<void()> wake);
  ~AnalysisThread();
  // `work` runs on the thread; its effects are its own (it publishes into a slot that it owns by shared_ptr).
  void post(const std::string& kind, std::function<void()> work);
  bool idle() const;

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
