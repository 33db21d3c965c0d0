// Every operation of the engine, one declaration each, with its equation and shapes. A backend implements the class:
// reference/ (the obvious loops, the oracle), cpu/ (SIMD, threads, quantised dot products), cuda/.
//
// All activations are f32, row-major. Weights have any dtype. Unless a comment says so, outputs do not overlap inputs.
// Pointers lead into the backend's memory (allocate), which the host can read only where on_host() is true. So do spans
// of tokens, positions and rows, and the pointers and tables in them; only the list of projections, and the
// descriptions of tensors in it, are the host's. Operations run in the order of the calls; where the memory is not the
// host's, they may still be running when a call returns, until wait().
//
// Preconditions (shapes fit, pointers valid) are the caller's: core/model checks them once, when a model is loaded.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "kernels/pattern_summary.h"
#include "kernels/tensor.h"

namespace glassbox {

// exact: fp32 on dequantised weights, fp32 cache. fast: f16 cache; quantised dot products on a CPU, TF32 on a GPU.
enum class Precision : uint8_t { exact, fast };

// y = x Wᵀ + b
struct Linear {
  Tensor weight;  // [N, K] any dtype
  Tensor bias;    // [N] f32, may be empty
  // The weight once more as packed_weight.h lays it out, for the CPU's fast precision; without it every call packs
  // anew.
  const std::byte* packed = nullptr;
};

// One of several layers that read the same x.
struct Projection {
  const Linear& layer;
  float* out;  // [rows, N]
};
inline constexpr size_t kMostProjections = 3;  // q, k and v

// Positions per block of the key/value cache. It is also the chunk in which attention sums over keys: the partial sums
// of the chunks are merged in order, so a row's result depends on its own length and on nothing else.
inline constexpr int kKvBlock = 64;

struct RowPosition {
  int32_t sequence;  // index into the batch's sequences
  int32_t position;  // its position; it attends to keys 0 … position
};

// Where the values of one row that have a key axis lie: [H, position + 1], heads `head_stride` floats apart.
struct KeyRow {
  float* data = nullptr;  // null: not wanted
  int64_t head_stride = 0;
  // Where it is more than position + 1: the keys up to it, which the causal mask hides, are written too, −∞ as scores
  // and 0 as weights.
  int64_t width = 0;
};

// Block b of a sequence's cache holds positions [b·kKvBlock, (b+1)·kKvBlock) of all layers. Keys lie with the positions
// side by side, so that a register holds the same dimension of several keys and their scores need no sum across lanes.
struct AttentionArgs {
  const RowPosition* rows = nullptr;             // [R]; their keys are already stored
  int row_count = 0;                             // R
  int longest = 0;                               // at least the greatest position + 1; the host's measure of the work
  int sequence_count = 1;                        // how many sequences the rows are of; a measure of the work too
  std::byte* const* const* sequences = nullptr;  // of each the table of its blocks
  int64_t keys_at = 0, values_at = 0;  // bytes from a block's begin to this layer's keys [G, D, kKvBlock] and values
                                       // [G, kKvBlock, D]
  DType dtype = DType::f32;            // of the cache: f32 or f16
  int heads = 0, kv_heads = 0, head_dim = 0;  // H, G, D; H is a multiple of G
  float scale = 1.0f;                         // usually 1/√D
  float soft_cap = 0.0f;                      // > 0: s ← c·tanh(s/c)
  int32_t window = 0;                         // > 0: a row sees only the last `window` keys

  // Where the memory is the host's:
  std::span<const RowPosition> all_rows() const { return {rows, static_cast<size_t>(row_count)}; }
};

// Of the device that a backend has for itself. total 0: it works on the host's memory.
struct DeviceMemory {
  size_t free_bytes = 0, total_bytes = 0;
};

struct DecoderLayer;  // kernels/decoder_layer.h
struct LayerScratch;
struct LayerOutputs;
struct Norm;
struct DrawRow;       // kernels/draw.h
struct RowCloseness;  // kernels/nearest.h
struct NearestRow;

class Ops {
 public:
  virtual ~Ops() = default;
  // Backend, instruction set and thread count, e.g. "cpu avx512 ×2"; it is part of a recipe's kernel path.
  virtual std::string description() const = 0;

  // ---- memory

