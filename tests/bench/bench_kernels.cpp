// Times the CPU backend's kernels on the shapes of the default model (SmolLM2-135M: C 576, F 1536, H 9, G 3, D 64, L
// 30, V 49 152; weights Q4_1, head Q8_0), with 1 and 2 threads: how much of the weights a second of decoding reads, how
// many operations a second of prefill does, and what a whole token or prompt of these comes to. Usage: bench_kernels
// [rows] [isa]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/ops.h"
#include "kernels/packed_weight.h"

namespace {

using namespace glassbox;

// Seconds of one call: the best of several, each long enough to be measured.
double seconds(const std::function<void()>& call) {
  using Clock = std::chrono::steady_clock;
  call();
  double best = 1e9;
  const auto end = Clock::now() + std::chrono::milliseconds(300);
  do {
    const auto start = Clock::now();
    call();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  } while (Clock::now() < end);
  return best;
}

// Weights with random quants and half-float scales between 1/128 and 1/64.
struct Weights {
  Weights(DType type, int64_t outputs, int64_t columns, int copies) {
    const int64_t bytes = row_bytes(type, columns) * outputs;
    const DTypeInfo& info = dtype_info(type);
    std::mt19937 random(7);
    for (int i = 0; i < copies; ++i) {
      buffers.emplace_back(static_cast<size_t>(bytes));
      std::byte* data = buffers.back().data();
      for (int64_t b = 0; b < bytes; ++b) data[b] = static_cast<std::byte>(random());
      for (int64_t b = 0; b < bytes; b += info.block_bytes) {
        const uint16_t halves[2] = {static_cast<uint16_t>(0x2000 + (random() & 0x3ff)), 0xA000};
        std::memcpy(data + b, halves, type == DType::q4_1 ? 4 : 2);
      }
      const Tensor weight = make_tensor(data, type, {outputs, columns});
      packed.emplace_back(packed_bytes(weight));
      pack_weight(weight, packed.back().data());
      linears.push_back({weight, {}, packed.back().data()});
    }
  }
  std::vector<Buffer> buffers, packed;
  std::vector<Linear> linears;
};

struct Layer {
  const char* name;
  DType type;
  int64_t outputs, columns;
  int copies;  // in the model
};

void bench_linears(Ops& ops, int64_t rows, Precision precision) {
  const Layer layers[] = {{"q, o", DType::q4_1, 576, 576, 60},
                          {"k, v", DType::q4_1, 192, 576, 60},
                          {"gate, up", DType::q4_1, 1536, 576, 60},
                          {"down", DType::q4_1, 576, 1536, 30},
                          {"head", DType::q8_0, 49152, 576, 1}};
  double total = 0;
  for (const Layer& layer : layers) {
    // Decoding reads the whole model from memory; a prompt's time is arithmetic, and short calls find a quiet moment.
    const int copies = rows == 1 ? layer.copies : 1;
    const Weights weights(layer.type, layer.outputs, layer.columns, copies);
    const int64_t r = layer.copies == 1 ? 1 : rows;
    std::vector<float> x(static_cast<size_t>(r * layer.columns)), out(static_cast<size_t>(r * layer.outputs));
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float& v : x) v = normal(random);
    const double s = layer.copies / copies * seconds([&] {
                       for (const Linear& linear : weights.linears)
                         ops.linear(x.data(), linear, precision, r, out.data());
                     });
    const double values = static_cast<double>(layer.copies * layer.outputs * layer.columns);
    const double bytes = static_cast<double>(row_bytes(layer.type, layer.columns) * layer.outputs * layer.copies);
    std::printf("  %-9s %5ld × %-5ld ×%-2d %8.3f ms  %6.1f GB/s  %7.1f GFLOP/s\n", layer.name, long(layer.outputs),
                long(layer.columns), layer.copies, s * 1e3, bytes / s * 1e-9, 2 * values * double(r) / s * 1e-9);
    total += s;
  }
  std::printf("  all linears %.3f ms, %.1f tokens a second\n", total * 1e3, double(rows) / total);
}

