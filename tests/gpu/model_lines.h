// A model on a backend, and some lines of text that go through it call by call: all that a call shows, and the cache
// that it leaves.
#pragma once

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/model/transformer.h"
#include "tests/gpu/parity.h"
#include "tests/support/golden.h"

namespace glassbox::testing {

// By tap, layer and text.
using Values = std::map<std::string, std::vector<float>>;

// The token at a position of a text; of the vocabulary of add_tiny_tokenizer.
inline int32_t text_token(int text, int position) {
  return 3 + (position * 37 + position * position % 11 * 5 + text * 91) % 256;
}

enum class Taps : uint8_t { none, stored, all };  // stored: not head_out and logits, which need work of their own

class ModelLines {
 public:
  ModelLines(const std::shared_ptr<const Model>& model, std::shared_ptr<Ops> ops, Precision precision,
             std::vector<int> texts = {0}, int max_rows = kDeviceRowsPerCall)
      : ops_(std::move(ops)),
        placed_(model, *ops_),
        workspace_(model->config(), max_rows, *ops_),
        pool_(std::make_shared<KvPool>(model->config(), precision, ops_)),
        precision_(precision),
        texts_(std::move(texts)),
        lines_(texts_.size(), KvSequence(pool_)) {}

  // One call with counts[i] more tokens of text i, the rows of the texts one after the other. Logits are of the last
  // row of each, with Taps::all of all rows.
  Values run(const std::vector<int>& counts, Taps taps) {
    return run(counts, taps == Taps::none ? ProbeSpec{} : taps_of(placed_.config(), taps), taps == Taps::all);
  }
  // The same with any taps.
  Values run(const std::vector<int>& counts, const ProbeSpec& spec, bool all_logits = false) {
    const ModelConfig& config = placed_.config();
    std::vector<ForwardRow> rows;
    std::vector<KvSequence*> sequences;
    TapPlan plan(config);
    std::vector<std::pair<std::string, std::shared_ptr<Page>>> pages;
    std::vector<size_t> line_of;  // of a sequence of the call
    for (size_t i = 0; i < lines_.size(); ++i) {
      if (counts[i] == 0) continue;
      const auto sequence = static_cast<int32_t>(sequences.size());
      sequences.push_back(&lines_[i]);
      line_of.push_back(i);
      const int begin = lines_[i].length(), end = begin + counts[i];
      for (int position = begin; position < end; ++position) {
        rows.push_back({text_token(texts_[i], position), sequence, position, all_logits || position + 1 == end});
      }
      for (const TapNeed& need : spec.needs) {
        for (int layer = need.layer_begin; layer < need.layer_end; ++layer) {
          const auto page =
              std::make_shared<Page>(page_pool_, need.tap, layer, begin, end, tap_heads(need.tap, config, layer),
                                     tap_width(need.tap, config, layer, end), true);
          plan.add_capture(sequence, page);
          pages.emplace_back(std::string(tap_info(need.tap).name) + " of layer " + std::to_string(layer) + name_of(i),
                             page);
        }
      }
    }
    size_t logit_rows = 0;
    for (const ForwardRow& row : rows) logit_rows += row.logits ? 1 : 0;
    Values values;
    std::vector<float> logits(logit_rows * static_cast<size_t>(config.vocab));
    const Result<void> done = forward(placed_, *ops_, precision_, workspace_,
                                      {rows, sequences, spec.needs.empty() ? nullptr : &plan, logits, {}});
    if (!done) FAIL(done.error().message());
    for (const auto& [name, page] : pages) values[name] = rows_of(*page);
    const auto* next = logits.data();
    for (const ForwardRow& row : rows) {
      if (!row.logits) continue;
      std::vector<float>& of_text = values["logits" + name_of(line_of[static_cast<size_t>(row.sequence)])];
      of_text.insert(of_text.end(), next, next + config.vocab);
      next += config.vocab;
    }
    return values;
  }

  // The keys and values of all positions.
  Values cache() {
    Values values;
    for (size_t i = 0; i < lines_.size(); ++i) {
      for (int layer = 0; layer < placed_.config().layer_count(); ++layer) {
        const std::string where = " in the cache of layer " + std::to_string(layer) + name_of(i);
        const LayerConfig& config = placed_.config().layers[static_cast<size_t>(layer)];
        for (const KvPool::Block& block : lines_[i].blocks()) {
          const int left = std::min(kKvBlock, lines_[i].length() - block_number(i, block) * kKvBlock);
          const std::vector<float> k = read(block.get() + pool_->keys_at(layer), config),
                                   v = read(block.get() + pool_->values_at(layer), config);
          for (int h = 0; h < config.kv_heads; ++h) {
            for (int d = 0; d < config.head_dim; ++d) {
              for (int at = 0; at < left; ++at) {
                values["keys" + where].push_back(k[index(h * config.head_dim + d, kKvBlock, at)]);
                values["values" + where].push_back(v[index(h * kKvBlock + at, config.head_dim, d)]);
              }
            }
          }
        }
      }
    }
    return values;
  }

 private:
  static ProbeSpec taps_of(const ModelConfig& config, Taps taps) {
    ProbeSpec spec = all_stored_taps(config);
    if (taps == Taps::all) {
      spec.add(Tap::head_out, 0, config.layer_count());
      spec.add(Tap::logits);
    }
    return spec;
  }
  std::string name_of(size_t line) const { return ", text " + std::to_string(texts_[line]); }
  static size_t index(int row, int columns, int column) { return static_cast<size_t>(row * columns + column); }
  int block_number(size_t line, const KvPool::Block& block) const {
    return static_cast<int>(&block - lines_[line].blocks().data());
  }
  static std::vector<float> rows_of(const Page& page) {
    std::vector<float> values;
    for (int position = page.begin(); position < page.end(); ++position) {
      CHECK(page.writes(position) == 1);
      for (int head = 0; head < std::max(page.heads(), 1); ++head) {
        const std::span<const float> row = page.head(position, head);
        values.insert(values.end(), row.begin(), row.end());
      }
    }
    return values;
  }
  // A layer's keys or values of a block.
  std::vector<float> read(const std::byte* from, const LayerConfig& config) {
    const auto count = static_cast<size_t>(config.kv_heads * config.head_dim * kKvBlock);
    const bool half = pool_->dtype() == DType::f16;
    std::vector<uint16_t> halves(half ? count : 0);
    std::vector<float> values(count);
    if (half) {
      ops_->download(from, count * sizeof(uint16_t), halves.data());
    } else {
      ops_->download(from, count * sizeof(float), values.data());
    }
    ops_->wait();
    for (size_t i = 0; i < halves.size(); ++i) values[i] = f16_to_f32(halves[i]);
    return values;
  }

  std::shared_ptr<Ops> ops_;
  PlacedModel placed_;
  Workspace workspace_;
  std::shared_ptr<KvPool> pool_;
  std::shared_ptr<PagePool> page_pool_ = std::make_shared<PagePool>();
  Precision precision_;
  std::vector<int> texts_;
  std::vector<KvSequence> lines_;
};

// All that `truth` has, by the normalised mean squared error; no number is an error.
inline void check_values(const Values& found, const Values& truth, double bound) {
  REQUIRE(found.size() >= truth.size());
  for (const auto& [name, values] : truth) {
    const auto at = found.find(name);
    REQUIRE(at != found.end());
    const double error = nmse(at->second, values);
    if (error < bound) continue;
    FAIL_CHECK(name << ": the error is " << error << ", the bound " << bound);
  }
}

}  // namespace glassbox::testing
