// Drawing a token beside its logits: the same that the whole chain of core/run/sampler.h draws on the host, or none.
// The method is that of core/run/sampler_draw.cpp: the head of the sorted list decides nearly always. Weights in the
// head and their sums are in fp64 in the chain's order, with its bits; what lies beyond is summed in fp32, and where
// the error of that sum could decide, the draw is left to the host. Compiled without contraction (toolkit.cmake).
#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/reductions.h"
#include "kernels/cuda/top_candidates.h"
#include "kernels/draw.h"
#include "kernels/exp_below_zero.h"
#include "kernels/hash.h"

namespace glassbox::cuda {
namespace {

// A block draws for a row; a thread has the values i with i mod kThreads = its own.
constexpr int kThreads = kHashLines;
// Of the fp32 sum over the vocabulary, relative: three roundings of an exponent of up to 104 (beyond, the weight is 0),
// expf's own, those of a thread's additions, and of what adds the threads'.
__device__ double tail_error(int64_t vocab) {
  constexpr double kOfExponent = 3 * 104, kOfExp = 8, kOfBlock = 64;
  return (kOfExponent + kOfExp + static_cast<double>(vocab) / kThreads + kOfBlock) * 0x1p-24;
}
static_assert(kHashGroup == kWarp && kThreads == kTopThreads);

// As exp_below_zero() on the host.
__device__ double exp_of(double x) {
  if (!(x >= kExpLowest)) return 0.0;
  const ExpParts<double> parts = exp_parts(x);
  return __longlong_as_double(__double_as_longlong(parts.series) + (__double_as_longlong(parts.shifted) << 52));
}

// The bits of hash_logits(), in thread 0.
__device__ uint64_t hash_row(const float* logits, int64_t vocab) {
  GLASSBOX_SHARED(groups, uint64_t[kThreads / kWarp]);
  uint64_t line = kHashStart + threadIdx.x;
  for (int64_t i = threadIdx.x; i < vocab; i += kThreads) line = join_hashes(line, __float_as_uint(logits[i]));
  uint64_t group = kHashStart;
  for (int lane = 0; lane < kWarp; ++lane) group = join_hashes(group, __shfl_sync(kAllLanes, line, lane));
  if (own_lane() == 0) groups[own_warp()] = group;
  __syncthreads();
  uint64_t hash = kHashStart;
  if (threadIdx.x == 0) {
    for (int g = 0; g < kThreads / kWarp; ++g) hash = join_hashes(hash, groups[g]);
  }
  return hash;
}

__device__ bool has_penalties(const DrawSettings& s) {
  return s.penalty_window != 0 &&
         (s.repetition_penalty != 1.0f || s.presence_penalty != 0.0f || s.frequency_penalty != 0.0f);
}

// Leaves the penalised logits in row.penalised.
__device__ void penalise(const DrawRow& row, const float* logits, int64_t vocab) {
  const DrawSettings& s = row.settings;
  const int first = s.penalty_window < 0 ? 0 : max(0, row.length - s.penalty_window);
  for (int64_t i = threadIdx.x; i < vocab; i += kThreads) row.penalised[i] = logits[i];
  const auto each_token = [&](const auto& visit) {
    for (int i = first + static_cast<int>(threadIdx.x); i < row.length; i += kThreads) {
      const int32_t token = row.history[i];
      if (token >= 0 && token < vocab) visit(token);
    }
  };
  each_token([&](int32_t token) { atomicAdd(&row.counts[token], 1); });
  __syncthreads();
  each_token([&](int32_t token) {
    const int count = atomicExch(&row.counts[token], 0);
    if (count == 0) return;  // another occurrence has done it
    const float logit = row.penalised[token];
    const float repeated = logit <= 0.0f ? logit * s.repetition_penalty : logit / s.repetition_penalty;
    row.penalised[token] = repeated - (static_cast<float>(count) * s.frequency_penalty + s.presence_penalty);
  });
  __syncthreads();
}

// The weights at one temperature: exp((x − greatest) / T).
struct Weights {
  double* of_head;   // [kMostTop]
  double total = 0;  // over the whole vocabulary, where it is needed
  double error = 0;  // of the total, at most
};

// Sum of the weights below the head, to all threads.
__device__ float sum_tail(const float* values, int64_t vocab, uint64_t lowest, float greatest, float temperature) {
  const float scale = 1.0f / temperature;
  float sum = 0.0f;
  for (int64_t i = threadIdx.x; i < vocab; i += kThreads) {
    if (candidate_key(values[i], i) < lowest) sum += expf((values[i] - greatest) * scale);
  }
  return sum_block<kThreads>(sum);
}

// What the stages pass on: the chain of core/run/sampler_draw.cpp, by one thread.
struct Chain {
  const Weights* weights;
  int head;
  int64_t vocab, kept;

