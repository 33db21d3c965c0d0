// The CUDA backend: one stream, on which everything runs in the order of the calls, but for copies to the host beside
// it.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/products.h"
#include "kernels/cuda/recordings.h"
#include "kernels/cuda/side_copies.h"
#include "kernels/ops.h"

namespace glassbox::cuda {

class CudaOps : public Ops {
 public:
  explicit CudaOps(int device, BlasChoice blas = BlasChoice::if_found);  // throws DeviceError
  ~CudaOps() override;

  std::string description() const override { return description_; }
  bool on_host() const override { return false; }
  Buffer allocate(size_t bytes) override;
  Buffer allocate_staging(size_t bytes) override;
  void upload(const void* host, size_t bytes, void* to) override;
  void download(const void* from, size_t bytes, void* host) override;
  void copy(const void* from, size_t bytes, void* to) override;
  void download_beside(const void* from, size_t bytes, void* host) override;
  void mark_downloads(int mark) override;
  void await_downloads(int mark) override;
  void wait() override;
  void mark(int which) override;
  void wait_for(int which) override;
  DeviceMemory memory() const override;
  std::shared_ptr<Ops> beside() const override;
  void repeat(const RepeatKey& key, const std::function<void()>& operations) override;

  bool decoder_layer(const DecoderLayer& layer, const AttentionArgs& args, Precision precision, float* resid,
                     const LayerScratch& scratch, const LayerOutputs& outputs,
                     const LayerOutputs* placed_outputs) override;
  bool reads_placed_outputs(const DecoderLayer& layer, const AttentionArgs& args) const override;
  bool head(const Norm& norm, const Linear& layer, float soft_cap, const float* resid, int64_t rows,
            std::span<const int32_t> logit_rows, float* logits, float* final_norm) override;
  bool draws() const override { return true; }
  bool finds_nearest() const override { return true; }
  void nearest_rows(const Tensor& table, const float* query, float query_norm, int32_t leave_out, int count,
                    RowCloseness* closeness, NearestRow* out) override;
  void draw(const float* logits, int64_t vocab, std::span<const DrawRow> rows) override;
  void embed(const Tensor& table, std::span<const int32_t> ids, float* out) override;
  void rmsnorm(const float* x, const float* weight, float eps, int64_t rows, int64_t n, float* out) override;
  void layernorm(const float* x, const float* weight, const float* bias, float eps, int64_t rows, int64_t n,
                 float* out) override;
  void linears(const float* x, std::span<const Projection> layers, Precision precision, int64_t rows) override;
  void rope(const float* x, std::span<const RowPosition> rows, int heads, int head_dim, const float* frequency,
            float attention_factor, float* out) override;
  void kv_store(const AttentionArgs& args, const float* k, const float* v) override;
  void attention(const AttentionArgs& args, const float* q, float* z, std::span<const KeyRow> scores,
                 std::span<const KeyRow> pattern, const PatternSummary& summary) override;
  void attention_scores(const AttentionArgs& args, const float* q, std::span<const KeyRow> scores) override;
  void attention_softmax(const AttentionArgs& args, std::span<const KeyRow> scores,
                         std::span<const KeyRow> pattern) override;
  void attention_mix(const AttentionArgs& args, std::span<const KeyRow> pattern, float* z) override;
  void add(const float* a, const float* b, int64_t n, float* out) override;
  void multiply(const float* a, const float* b, int64_t n, float* out) override;
  void silu(const float* x, int64_t n, float* out) override;
  void gelu_tanh(const float* x, int64_t n, float* out) override;
  void summarise_pattern(const AttentionArgs& args, std::span<const KeyRow> pattern,
                         const PatternSummary& summary) override;
  void heads_alone(const float* z, int64_t rows, int heads, int head_dim, float* out) override;
  void gather_rows(const float* x, std::span<const int32_t> rows, int64_t columns, float* out) override;
  void scale(const float* x, float factor, int64_t n, float* out) override;
  void soft_cap(const float* x, float cap, int64_t n, float* out) override;
  void round_to_f16(const float* x, int64_t n, float* out) override;

 private:
  // The stream, for the thread that calls: which device a thread works on is its own setting.
  cudaStream_t stream() const;

  int device_;
  std::string description_;
  cudaStream_t stream_ = nullptr;
  std::array<cudaEvent_t, kMarks> marks_{};
  std::unique_ptr<SideCopies> side_copies_;
  std::unique_ptr<Products> products_;
  Recordings recordings_;
  std::vector<Buffer> scratch_;  // of fused layers; the last one is used
};

}  // namespace glassbox::cuda
