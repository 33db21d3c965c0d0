// Attention and the store of keys and values on the device against the reference.
#include "tests/gpu/attention_results.h"

namespace glassbox::testing {
namespace {

const Shape kShapes[] = {{1, 1, 1}, {2, 1, 7}, {6, 2, 64}, {4, 4, 33}, {3, 1, 80}, {2, 1, 256}};

using Problem = AttentionProblem;
using Result = AttentionResult;

Result fused(const Problem& p, Stores stores) {
  return attend_on_device(p, stores, [&](const float* q, float* z, const KeyRow* scores, const KeyRow* pattern) {
    return cuda::attention(p.device(), q, z, scores, pattern, nullptr);
  });
}

Result composed(const Problem& p) {
  const KeyRows rows(p, false);
  const DeviceBuffer<float> q(p.q);
  DeviceOutput z(p.q.size()), scores(rows.size), pattern(rows.size);
  const DeviceBuffer<KeyRow> s(rows.at(scores.data())), w(rows.at(pattern.data()));
  run_on_device([&] { return cuda::attention_scores(p.device(), q.data(), s.data(), nullptr); });
  run_on_device([&] { return cuda::attention_softmax(p.device(), s.data(), w.data(), nullptr); });
  run_on_device([&] { return cuda::attention_mix(p.device(), w.data(), z.data(), nullptr); });
  return {z.values(), scores.values(), pattern.values()};
}

TEST_CASE("attention on the device agrees with the reference, fused and in steps", "[parity]") {
  for (const Shape& shape : kShapes) {
    for (const DType dtype : {DType::f32, DType::f16}) {
      for (const int32_t length : {1, 5, 65, 150}) {
        // Each length with other settings: all of them with all would take minutes.
        Problem p(shape, dtype, {length}, last_rows(length, 3));
        p.host.window = length == 65 ? 40 : length == 5 ? 1 : 0;
        p.host.soft_cap = length == 150 ? 2.0f : 0.0f;
        const Result truth = reference(p, Stores::all);
        under_schedules([&] {
          INFO("H " << shape.heads << " G " << shape.kv_heads << " D " << shape.head_dim << " "
                    << dtype_info(dtype).name << " S " << length);
          check_results(fused(p, Stores::all), truth);
          check_results(composed(p), truth);
        });
      }
    }
  }
}

TEST_CASE("attention of rows of several sequences, with a window and a cap", "[parity][short]") {
  Problem p({6, 2, 64}, DType::f16, {131, 70}, {{1, 69}, {0, 130}, {0, 3}, {1, 4}, {0, 64}, {1, 63}});
  for (const int32_t window : {0, 50, 64}) {
    p.host.window = window;
    p.host.soft_cap = 3.0f;
    const Result truth = reference(p, Stores::all);
    under_schedules([&] {
      INFO("window " << window);
      check_results(fused(p, Stores::all), truth);
      check_results(composed(p), truth);
    });
  }
}

TEST_CASE("storing scores and pattern on the device changes no bit of z", "[parity]") {
  Problem p({6, 2, 64}, DType::f16, {150}, last_rows(150, 7));
  for (const int32_t window : {0, 40}) {
    p.host.window = window;
    const Result truth = reference(p, Stores::some);
    under_schedules([&] {
      const Result none = fused(p, Stores::nothing), some = fused(p, Stores::some), all = fused(p, Stores::all);
      CHECK(same_bits(some.z, none.z));
      CHECK(same_bits(all.z, none.z));
      check_results(some, truth);
      CHECK(std::isnan(none.scores[0]));
    });
  }
}

TEST_CASE("a row of attention on the device has the same bits alone and among others", "[parity]") {
  const Shape shape{6, 2, 64};
  const std::vector<float> all = fused(Problem(shape, DType::f16, {131}, last_rows(131, 5)), Stores::nothing).z;
  Problem last(shape, DType::f16, {131}, last_rows(131, 1));
  const size_t vector = static_cast<size_t>(shape.heads * shape.head_dim);
  last.q = random_floats(5 * vector, 1, 1.5f);
  last.q.erase(last.q.begin(), last.q.end() - static_cast<std::ptrdiff_t>(vector));
  CHECK(same_bits(fused(last, Stores::nothing).z, {all.end() - static_cast<std::ptrdiff_t>(vector), all.end()}));
}

TEST_CASE("cut edges on the device: a score of minus infinity has weight 0, a row of them pattern 0", "[parity]") {
  const Problem p({2, 1, 16}, DType::f32, {70}, {{0, 68}, {0, 69}});
  under_schedules([&] {
    const DeviceBuffer<float> q(p.q);
    std::vector<float> cut = random_floats(2 * 69 + 2 * 70, 9);
    cut[5] = kHidden;
    std::fill_n(cut.begin() + 2 * 69, 70, kHidden);  // row 1, head 0
    DeviceOutput scores(cut), pattern(cut.size()), z(p.q.size());
    const auto rows = [](float* data) { return std::vector<KeyRow>{{data, 69, 0}, {data + 2 * 69, 70, 0}}; };
    const DeviceBuffer<KeyRow> s(rows(scores.data())), w(rows(pattern.data()));
    run_on_device([&] { return cuda::attention_softmax(p.device(), s.data(), w.data(), nullptr); });
    run_on_device([&] { return cuda::attention_mix(p.device(), w.data(), z.data(), nullptr); });
    const std::vector<float> weights = pattern.values(), mixed = z.values();
    CHECK(weights[5] == 0.0f);
    double total = 0;
    for (size_t j = 0; j < 69; ++j) total += double{weights[j]};
    CHECK(std::fabs(total - 1) < 1e-6);
    for (size_t j = 0; j < 70; ++j) CHECK(weights[2 * 69 + j] == 0.0f);
    for (size_t d = 0; d < 16; ++d) CHECK(mixed[2 * 16 + d] == 0.0f);
  });
}

TEST_CASE("an edited pattern on the device reaches keys outside of the window", "[parity]") {
  Problem p({1, 1, 8}, DType::f32, {100}, {{0, 99}});
  p.host.window = 4;
  std::vector<float> edited(100, 0.0f), truth(8);
  edited[2] = 1.0f;
  const KeyRow row{edited.data(), 100, 0};
  make_reference_ops()->attention_mix(p.host, {&row, 1}, truth.data());
  const DeviceBuffer<float> pattern(edited);
  const DeviceBuffer<KeyRow> rows(std::vector<KeyRow>{{pattern.data(), 100, 0}});
  under_schedules([&] {
    DeviceOutput z(8);
    run_on_device([&] { return cuda::attention_mix(p.device(), rows.data(), z.data(), nullptr); });
    CHECK(z.values() == truth);
  });
}

TEST_CASE("kv_store on the device has the bits of the reference and writes nowhere else", "[parity]") {
  for (const Shape& shape : kShapes) {
    for (const DType dtype : {DType::f32, DType::f16}) {
      const std::vector<RowPosition> rows = {{0, 0}, {1, 63}, {1, 64}, {0, 77}};
      const size_t n = rows.size() * static_cast<size_t>(shape.kv_heads * shape.head_dim);
      std::vector<float> k = random_floats(n, 1, 100.0f), v = random_floats(n, 2, 1e-5f);  // f16 subnormals too
      v[0] = 70000.0f;
      const DeviceBuffer<float> d_k(k), d_v(v);
      const DeviceBuffer<RowPosition> d_rows(rows);
      under_schedules([&] {
        Caches caches(shape, dtype, {80, 80});
        AttentionArgs args;
        set_rows(args, rows);
        args.heads = shape.heads;
        args.kv_heads = shape.kv_heads;
        args.head_dim = shape.head_dim;
        caches.describe_host(args);
        make_reference_ops()->kv_store(args, k.data(), v.data());
        AttentionArgs on_device = args;
        on_device.rows = d_rows.data();
        caches.describe_device(on_device);
        run_on_device([&] { return cuda::kv_store(on_device, d_k.data(), d_v.data(), nullptr); });
        CHECK(caches.differences() == 0);
      });
    }
  }
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
