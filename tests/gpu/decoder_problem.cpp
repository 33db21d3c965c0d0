#include "tests/gpu/decoder_problem.h"

#include "kernels/cuda/wide_layer.h"

namespace glassbox::testing {
namespace {

constexpr float kAttentionFactor = 1.1f;
constexpr float kEps = 1e-5f;

std::vector<float> around_one(int64_t n, uint32_t seed) {
  std::vector<float> values = random_floats(static_cast<size_t>(n), seed, 0.2f);
  for (float& v : values) v += 1.0f;
  return values;
}

}  // namespace

LayerProblem::Matrix::Matrix(DType type, int64_t outputs, int64_t columns, uint32_t seed, bool with_bias)
    : weights(type, outputs, columns, seed),
      device_weights(weights.tensor),
      bias(random_floats(with_bias ? static_cast<size_t>(outputs) : 0, seed + 100, 0.2f)),
      device_bias(bias) {}

Linear LayerProblem::Matrix::on_host() const {
  const bool biased = !bias.empty();
  return {weights.tensor,
          biased ? make_tensor(const_cast<float*>(bias.data()), DType::f32, {weights.tensor.rows()}) : Tensor{}};
}

Linear LayerProblem::Matrix::on_device() const {
  const bool biased = !bias.empty();
  return {device_weights.tensor,
          biased ? make_tensor(device_bias.data(), DType::f32, {weights.tensor.rows()}) : Tensor{}};
}

LayerProblem::LayerProblem(const LayerSettings& settings, const std::vector<int32_t>& lengths,
                           std::vector<RowPosition> rows)
    : s(settings), attention(settings.shape, settings.cache, lengths, std::move(rows)) {
  attention.host.window = s.window;
  attention.host.soft_cap = s.soft_cap;
  const int64_t z = int64_t{s.shape.heads} * s.shape.head_dim, kv = int64_t{s.shape.kv_heads} * s.shape.head_dim;
  const int64_t sizes[][2] = {{z, s.width},    {kv, s.width},   {kv, s.width},  {s.width, z},
                              {s.ff, s.width}, {s.ff, s.width}, {s.width, s.ff}};
  for (size_t i = 0; i < std::size(sizes); ++i) {
    matrices.push_back(std::make_unique<Matrix>(s.types[i % s.types.size()], sizes[i][0], sizes[i][1],
                                                static_cast<uint32_t>(20 + i), s.biases));
  }
  const bool layer_norm = s.norm == NormKind::layer;
  for (uint32_t i = 0; i < 2; ++i) {
    norm_weight[i] = around_one(s.width, 40 + i);
    if (layer_norm) norm_bias[i] = random_floats(static_cast<size_t>(s.width), 50 + i, 0.2f);
    device_norms[i] = std::make_unique<DeviceBuffer<float>>(norm_weight[i]);
    device_norms[2 + i] = std::make_unique<DeviceBuffer<float>>(norm_bias[i]);
  }
  for (int i = 0; s.rotation && i < s.shape.head_dim / 2; ++i) {
    frequency.push_back(static_cast<float>(std::pow(10000.0, -2.0 * i / s.shape.head_dim)));
  }
  device_frequency = std::make_unique<DeviceBuffer<float>>(frequency);
  resid = random_floats(attention.rows.size() * static_cast<size_t>(s.width), 60, 2.0f);
  for (float& v : resid) v += 0.5f;  // a mean that a layer norm takes away
}

int64_t LayerProblem::columns_of(size_t output) const {
  const std::string name = kLayerOutputs[output].name;
  const int64_t z = int64_t{s.shape.heads} * s.shape.head_dim, kv = int64_t{s.shape.kv_heads} * s.shape.head_dim;
  if (name == "q_rot" || name == "k_rot") return !s.rotation ? 0 : name == "q_rot" ? z : kv;
  if (name == "q" || name == "attn_z") return z;
  if (name == "k" || name == "v") return kv;
  if (name == "mlp_gate") return s.gated ? s.ff : 0;
  return name == "mlp_up" || name == "mlp_act" ? s.ff : s.width;
}

LayerValues LayerProblem::composed() const {
  const auto ops = make_reference_ops();
  const AttentionArgs& args = attention.host;
  const auto rows = static_cast<int64_t>(attention.rows.size());
  LayerValues values;
  const auto at = [&](const char* name, const std::vector<float>& x) {
    for (size_t i = 0; i < kLayerOutputCount; ++i) {
      if (std::strcmp(kLayerOutputs[i].name, name) == 0) values.of[i] = x;
    }
  };
  const auto sized = [&](int64_t columns) { return std::vector<float>(static_cast<size_t>(rows * columns)); };
  const auto normed = [&](size_t which, const std::vector<float>& x) {
    std::vector<float> out = sized(s.width);
    if (s.norm == NormKind::rms) {
      ops->rmsnorm(x.data(), norm_weight[which].data(), kEps, rows, s.width, out.data());
    } else {
      ops->layernorm(x.data(), norm_weight[which].data(), norm_bias[which].data(), kEps, rows, s.width, out.data());
    }
    return out;
  };
  const auto product = [&](size_t which, const std::vector<float>& x) {
    const Linear layer = matrices[which]->on_host();
    std::vector<float> out = sized(layer.weight.rows());
    ops->linear(x.data(), layer, Precision::exact, rows, out.data());
    return out;
  };
  const auto as_cached = [&](std::vector<float> x) {
    if (s.cache == DType::f16) ops->round_to_f16(x.data(), static_cast<int64_t>(x.size()), x.data());
    return x;
  };
  const auto rotated = [&](std::vector<float> x, int heads) {
    ops->rope(x.data(), attention.rows, heads, s.shape.head_dim, frequency.data(), kAttentionFactor, x.data());
    return x;
  };

  values.resid = resid;
  at("resid_pre", resid);
  const std::vector<float> x = normed(0, values.resid);
  at("attn_norm", x);
  std::vector<float> q = product(0, x), k = product(1, x), v = product(2, x);
  at("q", q);
  at("k", s.rotation ? k : as_cached(k));
  at("v", as_cached(v));
  if (s.rotation) {
    q = rotated(q, s.shape.heads);
    k = rotated(k, s.shape.kv_heads);
    at("q_rot", q);
    at("k_rot", as_cached(k));
  }
  ops->kv_store(args, k.data(), v.data());
  const KeyRows keys(attention, false);
  Guarded scores(keys.size), pattern(keys.size);
  const std::vector<KeyRow> at_scores = keys.at(scores.data()), at_pattern = keys.at(pattern.data());
  std::vector<float> z(q.size());
  ops->attention(args, q.data(), z.data(), at_scores, at_pattern);
  values.scores = scores.values();
  values.pattern = pattern.values();
  at("attn_z", z);
  const auto add = [&](const std::vector<float>& branch) {
    ops->add(values.resid.data(), branch.data(), rows * s.width, values.resid.data());
  };
  const std::vector<float> attn_out = product(3, z);
  at("attn_out", attn_out);
  add(attn_out);
  at("resid_mid", values.resid);

  const std::vector<float> y = normed(1, values.resid);
  at("mlp_norm", y);
  std::vector<float> gate = s.gated ? product(4, y) : std::vector<float>(), up = product(5, y);
  at("mlp_gate", gate);
  at("mlp_up", up);
  std::vector<float>& activated = s.gated ? gate : up;
  const auto count = static_cast<int64_t>(activated.size());
  if (s.activation == Activation::silu) {
    ops->silu(activated.data(), count, activated.data());
  } else {
    ops->gelu_tanh(activated.data(), count, activated.data());
  }
  if (s.gated) ops->multiply(gate.data(), up.data(), count, up.data());
  at("mlp_act", up);
  const std::vector<float> mlp_out = product(6, up);
  at("mlp_out", mlp_out);
  add(mlp_out);
  at("resid_post", values.resid);
  return values;
}

DecoderLayer LayerProblem::device_layer() const {
  const auto norm = [&](size_t which) {
    return Norm{s.norm, kEps, device_norms[which]->data(),
                s.norm == NormKind::layer ? device_norms[2 + which]->data() : nullptr};
  };
  DecoderLayer layer{norm(0), {}, {}, {}, {}, norm(1), {}, {}, {}};
  Linear* const linears[] = {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down};
  for (size_t i = 0; i < matrices.size(); ++i) {
    if (i != 4 || s.gated) *linears[i] = matrices[i]->on_device();
  }
  layer.activation = s.activation;
  layer.rope_frequency = s.rotation ? device_frequency->data() : nullptr;
  layer.rope_attention_factor = kAttentionFactor;
  return layer;
}

LayerValues LayerProblem::run(Stores stores,
                              const std::function<cudaError_t(float*, const LayerOutputs&)>& start) const {
  const DeviceOutput x(resid);
  std::unique_ptr<DeviceOutput> outputs[kLayerOutputCount];
  LayerOutputs wanted{};
  const bool any = stores == Stores::some || stores == Stores::all;
  for (size_t i = 0; i < kLayerOutputCount; ++i) {
    if (!any || (stores == Stores::some && i % 2 == 0) || columns_of(i) == 0) continue;
    outputs[i] = std::make_unique<DeviceOutput>(attention.rows.size() * static_cast<size_t>(columns_of(i)));
    wanted.*kLayerOutputs[i].where = outputs[i]->data();
  }
  const KeyRows keys(attention, stores == Stores::some);
  const DeviceOutput scores(keys.size), pattern(keys.size);
  const DeviceBuffer<KeyRow> at_scores(keys.at(scores.data())), at_pattern(keys.at(pattern.data()));
  if (any) wanted.scores = at_scores.data(), wanted.pattern = at_pattern.data();
  run_on_device([&] { return start(x.data(), wanted); });
  LayerValues values;
  for (size_t i = 0; i < kLayerOutputCount; ++i) {
    if (outputs[i] != nullptr) values.of[i] = outputs[i]->values();
  }
  values.resid = x.values();
  if (any) values.scores = scores.values(), values.pattern = pattern.values();
  return values;
}

LayerValues LayerProblem::fused(Stores stores, int longest) const {
  AttentionArgs args = attention.device();
  if (longest > 0) args.longest = longest;
  const DeviceOutput scratch(cuda::decoder_scratch_floats(s.shape.heads, s.shape.head_dim, static_cast<int>(s.ff)));
  const DeviceBuffer<LayerOutputs> placed(1);
  const LayerValues values = run(stores, [&](float* x, const LayerOutputs& wanted) {
    copy_to_device(placed.data(), &wanted, sizeof wanted);
    return cuda::decoder_layer(device_layer(), args, x, scratch.data(),
                               stores == Stores::nothing ? nullptr : placed.data(), nullptr);
  });
  (void)scratch.values();  // looks at its sentinels
  return values;
}

LayerValues LayerProblem::wide(Stores stores, cuda::Products& products, Precision precision) const {
  const AttentionArgs args = attention.device();
  const size_t rows = attention.rows.size(), width = static_cast<size_t>(s.width), ff = static_cast<size_t>(s.ff);
  const auto q = static_cast<size_t>(s.shape.heads * s.shape.head_dim),
             kv = static_cast<size_t>(s.shape.kv_heads * s.shape.head_dim);
  const DeviceOutput normed(rows * width), qkv(rows * (q + 2 * kv)), q_rot(rows * q), branch(rows * width),
      gate_up(rows * 2 * ff);
  const LayerScratch scratch{normed.data(), qkv.data(), q_rot.data(), branch.data(), gate_up.data()};
  const LayerValues values = run(stores, [&](float* x, const LayerOutputs& wanted) {
    return cuda::wide_layer(products, device_layer(), args, precision, x, scratch, wanted, nullptr);
  });
  for (const DeviceOutput* memory : {&normed, &qkv, &q_rot, &branch, &gate_up}) (void)memory->values();
  return values;
}

void LayerProblem::check_cache(const LayerValues& made) const {
  make_reference_ops()->kv_store(attention.host, made[s.rotation ? "k_rot" : "k"].data(), made["v"].data());
  CHECK(attention.caches.differences() == 0);
}

void check_layer(const LayerProblem& problem, const LayerValues& found, const LayerValues& truth, double bound) {
  for (size_t i = 0; i < kLayerOutputCount; ++i) {
    if (problem.columns_of(i) == 0 || found.of[i].empty()) continue;
    INFO(kLayerOutputs[i].name);
    check_error(found.of[i], truth.of[i], bound);
  }
  INFO("the residual stream, scores and pattern");
  check_error(found.resid, truth.resid, bound);
  if (found.scores.empty()) return;
  check_keys(found.scores, truth.scores, bound);
  check_keys(found.pattern, truth.pattern, bound);
}

}  // namespace glassbox::testing
