// Attention patterns in few numbers, for those that other kernels have stored.
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/row_summary.h"

namespace glassbox::cuda {
namespace {

constexpr int kThreads = 128;

__global__ void summarise_rows(AttentionArgs args, const KeyRow* pattern, PatternSummary summary) {
  const int r = static_cast<int>(blockIdx.x), h = static_cast<int>(blockIdx.y);
  const KeyRow row = pattern[r];
  if (row.data == nullptr) return;
  summarise_row<kThreads>(row.data + h * row.head_stride, args.rows[r].position + 1,
                          summary.from(int64_t{r} * args.heads + h));
}

}  // namespace

cudaError_t summarise_pattern(const AttentionArgs& args, const KeyRow* pattern, const PatternSummary& summary,
                              cudaStream_t stream) {
  if (args.row_count == 0 || !summary.wanted()) return cudaSuccess;
  const dim3 grid(static_cast<unsigned>(args.row_count), static_cast<unsigned>(args.heads));
  return launch(summarise_rows, grid, dim3(kThreads), 0, stream, args, pattern, summary);
}

}  // namespace glassbox::cuda
