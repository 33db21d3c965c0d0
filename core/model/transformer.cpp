#include "core/model/transformer.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "core/model/failures.h"
#include "core/model/placed_rows.h"
#include "kernels/device_error.h"
#include "kernels/hash.h"

namespace glassbox {

Workspace::Workspace(const ModelConfig& config, int max_rows, Ops& ops)
    : inputs(ops), captures(ops), max_rows_(max_rows), generation_(fresh_number()) {
  size_t q_size = 0, k_size = 0, ff = 0;
  for (const LayerConfig& layer : config.layers) {
    q_size = std::max(q_size, static_cast<size_t>(layer.heads * layer.head_dim));
    k_size = std::max(k_size, static_cast<size_t>(layer.kv_heads * layer.head_dim));
    ff = std::max(ff, static_cast<size_t>(layer.ff));
  }
  const size_t width = static_cast<size_t>(config.width);
  const size_t most_rows = static_cast<size_t>(max_rows);
  // Every array starts on a cache line of its own. What a layer may use as one (LayerScratch): q, k, v; gate and up.
  const auto padded = [&](size_t columns) { return (most_rows * columns + 15) / 16 * 16; };
  const std::pair<float**, size_t> arrays[] = {{&resid, width},  {&normed, width}, {&q, q_size},
                                               {&k, k_size},     {&v, k_size},     {&z, q_size},
                                               {&branch, width}, {&gate, ff},      {&up, ff}};
  size_t total = 0;
  for (const auto& [array, columns] : arrays) total += padded(columns);
  memory_ = ops.allocate(total * sizeof(float));
  float* next = memory_.f32();
  for (const auto& [array, columns] : arrays) {
    *array = next;
    next += padded(columns);
  }
  for (std::vector<RowPosition>* list : {&rows, &logit_rows}) list->reserve(most_rows);
  for (std::vector<KeyRow>* list : {&scores, &pattern}) list->reserve(most_rows);
}

void Workspace::reserve(Buffer& buffer, size_t floats, Ops& ops) {
  if (buffer.bytes() >= floats * sizeof(float)) return;
  generation_ = fresh_number();
  buffer = {};
  buffer = ops.allocate(floats * sizeof(float));
}

namespace {

// Operations on so few rows are the same from step to step, and may be recorded: of any, and of sequences that take one
// step each.
constexpr size_t kMostRepeatedRows = 8, kMostRepeatedSequences = 32;
bool may_repeat(const ForwardCall& call) {
  return call.rows.size() <= (call.rows.size() == call.sequences.size() ? kMostRepeatedSequences : kMostRepeatedRows) &&
         (call.plan == nullptr || !call.plan->edits());
}

// Numbers in the backend's memory as the host sees them: where they are, or a copy in the workspace.
class HostView {
 public:
  HostView(Ops& ops, Workspace& ws, float* values, size_t floats)
      : ops_(ops), values_(values), bytes_(floats * sizeof(float)) {
    if (ops.on_host()) return;
    if (ws.host_memory.bytes() < bytes_) ws.host_memory = Buffer(bytes_);
    copy_ = ws.host_memory.f32();
    ops.download(values, bytes_, copy_);
    ops.wait();
  }
  float* data() const { return copy_ == nullptr ? values_ : copy_; }
  void write_back() const {
    if (copy_ == nullptr) return;
    ops_.upload(copy_, bytes_, values_);
    ops_.wait();  // the copy is used again
  }

 private:
  Ops& ops_;
  float* values_;
  size_t bytes_;
  float* copy_ = nullptr;
};

// Everything that the groups of a layer share.
struct Pass {
  const ModelConfig& config;
  Ops& ops;
  Precision precision;
  Workspace& ws;
  const TapPlan* plan;
  std::span<const RowPosition> rows;
  PlacedRows placed;
  const PlacedModel& model;
  int64_t row_count() const { return static_cast<int64_t>(rows.size()); }

