// What an instruction set offers: one table of plain functions, filled in a file of its own (kernels_*.cpp) and chosen
// when the program starts. This header holds plain data only: a file that is compiled for AVX-512 must not leave
// behind an inline function that the linker could pick for everybody.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/tensor.h"

namespace glassbox::cpu {

// Quantised rows and their scales lie in memory padded to these counts, so that kernels need no tail there. They fit
// all instruction sets.
inline constexpr int64_t kPadColumns = 128;
inline constexpr int64_t kPadBlocks = 16;

// Rows of x in 8 bits: x[i] ≈ scale[i / 32] · value[i]. The order of the values is the kernel's own (see
// Portable::join).
struct QuantisedRows {
  int8_t* values;        // [rows, value_stride]
  float* scales;         // [rows, block_stride]
  float* sums;           // [rows, block_stride], scale · Σ value of each block
  int64_t value_stride;  // K rounded up to kPadColumns
  int64_t block_stride;  // K / 32 rounded up to kPadBlocks
};

// A part of out = x Wᵀ + b: some weight rows, all rows of x.
struct LinearTile {
  const std::byte* weight;  // [weight_rows, K]
  int64_t row_bytes;
  int64_t weight_rows;
  int64_t columns;          // K
  const float* x;           // [rows, K]
  QuantisedRows quantised;  // the same, for the fast kernels
  int64_t rows;
  const float* bias;  // [weight_rows] or null
  float* out;         // [rows, out_stride]
  int64_t out_stride;
  std::byte* scratch;  // linear_scratch_bytes(weight_rows, K), 64-byte aligned
};
// For each weight row its values (fp32 at most) and its scales.
size_t linear_scratch_bytes(int64_t weight_rows, int64_t columns);

// Queries that share a key/value head of one sequence.
struct AttentionTile {
  const std::byte* const* blocks;  // keys or values of the sequence, in blocks of kKvBlock positions
  int64_t head_offset;             // bytes from a block's start to this head
  DType dtype;
  int head_dim;
  int queries;
  const int32_t* lengths;     // [queries] keys that each query sees, ascending
  const float* const* query;  // [queries] → [D], for scores
  float* const* weights;      // [queries] → scores or pattern; scores need room for a whole number of blocks
  float* const* out;          // [queries] → [D], for mix
  int64_t first_block;        // keys before this block are left out
  float scale;
  float soft_cap;
};

struct KernelTable {
  const char* name;

  // One row of x into 8 bits; also fills the padding with zeros.
  void (*quantise_row)(const float* x, int64_t row, int64_t columns, const QuantisedRows& out);
  void (*linear_fast[kDTypeCount])(const LinearTile&);  // plain types: as exact
  void (*linear_exact[kDTypeCount])(const LinearTile&);

  void (*scores)(const AttentionTile&);  // weights ← scores
  // pattern ← softmax of the scores from `low` on, 0 before. pattern may be scores.
  void (*softmax)(const float* scores, int64_t low, int64_t length, float* pattern);
  void (*mix)(const AttentionTile&);  // out ← Σ weights · values

  void (*rmsnorm)(const float* x, const float* weight, float eps, int64_t n, float* out);
  void (*layernorm)(const float* x, const float* weight, const float* bias, float eps, int64_t n, float* out);
  void (*rotate)(const float* x, const float* cosine, const float* sine, int heads, int head_dim, float* out);
  void (*to_f16)(const float* x, int64_t n, uint16_t* out);
  void (*add)(const float* a, const float* b, int64_t n, float* out);
  void (*multiply)(const float* a, const float* b, int64_t n, float* out);
  void (*silu)(const float* x, int64_t n, float* out);
  void (*gelu_tanh)(const float* x, int64_t n, float* out);
};

// Null where this program was compiled for another processor.
const KernelTable* portable_kernels();
const KernelTable* avx2_kernels();
const KernelTable* avx512_kernels();

}  // namespace glassbox::cpu
