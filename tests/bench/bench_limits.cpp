// What this machine can do at most, measured in the minute in which it matters: how fast its memory is read, and how
// many products a second its cores form in 8-bit integers, in bfloat16 and in 32-bit floats. Prints one JSON document:
// bytes a second and operations a second by thread count; one multiplication with its addition is two operations.
//
//   bench_limits [THREADS...]        for example "bench_limits 1 2"
//
// Reading: each thread reads its own part of a block far larger than any cache (on huge pages where there are any), as
// one stream and as eight side by side; the better way's best pass counts. Products: chains of one instruction on
// registers alone, as many side by side as hide its latency. The instruction is the best that the machine has: vpdpbusd
// (AVX-512 VNNI) or vpmaddubsw with its additions (AVX2); vdpbf16ps; vfmadd. What it lacks is left out.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using json = nlohmann::ordered_json;

constexpr size_t kBlockBytes = size_t{512} << 20;  // well above the last-level cache of today's servers
constexpr double kSeconds = 0.2;                   // of each measurement
constexpr int kLinks = 200000;                     // of a chain in one pass: less than a millisecond
constexpr int kChains = 12;                        // more than latency × instructions a cycle on any core so far

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The compiler must believe that somebody reads what has been computed.
void keep(const void* result) {
  asm volatile("" : : "g"(result) : "memory");
}

// Units a second of all threads together: they begin each pass (`units` of work for each of them) at the same moment,
// and it has ended when the last one is through. The best pass counts: what else runs on the machine is no limit of it.
double best_rate(int threads, double units, const std::function<void(int)>& pass) {
  std::barrier gate(threads);
  std::atomic<bool> enough{false};
  std::vector<double> begun(static_cast<size_t>(threads)), ended(begun.size());
  double best = 0;
  const double end = now() + kSeconds;
  const auto body = [&](int thread) {
    const auto mine = static_cast<size_t>(thread);
    while (true) {
      gate.arrive_and_wait();
      if (enough) return;
      begun[mine] = now();
      pass(thread);
      ended[mine] = now();
      gate.arrive_and_wait();
      if (thread != 0) continue;
      const double first = *std::min_element(begun.begin(), begun.end());
      best = std::max(best, units * threads / (*std::max_element(ended.begin(), ended.end()) - first));
      enough = now() > end;
    }
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads; ++thread) others.emplace_back(body, thread);
  body(0);
  for (std::thread& other : others) other.join();
  return best;
}

// A register of 64-bit numbers is enough: memory is slower than any core's loads.
using Lanes = uint64_t __attribute__((vector_size(32)));
constexpr size_t kRegisters = 8;

template <size_t Streams>
void read_part(const Lanes* data, size_t count) {
  constexpr size_t kEach = kRegisters / Streams;
  const size_t stream = count / Streams;
  Lanes sums[kRegisters] = {};
  for (size_t i = 0; i + kEach <= stream; i += kEach) {
    for (size_t s = 0; s < Streams; ++s)
      for (size_t j = 0; j < kEach; ++j) sums[s * kEach + j] ^= data[s * stream + i + j];
  }
  keep(sums);
}

class Block {
 public:
  Block() {
    void* memory = mmap(nullptr, kBlockBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      std::fprintf(stderr, "bench_limits: there is no memory for a block of %zu bytes\n", kBlockBytes);
      std::exit(1);
    }
    madvise(memory, kBlockBytes, MADV_HUGEPAGE);
    data_ = static_cast<Lanes*>(memory);
    for (size_t i = 0; i < kCount; ++i) data_[i] = Lanes{i, i, i, i};
  }
  ~Block() { munmap(data_, kBlockBytes); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  double read_rate(int threads) const {  // bytes a second
    const size_t part = kCount / static_cast<size_t>(threads);
    const auto bytes = static_cast<double>(part * sizeof(Lanes));
    const auto at = [&](int thread) { return data_ + part * static_cast<size_t>(thread); };
    return std::max(best_rate(threads, bytes, [&](int thread) { read_part<1>(at(thread), part); }),
                    best_rate(threads, bytes, [&](int thread) { read_part<8>(at(thread), part); }));
  }

 private:
  static constexpr size_t kCount = kBlockBytes / sizeof(Lanes);
  Lanes* data_;
};

struct Product {
  const char* kind;
  const char* instruction;
  double operations;  // of one link of all chains
  void (*run)();      // kLinks links
};

#if defined(__x86_64__)

__attribute__((target("avx512f,avx512vnni"))) void int8_avx512() {
  __m512i sums[kChains];
  const __m512i x = _mm512_set1_epi8(3), w = _mm512_set1_epi8(5);
  for (__m512i& sum : sums) sum = x;
  for (int link = 0; link < kLinks; ++link) {
#pragma GCC unroll 12
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, x, w);
  }
  keep(sums);
}

