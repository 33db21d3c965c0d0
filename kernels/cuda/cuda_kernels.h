// Every operation of Ops (kernels/ops.h has their equations) as a launch on a stream. All pointers are the device's, in
// Tensor, AttentionArgs and KeyRow too. Nothing here allocates, waits or keeps state, and the sizes of a launch depend
// on its arguments alone, so that a graph may capture it: positions and lengths are read from device memory when it
// runs.
//
// A function returns the error of its launch. Letters of shapes: kernels/dims.h.
#pragma once

#include <driver_types.h>

#include <cstdint>
#include <span>

#include "kernels/decoder_layer.h"
#include "kernels/draw.h"
#include "kernels/nearest.h"
#include "kernels/ops.h"

namespace glassbox::cuda {

inline constexpr int kMostHeadDim = 256;  // D; attention refuses more

// row_kernels.cu

// out[r] = dequantised table[ids[r]]. table [V, C], ids [rows], out [rows, C].
cudaError_t embed(const Tensor& table, const int32_t* ids, int64_t rows, float* out, cudaStream_t stream);
// x, out [rows, n]; weight, bias [n], bias may be null. out may be x.
cudaError_t rmsnorm(const float* x, const float* weight, float eps, int64_t rows, int64_t n, float* out,
                    cudaStream_t stream);
cudaError_t layernorm(const float* x, const float* weight, const float* bias, float eps, int64_t rows, int64_t n,
                      float* out, cudaStream_t stream);
// [n]; out may be an input.
cudaError_t add(const float* a, const float* b, int64_t n, float* out, cudaStream_t stream);
cudaError_t multiply(const float* a, const float* b, int64_t n, float* out, cudaStream_t stream);
cudaError_t silu(const float* x, int64_t n, float* out, cudaStream_t stream);
cudaError_t gelu_tanh(const float* x, int64_t n, float* out, cudaStream_t stream);
cudaError_t scale(const float* x, float factor, int64_t n, float* out, cudaStream_t stream);
cudaError_t soft_cap(const float* x, float cap, int64_t n, float* out, cudaStream_t stream);
cudaError_t round_to_f16(const float* x, int64_t n, float* out, cudaStream_t stream);
// out[r, h] = row r of z with all heads but h set to zero. z [rows, H, D], out [rows, H, H·D].
cudaError_t heads_alone(const float* z, int64_t rows, int heads, int head_dim, float* out, cudaStream_t stream);
// out[i] = x[rows[i]]. x [any, columns], rows [count], out [count, columns].
cudaError_t gather_rows(const float* x, const int32_t* rows, int64_t count, int64_t columns, float* out,
                        cudaStream_t stream);

// linear.cu

// out = x Wᵀ + b in fp32 on dequantised weights, for at most kMostProjections layers of the same K, in one launch.
// x [rows, K]; the weights may have different types.
cudaError_t linears(const float* x, std::span<const Projection> projections, int64_t rows, cudaStream_t stream);
inline cudaError_t linear(const float* x, const Linear& layer, int64_t rows, float* out, cudaStream_t stream) {
  const Projection projection{layer, out};
  return linears(x, {&projection, 1}, rows, stream);
}

// Up to so many rows the weights are read once by a warp an output; beyond, tiles of outputs are cheaper.
inline constexpr int64_t kFewRows = 8;

// unpack.cu

// Rows of a weight matrix, and where their values go: [outputs, unpacked_pitch(columns)], at a multiple of 16 bytes.
struct Unpacking {
  const std::byte* data;  // [outputs, columns]
  int64_t row_bytes, outputs, columns;
  DType type;
  float* out;
};
inline constexpr int64_t unpacked_pitch(int64_t columns) {
  return (columns + 7) / 8 * 8;
}
// At most kMostUnpackings at a time, each of fewer than 2³² values.
inline constexpr size_t kMostUnpackings = 8;
cudaError_t unpack(std::span<const Unpacking> list, cudaStream_t stream);

// out[r] = bias for all rows, which are `pitch` floats apart.
struct BiasFill {
  const float* bias;  // [outputs]
  int64_t outputs, pitch;
  float* out;
};
cudaError_t fill_rows(std::span<const BiasFill> list, int64_t rows, cudaStream_t stream);

// draw.cu

// Draws a token for each row of logits [row_count, V]: see Ops::draw.
cudaError_t draw(const float* logits, int64_t vocab, const DrawRow* rows, int64_t row_count, cudaStream_t stream);

// nearest.cu

// See Ops::nearest_rows. closeness [V]; out [kNearnessMeasures, count].
cudaError_t nearest_rows(const Tensor& table, const float* query, float query_norm, int32_t leave_out, int count,
                         RowCloseness* closeness, NearestRow* out, cudaStream_t stream);

// rope.cu

// x, out [R, heads, D], may be the same; frequency [D/2] in radians a position.
cudaError_t rope(const float* x, const RowPosition* rows, int row_count, int heads, int head_dim,
                 const float* frequency, float attention_factor, float* out, cudaStream_t stream);

// attention.cu

// k, v [R, G, D].
cudaError_t kv_store(const AttentionArgs& args, const float* k, const float* v, cudaStream_t stream);
// One pass over the keys. q, z [R, H, D]; scores, pattern [R] or null. Storing changes no bit of z.
cudaError_t attention(const AttentionArgs& args, const float* q, float* z, const KeyRow* scores, const KeyRow* pattern,
                      cudaStream_t stream);
// The same by tiles of rows, which attention() takes where it suits: many rows of few sequences. `most_shared`: bytes
// of shared memory that a block may have; 0: as many as the device allows.
bool suits_tiles(const AttentionArgs& args);
// Whether each sequence has too few rows for its keys to be shared among them.
bool has_few_rows_each(const AttentionArgs& args);
cudaError_t attention_tiles(const AttentionArgs& args, const float* q, float* z, const KeyRow* scores,
                            const KeyRow* pattern, cudaStream_t stream, size_t most_shared = 0);
// The same in steps, for edits between them; z then agrees with attention()'s up to the rounding of a sum.
cudaError_t attention_scores(const AttentionArgs& args, const float* q, const KeyRow* scores, cudaStream_t stream);
cudaError_t attention_softmax(const AttentionArgs& args, const KeyRow* scores, const KeyRow* pattern,
                              cudaStream_t stream);
cudaError_t attention_mix(const AttentionArgs& args, const KeyRow* pattern, float* z, cudaStream_t stream);

// pattern_summary.cu

// See Ops::summarise_pattern. pattern [R].
cudaError_t summarise_pattern(const AttentionArgs& args, const KeyRow* pattern, const PatternSummary& summary,
                              cudaStream_t stream);

// decoder_layer.cu, head.cu: the groups of a decoder for a few rows, in fp32 on dequantised weights. Their sums are
// others than those of the operations above, so a step's bits depend on whether it ran so; storing outputs changes
// none. The sizes of the launches depend on the number of rows and on args.longest.

inline constexpr int kMostFusedRows = 8;     // of one launch
inline constexpr int kMostGroupedRows = 32;  // of one call, which runs them in groups

// Floats of scratch memory that a layer needs, for any number of rows.
size_t decoder_scratch_floats(int heads, int head_dim, int ff);

// Whether decoder_layer() and head() can do it: at most kMostGroupedRows rows; D at most kMostHeadDim; D, C and F
// multiples of 4; weights that begin at multiples of 16 bytes. Of a layer's more than kMostFusedRows rows each sequence
// has but a few: a prompt's are better off together (wide_layer.h).
bool fits_decoder_layer(const DecoderLayer& layer, const AttentionArgs& args);
bool fits_head(const Linear& layer, int64_t count);

// A layer in five launches for each kMostFusedRows rows. resid [R, C], in and out; scratch: decoder_scratch_floats() at
// a multiple of 16 bytes, as all other arrays are; outputs: in device memory too, where no launch writes it, with the
// arrays of KeyRow that it names, or null. Keys and values of the rows go into the cache; rows of one sequence stand in
// the order of their positions. Invalid: what does not fit.
cudaError_t decoder_layer(const DecoderLayer& layer, const AttentionArgs& args, float* resid, float* scratch,
                          const LayerOutputs* outputs, cudaStream_t stream);

// logits[i] = cap(W norm(resid[logit_rows[i]])), in a launch for each kMostFusedRows. resid [rows, C]; logit_rows
// [count] in device memory, or null: count is rows; logits [count, V]; soft_cap 0: none; final_norm null or [rows, C],
// of all rows. Invalid as above.
cudaError_t head(const Norm& norm, const Linear& layer, float soft_cap, const float* resid, int64_t rows,
                 const int32_t* logit_rows, int64_t count, float* logits, float* final_norm, cudaStream_t stream);

}  // namespace glassbox::cuda