  __device__ bool keep(int64_t count) {  // false: the head is too short
    kept = count < kept ? count : kept;
    return kept == vocab || kept <= head;
  }
  __device__ int reach() const { return kept < head ? static_cast<int>(kept) : head; }
  // −1: perhaps more beyond the head.
  __device__ int count_above(double share) const {
    int count = 0;
    while (count < reach() && weights->of_head[count] >= share) ++count;
    return count == head && kept > head ? -1 : count;
  }
  // The first candidate at which the sum of the weights is (exceeds) `share` of the total; −1: beyond the head, or too
  // close to tell. The last with any weight where the sum never is.
  template <bool kMustExceed>
  __device__ int find_share(double share) const {
    const bool all = kept > head || kept == vocab;
    double total = weights->total, margin = weights->error;
    if (!all) {
      total = margin = 0.0;
      for (int i = 0; i < kept; ++i) total += weights->of_head[i];
    }
    const double target = share * total;
    double sum = 0.0;
    int last = 0;
    for (int i = 0; i < reach(); ++i) {
      const double weight = weights->of_head[i];
      if (kMustExceed && weight == 0.0) continue;
      sum += weight;
      last = i;
      if (margin > 0.0 && fabs(sum - target) <= margin) return -1;
      if (kMustExceed ? sum > target : sum >= target) return i;
    }
    if (all) return -1;
    return kMustExceed ? last : static_cast<int>(kept) - 1;
  }
};

// Index of the candidate drawn, or −1. `heated`, `plain`: the weights at the temperature and at 1.
__device__ int draw_in_head(const DrawRow& row, const Weights& plain, const Weights& heated, int head, int64_t vocab) {
  const DrawSettings& s = row.settings;
  Chain chain{&plain, head, vocab, vocab};
  for (const SamplerStage stage : s.order) {
    int64_t kept = vocab;
    if (stage == SamplerStage::temperature) {
      chain.weights = &heated;
    } else if (stage == SamplerStage::top_k && s.top_k != 0) {
      kept = s.top_k;
    } else if (stage == SamplerStage::top_p && s.top_p < 1.0f) {
      const int last = chain.find_share<false>(static_cast<double>(s.top_p));
      if (last < 0) return -1;
      kept = last + 1;
    } else if (stage == SamplerStage::min_p && s.min_p > 0.0f) {
      kept = chain.count_above(static_cast<double>(s.min_p));
      if (kept < 0) return -1;
    }
    if (!chain.keep(kept)) return -1;
  }
  return chain.find_share<true>(row.u);
}

// What the stages and the draw look at, of the weights at the temperature and at 1: those of the head, and their sum
// over the vocabulary, which nobody needs any more once few candidates are left.
struct Wants {
  bool plain = false, plain_total = false, heated_total = false;
};
__device__ Wants what_it_wants(const DrawSettings& s, int head, int64_t vocab) {
  Wants wants;
  bool heated = false, few = false;  // few: no more than the head holds, and not all
  for (const SamplerStage stage : s.order) {
    const bool by_share = stage == SamplerStage::top_p && s.top_p < 1.0f,
               by_greatest = stage == SamplerStage::min_p && s.min_p > 0.0f;
    if (stage == SamplerStage::temperature) heated = true;
    wants.plain = wants.plain || (!heated && (by_share || by_greatest));
    if (by_share && !few) (heated ? wants.heated_total : wants.plain_total) = true;
    const bool by_rank = stage == SamplerStage::top_k && s.top_k != 0 && s.top_k <= head;
    few = few || (head < vocab && (by_share || by_greatest || by_rank));
  }
  wants.heated_total = wants.heated_total || !few;
  return wants;
}

__device__ Weights weigh(double* of_head, bool wants_total, const TopCandidates& head, const float* values,
                         int64_t vocab, float greatest, float temperature) {
  for (int i = static_cast<int>(threadIdx.x); i < head.count; i += kThreads) {
    const double value = static_cast<double>(value_of(head.keys[i]));
    of_head[i] = exp_of((value - static_cast<double>(greatest)) / static_cast<double>(temperature));
  }
  Weights weights{of_head};
  if (!wants_total) {
    __syncthreads();
    return weights;
  }
  const double tail =
      head.count == vocab ? 0.0 : static_cast<double>(sum_tail(values, vocab, head.lowest, greatest, temperature));
  __syncthreads();
  if (own_warp() == 0) {
    double sum = 0.0;
    for (int i = own_lane(); i < head.count; i += kWarp) sum += of_head[i];
    for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(kAllLanes, sum, lanes);
    weights.total = sum + tail;
    // Two sums of V numbers that differ in order differ by less than 2·V·2⁻⁵³ of their value, and so do the products.
    weights.error = tail * tail_error(vocab) + 4.0 * static_cast<double>(vocab) * 0x1p-53 * weights.total;
  }
  return weights;
}

// logits [R, V]; a block for each row. One on a multiprocessor suffices: for compute capability 10.0 the compiler would
// make room for two, and spill.
__global__ void __launch_bounds__(kThreads, 1) draw_rows(const float* logits, int64_t vocab, const DrawRow* rows) {
  GLASSBOX_SHARED(plain_weights, double[kMostTop]);
  GLASSBOX_SHARED(heated_weights, double[kMostTop]);
  GLASSBOX_SHARED(first_greatest, int);
  wait_for_launches_before();
  const DrawRow& row = rows[blockIdx.x];
  const DrawSettings& s = row.settings;
  logits += blockIdx.x * vocab;
  const uint64_t hash = hash_row(logits, vocab);
  const float* values = logits;
  if (has_penalties(s)) {
    penalise(row, logits, vocab);
    values = row.penalised;
  }
  float own = -INFINITY;
  bool ordered = true;
  for (int64_t i = threadIdx.x; i < vocab; i += kThreads) {
    own = fmaxf(own, values[i]);
    ordered = ordered && values[i] == values[i];
  }
  const float greatest = max_block<kThreads>(own);

  int32_t token = -1;  // in thread 0
  int32_t any = 0;
  if (__syncthreads_count(ordered) < kThreads) {
    // A model that has run over its numbers: the chain says what it makes of that.
  } else if (s.temperature == 0.0f || std::isinf(greatest)) {
    if (threadIdx.x == 0) first_greatest = static_cast<int>(vocab - 1);
    __syncthreads();
    for (int64_t i = threadIdx.x; own == greatest && i < vocab; i += kThreads) {
      if (values[i] != greatest) continue;
      atomicMin(&first_greatest, static_cast<int>(i));
      break;
    }
    __syncthreads();
    any = first_greatest;
    if (!std::isinf(greatest)) token = any;
  } else {
    const TopCandidates head = find_top(vocab, [&](int64_t i) { return candidate_key(values[i], i); });
    if (head.count > 0) {
      const Wants wants = what_it_wants(s, head.count, vocab);
      const Weights plain =
          wants.plain ? weigh(plain_weights, wants.plain_total, head, values, vocab, greatest, 1.0f) : Weights{};
      const Weights heated = weigh(heated_weights, wants.heated_total, head, values, vocab, greatest, s.temperature);
      if (threadIdx.x == 0) {
        any = id_of(head.keys[0]);
        const int place = draw_in_head(row, plain, heated, head.count, vocab);
        if (place >= 0) token = id_of(head.keys[place]);
      }
    }
  }
  if (threadIdx.x != 0) return;
  const int32_t next = token >= 0 ? token : any;
  *row.result = {next, token >= 0, hash};
  *row.next = next;
  row.history[row.length] = next;
}

}  // namespace

cudaError_t draw(const float* logits, int64_t vocab, const DrawRow* rows, int64_t row_count, cudaStream_t stream) {
  if (row_count == 0) return cudaSuccess;
  if (vocab < 1 || vocab > INT32_MAX) return cudaErrorInvalidValue;
  return launch_early(draw_rows, dim3(static_cast<unsigned>(row_count)), dim3(kThreads), 0, stream, logits, vocab,
                      rows);
}

}  // namespace glassbox::cuda