__attribute__((target("avx2"))) void int8_avx2() {
  __m256i sums[kChains];
  __m256i x = _mm256_set1_epi8(3);
  const __m256i w = _mm256_set1_epi8(5), ones = _mm256_set1_epi16(1);
  for (__m256i& sum : sums) sum = x;
  for (int link = 0; link < kLinks; ++link) {
    asm volatile("" : "+x"(x));  // new each time, or the products would be formed once
#pragma GCC unroll 12
    for (__m256i& sum : sums) {
      __m256i pairs = _mm256_maddubs_epi16(x, w);
      asm volatile("" : "+x"(pairs));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
    }
  }
  keep(sums);
}

__attribute__((target("avx512f,avx512bf16"))) void bf16_avx512() {
  __m512 sums[kChains];
  const __m512bh x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1.5f), _mm512_set1_ps(1.25f));
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (int link = 0; link < kLinks; ++link) {
#pragma GCC unroll 12
    for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, x, x);
  }
  keep(sums);
}

__attribute__((target("avx512f"))) void f32_avx512() {
  __m512 sums[kChains];
  const __m512 x = _mm512_set1_ps(0.5f);
  for (__m512& sum : sums) sum = x;
  for (int link = 0; link < kLinks; ++link) {
#pragma GCC unroll 12
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, x, x);
  }
  keep(sums);
}

__attribute__((target("avx2,fma"))) void f32_avx2() {
  __m256 sums[kChains];
  const __m256 x = _mm256_set1_ps(0.5f);
  for (__m256& sum : sums) sum = x;
  for (int link = 0; link < kLinks; ++link) {
#pragma GCC unroll 12
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, x, x);
  }
  keep(sums);
}

std::vector<Product> products() {
  std::vector<Product> found;
  const bool avx512 = __builtin_cpu_supports("avx512f") != 0, avx2 = __builtin_cpu_supports("avx2") != 0;
  if (avx512 && __builtin_cpu_supports("avx512vnni"))
    found.push_back({"int8", "vpdpbusd zmm", 128, int8_avx512});
  else if (avx2)
    found.push_back({"int8", "vpmaddubsw ymm", 64, int8_avx2});
  if (avx512 && __builtin_cpu_supports("avx512bf16")) found.push_back({"bf16", "vdpbf16ps zmm", 64, bf16_avx512});
  if (avx512)
    found.push_back({"f32", "vfmadd zmm", 32, f32_avx512});
  else if (avx2 && __builtin_cpu_supports("fma"))
    found.push_back({"f32", "vfmadd ymm", 16, f32_avx2});
  return found;
}

#else

std::vector<Product> products() {
  return {};
}

#endif

}  // namespace

int main(int argc, char** argv) {
  std::vector<int> counts;
  for (int i = 1; i < argc; ++i) counts.push_back(std::atoi(argv[i]));
  if (counts.empty()) counts = {1, std::max(1, static_cast<int>(std::thread::hardware_concurrency()))};
  if (*std::min_element(counts.begin(), counts.end()) < 1) {
    std::fprintf(stderr, "usage: bench_limits [THREADS...]\n");
    return 2;
  }
  json result;
  {
    const Block block;
    for (const int threads : counts) result["read"]["per_s"][std::to_string(threads)] = block.read_rate(threads);
    result["read"]["unit"] = "bytes";
  }
  for (const Product& product : products()) {
    json& entry = result[product.kind];
    const double operations = product.operations * kChains * kLinks;
    for (const int threads : counts)
      entry["per_s"][std::to_string(threads)] = best_rate(threads, operations, [&](int) { product.run(); });
    entry["unit"] = "operations";
    entry["instruction"] = product.instruction;
  }
  std::printf("%s\n", result.dump(1).c_str());
}
