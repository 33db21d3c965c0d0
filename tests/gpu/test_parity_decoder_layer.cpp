// The fused decoder layer and head against their composed definition, over what varies between models and calls.
#include "tests/gpu/decoder_problem.h"

namespace glassbox::testing {
namespace {

using Stores = LayerProblem::Stores;

struct Case {
  const char* name;
  LayerSettings settings;
  std::vector<int32_t> lengths;
  std::vector<RowPosition> rows;
};

const std::vector<DType> kMixed = {DType::q4_k, DType::q5_k, DType::q6_k, DType::q8_0,
                                   DType::q4_k, DType::q6_k, DType::q5_k};

const Case kCases[] = {
    {"SmolLM2 in small", {}, {130}, {{0, 129}}},
    {"SmolLM2 in small, its first token", {}, {1}, {{0, 0}}},
    {"GPT-2 in small",
     {.shape = {4, 4, 16},
      .width = 96,
      .ff = 160,
      .types = {DType::q8_0},
      .norm = NormKind::layer,
      .activation = Activation::gelu_tanh,
      .gated = false,
      .biases = true,
      .rotation = false,
      .cache = DType::f32},
     {70, 66},
     {{0, 69}, {1, 65}}},
    {"no rotation, f16 cache, four heads share their keys",
     {.shape = {4, 1, 16}, .width = 64, .ff = 64, .types = {DType::q4_0}, .biases = true, .rotation = false},
     {64},
     {{0, 63}}},
    {"mixed K formats, a window",
     {.shape = {2, 1, 128}, .width = 512, .ff = 256, .types = kMixed, .window = 40},
     {190},
     {{0, 127}, {0, 189}}},
    {"eight rows of three sequences, a soft-cap",
     {.shape = {4, 2, 80},
      .width = 160,
      .ff = 224,
      .types = {DType::q5_0, DType::q5_1, DType::q4_0, DType::q4_1, DType::q8_0},
      .activation = Activation::gelu_tanh,
      .cache = DType::f32,
      .soft_cap = 3.0f},
     {80, 131, 4},
     {{0, 78}, {0, 79}, {1, 127}, {1, 128}, {1, 130}, {2, 0}, {2, 1}, {2, 3}}},
    {"plain weights, a width that fills no unit, five heads share their keys",
     {.shape = {5, 1, 20}, .width = 100, .ff = 60, .types = {DType::f32, DType::f16, DType::bf16}, .biases = true},
     {67},
     {{0, 65}, {0, 66}}},
    {"large heads, nine share their keys",
     {.shape = {9, 1, 136}, .width = 64, .ff = 64, .types = {DType::f16}, .cache = DType::f32},
     {66},
     {{0, 65}}},
    {"K in chunks, through a layer norm",
     {.shape = {1, 1, 32},
      .width = 1280,
      .ff = 32,
      .types = {DType::q8_0, DType::q6_k, DType::q4_1, DType::q8_0, DType::q4_k, DType::q5_1},
      .norm = NormKind::layer},
     {5},
     {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}}},
    {"K in chunks, for the MLP's output",
     {.shape = {1, 1, 32}, .width = 64, .ff = 1280, .types = {DType::q4_1}},
     {5},
     {{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 4}}},
    {"chunks of K that fill the shared memory",
     {.shape = {1, 1, 32}, .width = 64, .ff = 3840, .types = {DType::f16}},
     {5},
     {{0, 4}}},
    {"splits of several blocks, more than some rows have",
     {.shape = {2, 1, 16}, .width = 64, .ff = 64, .types = {DType::q4_1}, .cache = DType::f32},
     {1100, 70},
     {{0, 1099}, {1, 69}}},
    {"a window over several splits",
     {.shape = {2, 1, 16}, .width = 64, .ff = 64, .types = {DType::q4_1}, .cache = DType::f32, .window = 200},
     {400},
     {{0, 398}, {0, 399}}},
};

TEST_CASE("a fused decoder layer agrees with the composed one, in everything that it shows", "[parity]") {
  for (const Case& c : kCases) {
    INFO(c.name);
    const LayerProblem problem(c.settings, c.lengths, c.rows);
    const LayerValues truth = problem.composed();
    under_schedules([&] {
      const LayerValues found = problem.fused(Stores::all);
      check_layer(problem, found, truth, bound_for(c.settings));
      problem.check_cache(found);
    });
  }
}

TEST_CASE("what is stored of a fused layer changes no bit of it", "[parity][short]") {
  const LayerProblem problem({.window = 150}, {200, 90}, {{0, 198}, {0, 199}, {1, 89}});
  const LayerValues truth = problem.composed();
  under_schedules([&] {
    const LayerValues all = problem.fused(Stores::all), some = problem.fused(Stores::some),
                      none = problem.fused(Stores::nothing);
    CHECK(same_bits(none.resid, all.resid));
    CHECK(same_bits(problem.fused(Stores::no_pointer).resid, all.resid));
    CHECK(same_bits(all["resid_pre"], problem.resid));
    CHECK(same_bits(some.resid, all.resid));
    problem.check_cache(all);
    for (size_t i = 0; i < kLayerOutputCount; ++i) {
      INFO(kLayerOutputs[i].name);
      CHECK((some.of[i].empty() || same_bits(some.of[i], all.of[i])));
    }
    for (size_t i = 0; i < all.scores.size(); ++i) {
      if (std::isnan(some.scores[i])) continue;
      CHECK(some.scores[i] == all.scores[i]);
      CHECK(some.pattern[i] == all.pattern[i]);
    }
    check_layer(problem, none, truth, bound_for(problem.s));
  });
}

// For captures: a length that the rows do not reach yet.
TEST_CASE("a fused layer may be launched for more keys than its rows have", "[parity]") {
  const LayerProblem problem({.cache = DType::f32}, {130}, {{0, 3}, {0, 129}});
  const LayerValues truth = problem.composed();
  for (const int longest : {130, 500, 4000}) {
    INFO("longest " << longest);
    under_schedules([&] { check_layer(problem, problem.fused(Stores::all, longest), truth, bound_for(problem.s)); });
  }
}

TEST_CASE("a fused layer runs rows of many sequences in groups", "[parity]") {
  constexpr int32_t kSequences = 19;  // two groups and a rest
  std::vector<int32_t> lengths;
  std::vector<RowPosition> rows;
  for (int32_t s = 0; s < kSequences; ++s) {
    lengths.push_back(3 + s * 17 % 90);
    rows.push_back({s, lengths.back() - 1});
  }
  const LayerProblem problem({.cache = DType::f32}, lengths, rows);
  const LayerValues truth = problem.composed();
  under_schedules([&] { check_layer(problem, problem.fused(Stores::all), truth, bound_for(problem.s)); });
  CHECK(same_bits(problem.fused(Stores::nothing).resid, problem.fused(Stores::all).resid));
}

TEST_CASE("a fused layer refuses what it cannot do", "[parity]") {
  const auto error_for = [](const LayerSettings& settings, size_t rows) {
    std::vector<RowPosition> all;
    for (size_t r = 0; r < rows; ++r) all.push_back({0, static_cast<int32_t>(r)});
    const LayerProblem problem(settings, {static_cast<int32_t>(rows)}, all);
    return cuda::decoder_layer(problem.device_layer(), problem.attention.device(), nullptr, nullptr, nullptr, nullptr);
  };
  CHECK(error_for({}, cuda::kMostFusedRows + 1) == cudaErrorInvalidValue);
  CHECK(error_for({.shape = {1, 1, 18}, .types = {DType::f32}}, 1) == cudaErrorInvalidValue);
  CHECK(error_for({.shape = {1, 1, 260}, .types = {DType::f32}}, 1) == cudaErrorInvalidValue);
  CHECK(error_for({.width = 66, .types = {DType::f32}}, 1) == cudaErrorInvalidValue);
  LayerProblem moved({.types = {DType::f32}}, {1}, {{0, 0}});
  moved.matrices[6]->device_weights.tensor.data = moved.matrices[6]->device_weights.memory.data() + 8;
  CHECK(cuda::decoder_layer(moved.device_layer(), moved.attention.device(), nullptr, nullptr, nullptr, nullptr) ==
        cudaErrorInvalidValue);
}

TEST_CASE("a fused layer captured once runs at every position, from a graph", "[parity][short]") {
  constexpr int32_t kFirst = 60, kEnd = 70;
  under_schedules([&] {
    LayerProblem problem({.cache = DType::f32}, {kEnd}, {{0, kEnd - 1}});
    cudaStream_t stream = nullptr;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t steps = nullptr;
    const DeviceOutput x(problem.resid), scratch(cuda::decoder_scratch_floats(3, 64, 256));
    must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    const auto enqueue = [&] {
      must(cuda::decoder_layer(problem.device_layer(), problem.attention.device(), x.data(), scratch.data(), nullptr,
                               stream));
    };
    enqueue();  // as Ops::repeat: what is loaded at first use is there
    must(cudaStreamSynchronize(stream));
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    enqueue();
    must(cudaStreamEndCapture(stream, &graph));
    must(cudaGraphInstantiate(&steps, graph, 0));
    must(cudaGraphDestroy(graph));
    for (int32_t position = kFirst; position < kEnd; ++position) {
      INFO("position " << position);
      problem.attention.rows[0] = {0, position};
      problem.attention.device_rows.write(problem.attention.rows);
      problem.resid = random_floats(problem.resid.size(), static_cast<uint32_t>(position));
      copy_to_device(x.data(), problem.resid.data(), problem.resid.size() * sizeof(float));
      must(cudaGraphLaunch(steps, stream));
      must(cudaStreamSynchronize(stream));
      check_error(x.values(), problem.composed().resid, bound_for(problem.s));
    }
    must(cudaGraphExecDestroy(steps));
    must(cudaStreamDestroy(stream));
  });
}

// The head of some rows, and of all of them.
struct HeadProblem {
  HeadProblem(DType type, int64_t vocabulary, int64_t columns, int64_t row_count, NormKind norm_kind = NormKind::rms)
      : kind(norm_kind),
        rows(row_count),
        matrix(type, vocabulary, columns, 70, norm_kind == NormKind::layer),
        weight(random_floats(static_cast<size_t>(columns), 71)),
        bias(random_floats(static_cast<size_t>(columns), 72)),
        resid(random_floats(static_cast<size_t>(rows * columns), 73)),
        device_weight(weight),
        device_bias(bias),
        device_resid(resid) {}
  // large: once, and without what was seen.
  void check(const std::vector<int32_t>& wanted, float cap, double bound, bool large = false) const {
    const auto ops = make_reference_ops();
    const int64_t columns = matrix.weights.tensor.columns(), vocabulary = matrix.weights.tensor.rows();
    const auto count = wanted.empty() ? rows : static_cast<int64_t>(wanted.size());
    std::vector<float> normed(resid.size()), chosen(static_cast<size_t>(count * columns)),
        logits(static_cast<size_t>(count * vocabulary));
    if (kind == NormKind::rms) {
      ops->rmsnorm(resid.data(), weight.data(), 1e-6f, rows, columns, normed.data());
    } else {
      ops->layernorm(resid.data(), weight.data(), bias.data(), 1e-6f, rows, columns, normed.data());
    }
    chosen = normed;
    if (!wanted.empty()) {
      chosen.resize(static_cast<size_t>(count * columns));
      ops->gather_rows(normed.data(), wanted, columns, chosen.data());
    }
    ops->linear(chosen.data(), matrix.on_host(), Precision::exact, count, logits.data());
    if (cap > 0) ops->soft_cap(logits.data(), cap, count * vocabulary, logits.data());
    const DeviceBuffer<int32_t> rows_wanted(wanted);
    const Norm norm{kind, 1e-6f, device_weight.data(), kind == NormKind::layer ? device_bias.data() : nullptr};
    const auto run = [&](float* final_norm) {
      const DeviceOutput out(logits.size());
      run_on_device([&] {
        return cuda::head(norm, matrix.on_device(), cap, device_resid.data(), rows,
                          wanted.empty() ? nullptr : rows_wanted.data(), count, out.data(), final_norm, nullptr);
      });
      return out.values();
    };
    if (large) return check_error(run(nullptr), logits, bound);
    under_schedules([&] {
      const DeviceOutput seen(normed.size());
      const std::vector<float> found = run(seen.data());
      check_error(found, logits, bound);
      check_error(seen.values(), normed, bound);
      CHECK(same_bits(run(nullptr), found));
    });
  }
  NormKind kind;
  int64_t rows;
  LayerProblem::Matrix matrix;
  std::vector<float> weight, bias, resid;
  DeviceBuffer<float> device_weight, device_bias, device_resid;
};

TEST_CASE("the fused head agrees with the composed one", "[parity][short]") {
  HeadProblem(DType::q8_0, 301, 96, 1).check({}, 0, 1e-12);
  HeadProblem(DType::q8_0, 66, 96, 3, NormKind::layer).check({2, 0}, 2.0f, 1e-11);
  HeadProblem(DType::q6_k, 9, 256, 8).check({}, 0, 1e-12);
  HeadProblem(DType::q4_k, 9, 256, 8).check({7}, 0, 1e-12);
  HeadProblem(DType::q8_0, 21, 64, 17).check({}, 0, 1e-12);  // in groups
  HeadProblem(DType::q8_0, 21, 64, 40).check({39, 2, 4, 6, 8, 10, 12, 14, 16, 18, 3}, 0, 1e-12);
}

TEST_CASE("the fused head where a block makes several tiles", "[parity]") {
  HeadProblem(DType::q8_0, 4500, 64, 1).check({}, 0, 1e-12, true);
  HeadProblem(DType::f32, 4300, 768, 5).check({}, 0, 1e-12, true);  // K in chunks
}

TEST_CASE("a head without rows that want logits still shows its norm", "[parity]") {
  const HeadProblem p(DType::q8_0, 8, 32, 2);
  std::vector<float> truth(64);
  make_reference_ops()->rmsnorm(p.resid.data(), p.weight.data(), 1e-6f, 2, 32, truth.data());
  const DeviceOutput seen(64);
  const Norm norm{NormKind::rms, 1e-6f, p.device_weight.data(), nullptr};
  run_on_device([&] {
    return cuda::head(norm, p.matrix.on_device(), 0, p.device_resid.data(), 2, nullptr, 0, nullptr, seen.data(),
                      nullptr);
  });
  check_error(seen.values(), truth, 1e-12);
}

}  // namespace
}  // namespace glassbox::testing