  virtual bool on_host() const { return true; }
  // Throws std::bad_alloc, or DeviceMemoryError where the memory is not the host's.
  virtual Buffer allocate(size_t bytes) { return Buffer(bytes); }
  // Of the host, from and to which the backend copies fastest. Throws as allocate().
  virtual Buffer allocate_staging(size_t bytes) { return Buffer(bytes); }
  virtual void upload(const void* host, size_t bytes, void* to);
  virtual void download(const void* from, size_t bytes, void* host);  // it is there after wait()
  virtual void copy(const void* from, size_t bytes, void* to);
  // The same beside the operations: it begins when those called before are done, and holds up none of those called
  // after, but for wait(). Until it is done nothing may change what it reads. For that, mark_downloads() gives the
  // copies beside so far one of kDownloadMarks numbers; what is called after await_downloads() begins when the copies
  // are done that had the number last.
  virtual void download_beside(const void* from, size_t bytes, void* host) { download(from, bytes, host); }
  virtual void mark_downloads(int /*mark*/) {}
  virtual void await_downloads(int /*mark*/) {}
  static constexpr int kDownloadMarks = 2;
  virtual void wait() {}
  // Notes, under one of kMarks numbers, that all operations called so far are done; wait_for() waits for that alone,
  // and not for those called since.
  static constexpr int kMarks = 2;
  virtual void mark(int) {}
  virtual void wait_for(int) {}
  virtual DeviceMemory memory() const { return {}; }  // takes up to a millisecond to ask

  // Another one on the same device, whose operations run beside those of this one; memory is common. It may be used by
  // another thread. Null where the backend has none. Throws DeviceError.
  virtual std::shared_ptr<Ops> beside() const { return nullptr; }

  // Runs operations that are the same whenever `key` is, in everything but what lies in memory: a backend may keep them
  // from one call and run them again for another without calling the function. They allocate nothing, wait for nothing
  // and copy nothing from or to the host.
  using RepeatKey = std::array<uint64_t, 8>;
  virtual void repeat(const RepeatKey& key, const std::function<void()>& operations);

  // ---- operations

  // out[r] = dequantised table[ids[r]]. table [V, C], out [R, C]. Preconditions: 0 ≤ id < V.
  virtual void embed(const Tensor& table, std::span<const int32_t> ids, float* out) = 0;

  // out = x / sqrt(mean(x²) + ε) ⊙ weight (Zhang & Sennrich 2019). x, out [rows, n]; weight [n].
  virtual void rmsnorm(const float* x, const float* weight, float eps, int64_t rows, int64_t n, float* out) = 0;

  // out = (x − mean(x)) / sqrt(var(x) + ε) ⊙ weight + bias (Ba et al. 2016). x, out [rows, n]; weight, bias [n]; bias
  // may be null.
  virtual void layernorm(const float* x, const float* weight, const float* bias, float eps, int64_t rows, int64_t n,
                         float* out) = 0;

  // out = x Wᵀ + b for each of the layers, at most kMostProjections, all of the same K. x [rows, K]. In fast precision,
  // where the weight is quantised, x is too: to 8 bits in blocks of 32, and to 16 in the few blocks that hold its
  // largest values. The sum over K has one order, whatever `rows` and the other layers are.
  virtual void linears(const float* x, std::span<const Projection> layers, Precision precision, int64_t rows) = 0;
  void linear(const float* x, const Linear& layer, Precision precision, int64_t rows, float* out) {
    const Projection projection{layer, out};
    linears(x, {&projection, 1}, precision, rows);
  }

  // Rotates pairs (i, i + D/2) of each head by position · frequency[i] (Su et al. 2021, in Hugging Face's order).
  // x, out [R, heads, D] (may be the same); frequency [D/2], in radians a position; attention_factor scales cos and
  // sin.
  virtual void rope(const float* x, std::span<const RowPosition> rows, int heads, int head_dim, const float* frequency,
                    float attention_factor, float* out) = 0;

  // Writes k, v [R, G, D] into the cache at each row's position, converting to its dtype.
  virtual void kv_store(const AttentionArgs& args, const float* k, const float* v) = 0;

  // z[r,h] = Σ_j softmax_j(score[r,h,j]) v_j with score = scale·(q·k_j), soft-capped. q, z [R, H, D].
  // `scores` and `pattern` are [R] or empty; where an entry's pointer is set, the row's scores (before the mask of the
  // window; all causal keys) and weights are stored too. `summary` is that of the pattern; where the memory is not the
  // host's, it is of the rows whose pattern is stored. Storing changes no bit of z.
  virtual void attention(const AttentionArgs& args, const float* q, float* z, std::span<const KeyRow> scores,
                         std::span<const KeyRow> pattern, const PatternSummary& summary = {}) = 0;

  // The same group in elementary steps, for edits inside it. On the CPU the composition has the same bits as
  // `attention`; CUDA's, which goes over the keys once, agrees with it to rounding.
  virtual void attention_scores(const AttentionArgs& args, const float* q, std::span<const KeyRow> scores) = 0;
  // pattern[r,h,j] = exp(s_j − max) / Σ exp(s − max) over the keys that the window leaves. A score of −∞ has weight 0;
  // a row whose scores are all −∞ has pattern 0.
  virtual void attention_softmax(const AttentionArgs& args, std::span<const KeyRow> scores,
                                 std::span<const KeyRow> pattern) = 0;
  // z = pattern · v
  virtual void attention_mix(const AttentionArgs& args, std::span<const KeyRow> pattern, float* z) = 0;

