// What the attention kernels do beyond what the parity suite asks of every backend.
#include "tests/gpu/attention_results.h"

namespace glassbox::testing {
namespace {

std::vector<float> attend(const AttentionProblem& p) {
  const auto call = [&](const float* q, float* z, const KeyRow* scores, const KeyRow* pattern) {
    return cuda::attention(p.device(), q, z, scores, pattern, nullptr);
  };
  return attend_on_device(p, false, call).z;
}

TEST_CASE("a row of attention on the device has the same bits alone and among others", "[parity]") {
  const Shape shape{6, 2, 64};
  const std::vector<float> all = attend(AttentionProblem(shape, DType::f16, {131}, last_rows(131, 5)));
  AttentionProblem last(shape, DType::f16, {131}, last_rows(131, 1));
  const size_t vector = static_cast<size_t>(shape.heads * shape.head_dim);
  last.q = random_floats(5 * vector, 1, 1.5f);
  last.q.erase(last.q.begin(), last.q.end() - static_cast<std::ptrdiff_t>(vector));
  CHECK(same_bits(attend(last), {all.end() - static_cast<std::ptrdiff_t>(vector), all.end()}));
}

TEST_CASE("a head that is too large is refused", "[parity]") {
  AttentionArgs args;
  args.row_count = 1;
  args.heads = args.kv_heads = 1;
  args.head_dim = cuda::kMostHeadDim + 1;
  CHECK(cuda::attention(args, nullptr, nullptr, nullptr, nullptr, nullptr) == cudaErrorInvalidValue);
  CHECK(cuda::attention_scores(args, nullptr, nullptr, nullptr) == cudaErrorInvalidValue);
  CHECK(cuda::attention_mix(args, nullptr, nullptr, nullptr) == cudaErrorInvalidValue);
}

}  // namespace
}  // namespace glassbox::testing