  // Null: nobody wants anything of the site, or on a device, where nothing is edited, of these rows.
  const TapPlan::Site* wanted(Tap tap, int layer) const {
    const TapPlan::Site* site = plan == nullptr ? nullptr : plan->site(tap, layer);
    if (site == nullptr || ops.on_host() || !site->edits.empty() || ws.captures.has(tap, layer)) return site;
    return has_key_axis(tap) && plan->edits_attention(layer) ? site : nullptr;
  }

  // A site: edits, then captures. What nobody wants costs this check.
  void at(Tap tap, int layer, float* values) const {
    if (const TapPlan::Site* site = wanted(tap, layer)) [[unlikely]] {
      see(*site, tap, layer, rows, tap_heads(tap, config, layer), tap_width(tap, config, layer, 0), values);
    }
  }
  void see(const TapPlan::Site& site, Tap tap, int layer, std::span<const RowPosition> at_rows, int heads,
           int64_t width, float* values) const {
    const size_t floats = at_rows.size() * static_cast<size_t>(std::max(heads, 1) * width);
    if (float* slot = ws.captures.slot(tap, layer)) {
      ops.copy(values, floats * sizeof(float), slot);
      return;
    }
    const HostView view(ops, ws, values, floats);
    run_site(site, at_rows, heads, width, view.data());
    if (!site.edits.empty()) view.write_back();
  }
};

void norm(const Pass& pass, const LayerConfig& layer, const NormWeights& weights, const float* x, float* out) {
  const int64_t rows = pass.row_count(), width = pass.config.width;
  if (layer.norm == NormKind::rms) {
    pass.ops.rmsnorm(x, weights.weight, layer.norm_eps, rows, width, out);
  } else {
    pass.ops.layernorm(x, weights.weight, weights.bias, layer.norm_eps, rows, width, out);
  }
}

// Keys and values are seen as they lie in the cache. Rounding twice changes nothing, so the store stays as it is.
void round_to_cache(const Pass& pass, DType dtype, Tap tap, int layer, float* x, int64_t count) {
  if (dtype != DType::f16 || pass.wanted(tap, layer) == nullptr) return;
  pass.ops.round_to_f16(x, count, x);
}

// Norm, q, k, v, rotation; keys and values go into the cache.
void attention_input(const Pass& pass, int l, const LayerConfig& layer, const LayerWeights& weights,
                     const AttentionArgs& args) {
  Workspace& ws = pass.ws;
  const int64_t rows = pass.row_count();
  const DType cache = args.dtype;
  const int64_t kv_count = rows * layer.kv_heads * layer.head_dim;

  norm(pass, layer, weights.attn_norm, ws.resid, ws.normed);
  pass.at(Tap::attn_norm, l, ws.normed);
  const Projection projections[] = {{weights.q, ws.q}, {weights.k, ws.k}, {weights.v, ws.v}};
  pass.ops.linears(ws.normed, projections, pass.precision, rows);
  pass.at(Tap::q, l, ws.q);
  if (!layer.rope) round_to_cache(pass, cache, Tap::k, l, ws.k, kv_count);
  pass.at(Tap::k, l, ws.k);
  round_to_cache(pass, cache, Tap::v, l, ws.v, kv_count);
  pass.at(Tap::v, l, ws.v);
  if (layer.rope) {
    const float* frequency = pass.model.rope_frequency();
    const std::span<const RowPosition> at = pass.placed.rows;
    const float factor = pass.config.rope_attention_factor;
    pass.ops.rope(ws.q, at, layer.heads, layer.head_dim, frequency, factor, ws.q);
    pass.at(Tap::q_rot, l, ws.q);
    pass.ops.rope(ws.k, at, layer.kv_heads, layer.head_dim, frequency, factor, ws.k);
    round_to_cache(pass, cache, Tap::k_rot, l, ws.k, kv_count);
    pass.at(Tap::k_rot, l, ws.k);
  }
  pass.ops.kv_store(args, ws.k, ws.v);
}

// Where the op stores a row's scores or weights: straight into the page that wants them, else nowhere.
void point_into_pages(const TapPlan::Site* site, std::span<const RowPosition> rows, std::vector<KeyRow>& out) {
  if (site == nullptr) return;
  out.assign(rows.size(), KeyRow{});
  for (const PlannedCapture& capture : site->captures) {
    Page& page = *capture.page;
    for (size_t r = 0; r < rows.size(); ++r) {
      const int position = rows[r].position;
      if (!capture.takes(rows[r])) continue;
      out[r] = {page.row_data(position), page.width(), page.width()};
    }
  }
}

// Scores and pattern of an attention that runs in steps: rows [H, position + 1] of the workspace's memory, the same for
// all layers.
void point_into_workspace(const Pass& pass) {
  int heads = 0;
  for (const LayerConfig& layer : pass.config.layers) heads = std::max(heads, layer.heads);
  size_t values = 0;
  for (const RowPosition& row : pass.rows) values += static_cast<size_t>(heads) * static_cast<size_t>(row.position + 1);
  pass.ws.reserve(pass.ws.keys_memory, 2 * values, pass.ops);
  float* next = pass.ws.keys_memory.f32();
  for (const std::span<KeyRow> lot : {pass.placed.scores, pass.placed.pattern}) {
    for (size_t r = 0; r < lot.size(); ++r) {
      const int64_t keys = pass.rows[r].position + 1;
      lot[r] = {next, keys};
      next += heads * keys;
    }
  }
}

// A site with a key axis. `values`: all rows, one after the other where they are in the workspace.
void see_keys(const Pass& pass, const TapPlan::Site* site, Tap tap, int heads, std::span<const KeyRow> values) {
  if (site == nullptr) return;
  if (pass.ops.on_host()) return run_key_site(*site, tap, pass.rows, heads, values);
  float* const first = values.front().data;
  const KeyRow& last = values.back();
  const HostView view(pass.ops, pass.ws, first, static_cast<size_t>(last.data + heads * last.head_stride - first));
  std::vector<KeyRow> seen(values.begin(), values.end());
  for (KeyRow& row : seen) row.data = view.data() + (row.data - first);
  run_key_site(*site, tap, pass.rows, heads, seen);
  if (!site->edits.empty()) view.write_back();
}

// Where a page takes all the rows of a site, one after the other; null: it does not, or several do.
float* rows_of_page(const TapPlan::Site* site, std::span<const RowPosition> rows) {
  if (site == nullptr || site->captures.size() != 1) return nullptr;
  const PlannedCapture& capture = site->captures.front();
  const RowPosition &first = rows.front(), &last = rows.back();
  const bool all = capture.takes(first) && capture.takes(last) &&
                   last.position - first.position == static_cast<int>(rows.size()) - 1;
  return all ? capture.page->row_data(first.position) : nullptr;
}

// Where the summary of a layer's pattern goes that somebody wants: into its slots, else into its pages or the
// workspace.
PatternSummary summary_of(const Pass& pass, int l, const LayerConfig& layer) {
  Workspace& ws = pass.ws;
  if (!pass.ops.on_host()) return ws.captures.summary(l);
  const TapPlan::Site *pooled = pass.wanted(Tap::attn_pooled, l), *focus = pass.wanted(Tap::attn_focus, l);
  if (pooled == nullptr && focus == nullptr) return {};
  PatternSummary summary{rows_of_page(pooled, pass.rows), rows_of_page(focus, pass.rows)};
  const auto rows = static_cast<size_t>(pass.row_count() * layer.heads);
  ws.reserve(ws.summary_memory, rows * (kPooledKeys + kFocusMeasures), pass.ops);
  float* const memory = ws.summary_memory.f32();
  if (pooled != nullptr && summary.pooled == nullptr) summary.pooled = memory;
  if (focus != nullptr && summary.focus == nullptr) summary.focus = memory + rows * kPooledKeys;
  return summary;
}

void attention(const Pass& pass, int l, const LayerConfig& layer, const AttentionArgs& args) {
  Workspace& ws = pass.ws;
  const PatternSummary summary = summary_of(pass, l, layer);
  const TapPlan::Site* scores_site = pass.wanted(Tap::attn_scores, l);
  const TapPlan::Site* pattern_site = pass.wanted(Tap::attn_pattern, l);
  if (pass.plan != nullptr && pass.plan->edits_attention(l)) {
    const std::span<const KeyRow> scores = ws.inputs.placed(pass.placed.scores),
                                  pattern = ws.inputs.placed(pass.placed.pattern);
    pass.ops.attention_scores(args, ws.q, scores);
    see_keys(pass, scores_site, Tap::attn_scores, layer.heads, pass.placed.scores);
    pass.ops.attention_softmax(args, scores, pattern);
    see_keys(pass, pattern_site, Tap::attn_pattern, layer.heads, pass.placed.pattern);
    if (summary.wanted()) pass.ops.summarise_pattern(args, pattern, summary);
    pass.ops.attention_mix(args, pattern, ws.z);
  } else if (pass.ops.on_host()) {
    point_into_pages(scores_site, pass.rows, ws.scores);
    point_into_pages(pattern_site, pass.rows, ws.pattern);
    const auto wanted = [](const TapPlan::Site* site, const std::vector<KeyRow>& rows) {
      return site == nullptr ? std::span<const KeyRow>{} : std::span<const KeyRow>(rows);
    };
    pass.ops.attention(args, ws.q, ws.z, wanted(scores_site, ws.scores), wanted(pattern_site, ws.pattern), summary);
    see_keys(pass, scores_site, Tap::attn_scores, layer.heads, ws.scores);
    see_keys(pass, pattern_site, Tap::attn_pattern, layer.heads, ws.pattern);
  } else {
    pass.ops.attention(args, ws.q, ws.z, ws.captures.key_rows(Tap::attn_scores, l),
                       ws.captures.key_rows(Tap::attn_pattern, l), summary);
  }
  if (pass.ops.on_host()) {
    pass.at(Tap::attn_pooled, l, summary.pooled);
    pass.at(Tap::attn_focus, l, summary.focus);
  }
  pass.at(Tap::attn_z, l, ws.z);
}

// Each head alone through W_O: the other heads' inputs are zero. z [R, H, D]
void head_outputs(const Pass& pass, int l, const LayerConfig& layer, const LayerWeights& weights, const float* z) {
  const TapPlan::Site* site = pass.wanted(Tap::head_out, l);
  if (site == nullptr) return;
  const size_t rows = pass.rows.size() * static_cast<size_t>(layer.heads);
  const size_t row_floats = static_cast<size_t>(layer.heads * layer.head_dim);
  pass.ws.reserve(pass.ws.alone_memory, rows * (row_floats + static_cast<size_t>(pass.config.width)), pass.ops);
  float* const inputs = pass.ws.alone_memory.f32();
  float* const outputs = inputs + rows * row_floats;
  Linear without_bias = weights.o;
  without_bias.bias = {};
  pass.ops.heads_alone(z, pass.row_count(), layer.heads, layer.head_dim, inputs);
  pass.ops.linear(inputs, without_bias, pass.precision, static_cast<int64_t>(rows), outputs);
  pass.see(*site, Tap::head_out, l, pass.rows, layer.heads, pass.config.width, outputs);
}

void attention_output(const Pass& pass, int l, const LayerConfig& layer, const LayerWeights& weights) {
  Workspace& ws = pass.ws;
  const int64_t rows = pass.row_count();
  head_outputs(pass, l, layer, weights, ws.z);
  pass.ops.linear(ws.z, weights.o, pass.precision, rows, ws.branch);
  pass.at(Tap::attn_out, l, ws.branch);
  pass.ops.add(ws.resid, ws.branch, rows * pass.config.width, ws.resid);
  pass.at(Tap::resid_mid, l, ws.resid);
}

void mlp_input(const Pass& pass, int l, const LayerConfig& layer, const LayerWeights& weights) {
  Workspace& ws = pass.ws;
  const int64_t rows = pass.row_count(), count = rows * layer.ff;
  norm(pass, layer, weights.mlp_norm, ws.resid, ws.normed);
  pass.at(Tap::mlp_norm, l, ws.normed);
  const Projection projections[] = {{weights.up, ws.up}, {weights.gate, ws.gate}};
  pass.ops.linears(ws.normed, std::span(projections).first(layer.gated ? 2 : 1), pass.precision, rows);
  if (layer.gated) pass.at(Tap::mlp_gate, l, ws.gate);
  pass.at(Tap::mlp_up, l, ws.up);
  float* activated = layer.gated ? ws.gate : ws.up;
  if (layer.activation == Activation::silu) {
    pass.ops.silu(activated, count, activated);
  } else {
    pass.ops.gelu_tanh(activated, count, activated);
  }
  if (layer.gated) pass.ops.multiply(ws.gate, ws.up, count, ws.up);
  pass.at(Tap::mlp_act, l, ws.up);
}

void mlp_output(const Pass& pass, int l, const LayerWeights& weights) {
  Workspace& ws = pass.ws;
  const int64_t rows = pass.row_count();
  pass.ops.linear(ws.up, weights.down, pass.precision, rows, ws.branch);
  pass.at(Tap::mlp_out, l, ws.branch);
  pass.ops.add(ws.resid, ws.branch, rows * pass.config.width, ws.resid);
  pass.at(Tap::resid_post, l, ws.resid);
}

// The layer in the backend's fused kernels, which store what taps want where it waits. False: it has none, or something
// here is edited.
bool fused_layer(const Pass& pass, int l, const LayerConfig& layer, const LayerWeights& weights,
                 const AttentionArgs& args) {
  if (pass.ops.on_host() || (pass.plan != nullptr && pass.plan->edits_layer(l))) return false;
  const Workspace& ws = pass.ws;
  const bool seen = !pass.placed.outputs.empty();
  const LayerOutputs outputs = seen ? pass.placed.outputs[static_cast<size_t>(l)] : LayerOutputs{};
  const LayerScratch scratch{ws.normed, ws.q, ws.z, ws.branch, ws.gate};
  if (!pass.ops.decoder_layer(pass.model.decoder_layer(l), args, pass.precision, ws.resid, scratch, outputs,
                              seen ? pass.placed.placed_outputs + l : nullptr)) {
    return false;
  }
  head_outputs(pass, l, layer, weights, outputs.attn_z);
  return true;
}

AttentionArgs attention_args(const Pass& pass, int l, const KvPool& pool) {
  const LayerConfig& layer = pass.config.layers[static_cast<size_t>(l)];
  return {.rows = pass.placed.rows.data(),
          .row_count = static_cast<int>(pass.rows.size()),
          .longest = pass.placed.longest,
          .sequence_count = pass.placed.sequence_count,
          .sequences = pass.placed.sequences,
          .keys_at = static_cast<int64_t>(pool.keys_at(l)),
          .values_at = static_cast<int64_t>(pool.values_at(l)),
          .dtype = pool.dtype(),
          .heads = layer.heads,
          .kv_heads = layer.kv_heads,
          .head_dim = layer.head_dim,
          .scale = layer.attention_scale,
          .soft_cap = layer.soft_cap,
          .window = layer.window};
}

void block_forward(const Pass& pass, int l, const Weights& all_weights, const KvPool& pool) {
  const LayerConfig& layer = pass.config.layers[static_cast<size_t>(l)];
  const LayerWeights& weights = all_weights.layers[static_cast<size_t>(l)];
  const AttentionArgs args = attention_args(pass, l, pool);
  if (fused_layer(pass, l, layer, weights, args)) return;
  pass.at(Tap::resid_pre, l, pass.ws.resid);
  attention_input(pass, l, layer, weights, args);
  attention(pass, l, layer, args);
  attention_output(pass, l, layer, weights);
  mlp_input(pass, l, layer, weights);
  mlp_output(pass, l, weights);
}

void embed_rows(const Pass& pass, const Weights& weights) {
  Workspace& ws = pass.ws;
  const int64_t count = pass.row_count() * pass.config.width;
  pass.ops.embed(weights.embedding, pass.placed.ids, ws.resid);
  if (pass.config.embed_scale != 1.0f) pass.ops.scale(ws.resid, pass.config.embed_scale, count, ws.resid);
  pass.at(Tap::embed, 0, ws.resid);
  if (pass.config.learned_positions) {
    pass.ops.embed(weights.positions, pass.placed.positions, ws.branch);
    pass.ops.add(ws.resid, ws.branch, count, ws.resid);
  }
}

// The head, for the rows that ask for it. logits: [rows that do, V] in the backend's memory.
void head_rows(const Pass& pass, const Weights& weights, float* logits) {
  Workspace& ws = pass.ws;
  const TapPlan::Site *norm_site = pass.wanted(Tap::final_norm, 0), *logits_site = pass.wanted(Tap::logits, 0);
  const auto edited = [](const TapPlan::Site* site) { return site != nullptr && !site->edits.empty(); };
  if (!pass.ops.on_host() && !edited(norm_site) && !edited(logits_site) &&
      pass.ops.head(pass.model.final_norm(), weights.head, pass.config.logit_soft_cap, ws.resid, pass.row_count(),
                    pass.placed.logit_rows, logits, ws.captures.slot(Tap::final_norm, 0))) {
    if (logits_site != nullptr) pass.see(*logits_site, Tap::logits, 0, ws.logit_rows, 0, pass.config.vocab, logits);
    return;
  }
  norm(pass, pass.config.layers.back(), weights.final_norm, ws.resid, ws.normed);
  pass.at(Tap::final_norm, 0, ws.normed);
  const size_t count = ws.logit_rows.size(), values = count * static_cast<size_t>(pass.config.vocab);
  if (count == 0) return;
  const float* x = ws.normed;
  if (count < pass.rows.size()) {
    pass.ops.gather_rows(ws.normed, pass.placed.logit_rows, pass.config.width, ws.branch);
    x = ws.branch;
  }
  pass.ops.linear(x, weights.head, pass.precision, static_cast<int64_t>(count), logits);
  if (const float cap = pass.config.logit_soft_cap; cap > 0) {
    pass.ops.soft_cap(logits, cap, static_cast<int64_t>(values), logits);
  }
  if (logits_site != nullptr) {
    pass.see(*logits_site, Tap::logits, 0, ws.logit_rows, 0, pass.config.vocab, logits);
  }
}

// A short step, whose operations are the same from one to the next.
void run_repeated(const Pass& pass, const ForwardCall& call, const Weights& weights, float* logits) {
  const Workspace& ws = pass.ws;
  const KvPool& pool = call.sequences.front()->pool();
  uint64_t blocks = kHashStart;  // the sizes of the tables
  for (const KvSequence* sequence : call.sequences) {
    blocks = join_hashes(blocks, placed_blocks(*sequence));
  }
  // What fused layers store is not recorded, but for whether there is any of it; what has operations of its own is.
  uint64_t apart = kHashStart;
  for (int layer = 0; call.plan != nullptr && layer < pass.config.layer_count(); ++layer) {
    const bool fused =
        pass.ops.reads_placed_outputs(pass.model.decoder_layer(layer), attention_args(pass, layer, pool));
    apart = ws.captures.join_filled_apart(apart, layer, fused);
  }
  // A step that draws has no captures.
  const uint64_t others = call.draw != nullptr  ? call.draw->generation
                          : apart != kHashStart ? ws.captures.generation()
                                                : 0;
  const uint64_t counts = call.rows.size() | ws.logit_rows.size() << 16 | call.sequences.size() << 32 |
                          static_cast<uint64_t>(pass.precision) << 48 | uint64_t{call.draw != nullptr} << 56 |
                          uint64_t{!pass.placed.outputs.empty()} << 57;
  const auto operations = [&] {
    embed_rows(pass, weights);
    for (int layer = 0; layer < pass.config.layer_count(); ++layer) {
      block_forward(pass, layer, weights, pool);
    }
    head_rows(pass, weights, logits);
    if (call.draw != nullptr) pass.ops.draw(logits, pass.config.vocab, pass.placed.draws);
  };
  pass.ops.repeat({pass.model.id(), ws.generation(), ws.inputs.generation(), others, apart, blocks,
                   static_cast<uint64_t>(pass.placed.longest), counts},
                  std::ref(operations));
}

Error cancelled_at(int layer) {
  return {ErrorKind::cancelled, "Cancelled.", "layer " + std::to_string(layer), "", ""};
}

// Sends all operations of the call. The logits are where they are returned to be after ops.wait(), in the backend's
// memory. Errors: cancelled. Throws std::bad_alloc and DeviceError.
Result<float*> send_operations(const PlacedModel& model, Ops& ops, Precision precision, Workspace& ws,
                               const ForwardCall& call) {
  const ModelConfig& config = model.config();
  const auto cancelled = [&](int layer) { return call.between_layers && !call.between_layers(layer); };
  const Weights& weights = model.weights(precision);
  size_t logit_count = 0;
  for (const ForwardRow& row : call.rows) {
    KvSequence& sequence = *call.sequences[static_cast<size_t>(row.sequence)];
    sequence.reserve(row.position + 1);
    if (row.logits) logit_count += static_cast<size_t>(config.vocab);
  }
  const bool repeated = !ops.on_host() && may_repeat(call);
  const PlacedRows placed = place_rows(call, config, ws, repeated);
  const Pass pass{config, ops, precision, ws, call.plan, ws.rows, placed, model};
  if (!placed.scores.empty()) point_into_workspace(pass);
  ws.inputs.send();
  float* logits = call.logits.data();
  if (!ops.on_host()) {
    ws.reserve(ws.logits_memory, logit_count, ops);
    logits = ws.logits_memory.f32();
  }
  if (repeated) {
    if (cancelled(0)) return cancelled_at(0);
    run_repeated(pass, call, weights, logits);
    return logits;
  }
  embed_rows(pass, weights);
  for (int layer = 0; layer < config.layer_count(); ++layer) {
    if (cancelled(layer)) return cancelled_at(layer);
    ws.captures.begin_layer(layer);
    block_forward(pass, layer, weights, call.sequences.front()->pool());
    ws.captures.end_layer(layer);
  }
  head_rows(pass, weights, logits);
  return logits;
}

// After an error: nothing that the caller owns is in use any more.
void settle(Ops& ops) {
  try {
    ops.wait();
  } catch (const DeviceError&) {  // it has failed: nothing runs there
  }
}

}  // namespace

Result<void> forward(const PlacedModel& model, Ops& ops, Precision precision, Workspace& ws, const ForwardCall& call) {
  const Result<void> done = report_failures([&]() -> Result<void> {
    ops.wait();  // what a call that failed has left running may still read the inputs
    if (!ops.on_host() && ws.logits_host.bytes() < call.logits.size_bytes()) {
      ws.logits_host = {};
      ws.logits_host = ops.allocate_staging(call.logits.size_bytes());
    }
    const Result<float*> logits = send_operations(model, ops, precision, ws, call);
    if (!logits) return logits.error();
    if (ops.on_host()) return {};
    ws.captures.start_download();
    ops.download(*logits, call.logits.size_bytes(), ws.logits_host.data());
    ops.wait();
    ws.captures.deliver();
    if (!call.logits.empty()) std::memcpy(call.logits.data(), ws.logits_host.data(), call.logits.size_bytes());
    return {};
  });
  if (!done) {
    settle(ops);
    return done;
  }
  for (const ForwardRow& row : call.rows) {
    KvSequence& sequence = *call.sequences[static_cast<size_t>(row.sequence)];
    sequence.commit(std::max(sequence.length(), row.position + 1));
  }
  return {};
}

void send_forward(const PlacedModel& model, Ops& ops, Precision precision, Workspace& ws, const ForwardCall& call) {
  (void)send_operations(model, ops, precision, ws, call);
}

}  // namespace glassbox
