// What an instruction set offers: one table of plain functions, filled in a file of its own (kernels_*.cpp) and chosen
// when the program starts. This header holds plain data only: a file that is compiled for AVX-512 must not leave
// behind an inline function that the linker could pick for everybody.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernels/tensor.h"

namespace glassbox::cpu {

// 32 values of a row of x in 8 bits: x[i] ≈ scale · values[i].
//
// A row is its blocks in order and then some refinements: the blocks with the largest scales once more, with what
// rounding left of them. A few channels of a transformer are far larger than the rest (Dettmers et al. 2022), and most
// of the error lies in their blocks: on the golden text two refinements for eighteen blocks take the mean KL divergence
// from 2.8e-3 to 0.7e-3 nats.
struct QuantisedBlock {
  int8_t values[32];
  float scale;
  float scaled_sum;      // scale · Σ values
  int32_t half_sums[2];  // Σ values[0 … 15], Σ values[16 … 31]
  int32_t block;         // columns 32 · block …
};

// A part of out = x Wᵀ + b: some weight rows, all rows of x.
struct LinearTile {
  const std::byte* weight;  // [weight_rows, K]
  int64_t row_bytes;
  const std::byte* packed;  // the same in stripes (packed_weight.h), for the fast kernels
  int64_t stripe_bytes;
  int64_t weight_rows;
  int64_t columns;                  // K
  const float* x;                   // [rows, K]
  const QuantisedBlock* quantised;  // [rows, K / 32 + refinements], for the fast kernels
  int64_t refinements;
  int64_t rows;
  const float* bias;  // [weight_rows] or null
  float* out;         // [rows, out_stride]
  int64_t out_stride;
  std::byte* scratch;  // linear_scratch_bytes(weight_rows, K), 64-byte aligned
};
// For the exact kernels: each weight row's values in fp32, and its scales.
size_t linear_scratch_bytes(int64_t weight_rows, int64_t columns);

// Queries that share a key/value head of one sequence.
struct AttentionTile {
  const std::byte* const* blocks;  // keys or values of the sequence, in blocks of kKvBlock positions
  int64_t head_offset;             // bytes from a block's start to this head
  const std::byte* ahead;          // what will be read after the last of the blocks, or null
  DType dtype;
  int head_dim;
  int queries;
  const int32_t* lengths;          // [queries] keys that each query sees, ascending
  const float* const* query;       // [queries] → [D], for scores
  float* const* weights;           // [queries] → scores or pattern; scores need room for a whole number of blocks
  float* const* out;               // [queries] → [D], for mix
  int64_t first_block, end_block;  // keys of other blocks are left out
  float scale;
  float soft_cap;
};

struct KernelTable {
  const char* name;

  // One row of x into 8 bits. out [blocks + refinements]; refinements ≤ blocks.
  void (*quantise_row)(const float* x, int64_t blocks, int64_t refinements, QuantisedBlock* out);
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
