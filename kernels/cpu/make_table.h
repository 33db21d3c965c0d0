// Fills the table of one instruction set.
#pragma once

#include "kernels/cpu/attention_kernels.h"
#include "kernels/cpu/kernel_table.h"
#include "kernels/cpu/linear_kernels.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/simd_tags.h"

namespace glassbox::cpu {

template <class S>
struct TableOf {
  static const KernelTable* get() {
    static constexpr KernelTable kTable = make();
    return &kTable;
  }

 private:
  using Linear = LinearKernels<S>;

  template <class Format, DType type>
  static constexpr void set_quantised(KernelTable& table) {
    table.linear_fast[static_cast<int>(type)] = Linear::template packed_tile<type>;
    table.linear_exact[static_cast<int>(type)] = Linear::template dequantised_tile<Format>;
  }
  static constexpr void set_plain(KernelTable& table, DType type, void (*tile)(const LinearTile&)) {
    table.linear_fast[static_cast<int>(type)] = table.linear_exact[static_cast<int>(type)] = tile;
  }
  static constexpr KernelTable make() {
    KernelTable table{};
    table.name = S::kName;
    table.quantise_row = Linear::quantise_row;
    set_plain(table, DType::f32, Linear::f32_tile);
    set_plain(table, DType::f16, Linear::template half_tile<F16Tag>);
    set_plain(table, DType::bf16, Linear::template half_tile<Bf16Tag>);
    set_quantised<Q8_0Format<S>, DType::q8_0>(table);
    set_quantised<Q4_0Format<S>, DType::q4_0>(table);
    set_quantised<Q4_1Format<S>, DType::q4_1>(table);
    set_quantised<Q5_0Format<S>, DType::q5_0>(table);
    set_quantised<Q5_1Format<S>, DType::q5_1>(table);
    set_quantised<Q4KFormat<S>, DType::q4_k>(table);
    set_quantised<Q5KFormat<S>, DType::q5_k>(table);
    set_quantised<Q6KFormat<S>, DType::q6_k>(table);
    table.scores = AttentionKernels<S>::scores;
    table.softmax = AttentionKernels<S>::softmax;
    table.mix = AttentionKernels<S>::mix;
    table.rmsnorm = RowKernels<S>::rmsnorm;
    table.layernorm = RowKernels<S>::layernorm;
    table.rotate = RowKernels<S>::rotate;
    table.to_f16 = RowKernels<S>::to_f16;
    table.add = RowKernels<S>::add;
    table.multiply = RowKernels<S>::multiply;
    table.silu = RowKernels<S>::silu;
    table.gelu_tanh = RowKernels<S>::gelu_tanh;
    return table;
  }
};

}  // namespace glassbox::cpu
