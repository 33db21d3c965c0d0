// Kernels that are sound, and one step away from being so: the emulator's own tests run each with and without its
// fault.
#pragma once

#include <driver_types.h>

#include <cstdint>

namespace glassbox::testing {

enum class Planted : uint8_t {
  barrier_left_out_of_loop,
  second_barrier_left_out,
  barrier_after_early_return,
  barrier_in_two_branches,
  barrier_in_uneven_loop,
  shuffle_with_ended_lane,
  shuffle_beyond_the_block,
  shuffle_outside_mask,
  shuffle_in_two_branches,
  vote_against_barrier,
  shared_word_not_written,
  global_word_not_written,
  shared_index_too_large,
  dynamic_shared_too_small,
  global_index_too_large,
  shuffle_instead_of_syncwarp,
  blocks_add_without_atomics,
  misaligned_vector,
  early_without_wait,
  early_read,
  early_write,
};

inline constexpr int kPlantedBlocks = 2, kPlantedThreads = 64;
inline constexpr int kPlantedValues = kPlantedBlocks * kPlantedThreads;

// in, scratch, out: device, [kPlantedValues]. Without the fault every kernel leaves in out[i] what
// planted_result() tells of it.
cudaError_t run_planted(Planted kind, bool planted, const float* in, float* scratch, float* out, cudaStream_t stream);
float planted_result(Planted kind, const float* in, int i);

}  // namespace glassbox::testing