  // out = a + b, out = a ⊙ b. [n]; out may be a or b.
  virtual void add(const float* a, const float* b, int64_t n, float* out) = 0;
  virtual void multiply(const float* a, const float* b, int64_t n, float* out) = 0;
  // out = x · sigmoid(x) (SiLU, Elfwing et al. 2017). out may be x.
  virtual void silu(const float* x, int64_t n, float* out) = 0;
  // out = ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (GELU in its tanh form, Hendrycks & Gimpel 2016). out may be x.
  virtual void gelu_tanh(const float* x, int64_t n, float* out) = 0;

  // ---- groups of operations that a backend may run in fused kernels. False: it does not, nothing has happened, and
  // the caller composes them (core/model/transformer.cpp has the definition of every value).

  // A layer of a decoder. resid [R, C], in and out. `outputs`, in the host's memory: what to store besides; attn_z may
  // be scratch.q. `placed_outputs`: the same in the backend's memory, brought there by upload(); null: nothing to
  // store.
  virtual bool decoder_layer(const DecoderLayer& layer, const AttentionArgs& args, Precision precision, float* resid,
                             const LayerScratch& scratch, const LayerOutputs& outputs,
                             const LayerOutputs* placed_outputs);
  // Whether decoder_layer() would run, and read what to store in the backend's memory alone: recorded, it then stores
  // what lies there whenever it is run again, and else what was wanted when it was recorded. Of `args` the sizes count.
  virtual bool reads_placed_outputs(const DecoderLayer& /*layer*/, const AttentionArgs& /*args*/) const {
    return false;
  }
  // logits[i] = cap(W norm(resid[logit_rows[i]])). resid [rows, C]; logits [logit_rows.size(), V]; final_norm [rows, C]
  // or null.
  virtual bool head(const Norm& norm, const Linear& layer, float soft_cap, const float* resid, int64_t rows,
                    std::span<const int32_t> logit_rows, float* logits, float* final_norm);

  // Draws a token for each row of logits [rows.size(), V] where they are: the one that the sampler chain draws on the
  // host, or none, with Drawn::decided 0. Rows share no memory. Precondition: draws().
  virtual bool draws() const { return false; }
  virtual void draw(const float* logits, int64_t vocab, std::span<const DrawRow> rows);

  // Of table [V, C] (any dtype) the `count` ≤ kMostNearest rows nearest to query [C], by each measure; equal ones by
  // id, without row `leave_out` (−1: none). closeness [V] of all rows; out [kNearnessMeasures, count]. query_norm =
  // |query|. Precondition: finds_nearest().
  virtual bool finds_nearest() const { return false; }
  virtual void nearest_rows(const Tensor& table, const float* query, float query_norm, int32_t leave_out, int count,
                            RowCloseness* closeness, NearestRow* out);

  // ---- rarely needed, or nothing but moving values; simple loops where the memory is the host's

  // The summary of rows [R] of a pattern; none of those whose pointer is not set.
  virtual void summarise_pattern(const AttentionArgs& args, std::span<const KeyRow> pattern,
                                 const PatternSummary& summary);

  // out[r, h] = row r of z with all heads but h set to zero. z [rows, H, D], out [rows, H, H·D].
  virtual void heads_alone(const float* z, int64_t rows, int heads, int head_dim, float* out);

  // out[i] = x[rows[i]]. x [any, columns], out [rows.size(), columns].
  virtual void gather_rows(const float* x, std::span<const int32_t> rows, int64_t columns, float* out);
  // out = factor · x. [n]; out may be x.
  virtual void scale(const float* x, float factor, int64_t n, float* out);
  // out = c · tanh(x / c). [n]; out may be x.
  virtual void soft_cap(const float* x, float cap, int64_t n, float* out);
  // Each value as a half float holds it. [n]; out may be x.
  virtual void round_to_f16(const float* x, int64_t n, float* out);
};

std::unique_ptr<Ops> make_reference_ops();

struct CpuOptions {
  int threads = 0;           // 0: one per physical core
  std::string isa;           // "", "portable", "avx2" or "avx512"; "" takes the best that the machine has.
                             // The environment's GLASSBOX_CPU overrides it.
  bool pin_threads = false;  // pinned and spinning on the command line; not beside a window
};
// Null when the instruction set asked for is unknown or not on this machine.
std::unique_ptr<Ops> make_cpu_ops(const CpuOptions& options);

}  // namespace glassbox
