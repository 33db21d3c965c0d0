// Chance as a function: the random number of a draw is f(seed, branch, position), so that going back and branching
// repeat it. Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
#pragma once

#include <array>
#include <cstdint>

namespace glassbox {

// Ten rounds of Philox4x32 on a 128-bit counter under a 64-bit key.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// Uniform in [0, 1) with 53 bits. `branch` is 0 on the first line of a run; `position` is the index of the token drawn.
double draw_uniform(uint64_t seed, uint32_t branch, uint64_t position);

}  // namespace glassbox