void bench_attention(Ops& ops, int64_t rows, int32_t position) {
  constexpr int kLayers = 30, kHeads = 9, kKvHeads = 3, kHeadDim = 64;
  const size_t blocks = static_cast<size_t>((position + rows) / kKvBlock + 1);
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  constexpr size_t kSide = size_t{kKvHeads} * kKvBlock * kHeadDim * 2;
  Buffer memory(blocks * 2 * kSide * kLayers);
  std::vector<std::byte*> table;
  for (size_t b = 0; b < blocks; ++b) table.push_back(memory.data() + b * 2 * kSide * kLayers);
  std::byte* const* const sequence = table.data();
  auto* halves = reinterpret_cast<uint16_t*>(memory.data());
  for (size_t i = 0; i < memory.bytes() / 2; ++i) halves[i] = f32_to_f16(normal(random));
  std::vector<float> q(static_cast<size_t>(rows * kHeads * kHeadDim)), z(q.size());
  for (float& v : q) v = normal(random);
  std::vector<RowPosition> positions;
  for (int64_t r = 0; r < rows; ++r) positions.push_back({0, static_cast<int32_t>(position + r)});
  const double s = seconds([&] {
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const AttentionArgs args{.rows = positions.data(),
                               .row_count = static_cast<int>(rows),
                               .longest = static_cast<int>(position + rows),
                               .sequences = &sequence,
                               .keys_at = layer * 2 * static_cast<int64_t>(kSide),
                               .values_at = (layer * 2 + 1) * static_cast<int64_t>(kSide),
                               .dtype = DType::f16,
                               .heads = kHeads,
                               .kv_heads = kKvHeads,
                               .head_dim = kHeadDim,
                               .scale = 0.125f};
      ops.attention(args, q.data(), z.data(), {}, {});
    }
  });
  std::printf("  attention, %ld rows from position %d, %d layers: %.3f ms\n", long(rows), int(position), kLayers,
              s * 1e3);
}

void bench_small(Ops& ops, int64_t rows) {
  const size_t n = static_cast<size_t>(rows) * 1536;
  std::vector<float> a(n, 0.5f), b(n, 0.25f), out(n), weight(1536, 1.0f), frequency(32, 0.01f);
  std::vector<RowPosition> positions;
  for (int64_t r = 0; r < rows; ++r) positions.push_back({0, static_cast<int32_t>(r)});
  const auto time = [&](const char* name, const std::function<void()>& call) {
    std::printf("  %-10s %9.2f us\n", name, seconds(call) * 1e6);
  };
  time("rmsnorm", [&] { ops.rmsnorm(a.data(), weight.data(), 1e-5f, rows, 576, out.data()); });
  time("rope", [&] { ops.rope(a.data(), positions, 9, 64, frequency.data(), 1.0f, out.data()); });
  time("silu", [&] { ops.silu(a.data(), int64_t(n), out.data()); });
  time("multiply", [&] { ops.multiply(a.data(), b.data(), int64_t(n), out.data()); });
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t rows = argc > 1 ? std::atol(argv[1]) : 512;
  for (const int threads : {1, 2}) {
    const auto ops = make_cpu_ops({.threads = threads, .isa = argc > 2 ? argv[2] : ""});
    if (ops == nullptr) {
      std::fprintf(stderr, "this machine has no such instruction set\n");
      return 2;
    }
    for (const int64_t r : {int64_t{1}, rows}) {
      std::printf("%s, %ld rows, fast\n", ops->description().c_str(), long(r));
      bench_linears(*ops, r, Precision::fast);
      if (r == 1) {
        for (const int32_t position : {63, 511, 2047, 8000}) bench_attention(*ops, 1, position);
      } else {
        bench_attention(*ops, r, 0);
      }
      bench_small(*ops, r);
    }
    std::printf("%s, %ld rows, exact\n", ops->description().c_str(), long(std::min<int64_t>(rows, 128)));
    bench_linears(*ops, 1, Precision::exact);
    bench_linears(*ops, std::min<int64_t>(rows, 128), Precision::exact);
  }
}
