// The engine's side of tests/bench/run: takes one request a line (JSON) on standard input, does the work, and answers
// with one line of JSON that says how long it took. It stays open between requests, so that the model is loaded, memory
// is touched and threads run before anything is timed, and so that llama.cpp (peer_llama_cpp.py, which takes the same
// requests) and we can be asked in turns.
//
//   bench_engine MODEL THREADS [DEVICE]
//
//   {"do": "describe"}                                        what one token reads and multiplies, kernels
//   {"do": "prefill", "tokens": T}                            T tokens into an empty cache, the head for the last
//   {"do": "extend", "to": P}                                 the kept line of tokens goes on to P positions
//   {"do": "decode", "depth": P, "tokens": T}                 T single tokens after P positions of the kept line
//   {"do": "batch", "sequences": B, "depth": P, "tokens": T}  T steps of one token for each of B sequences
//   {"do": "generate", "depth": P, "tokens": T, "temperature": K}
//                                                             T tokens, each drawn from the logits of the one before
//   {"do": "capture", "what": W, "tokens": T, "repeat": N}    a prefill without and with capture of all attention maps
//                                                             ("patterns") or of what the thumbnails and scores of all
//                                                             heads are made of ("summaries"), and writing as many
//                                                             bytes
//   {"do": "bandwidth", "bytes": B, "repeat": N}              copying B bytes within the device's memory; what it read
//                                                             and wrote
//   {"do": "tokenise", "file": F, "repeat": N, "ids": O}      the file's text to ids, on one thread; the ids go to file
//   O
//
// What is timed is the forward call (llama_decode on the other side): the tokens are known before, nothing is drawn,
// except by "generate".
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/model/transformer.h"
#include "core/run/device.h"
#include "core/run/generate.h"
#include "kernels/hash.h"
#include "kernels/pattern_summary.h"

namespace glassbox::bench {
namespace {

using json = nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr int kMostSequences = 16;
// Untimed work before the timed one: threads wake up, the clock of the cores rises, the other side's data leave the
// caches.
constexpr int kWarmRows = 32, kWarmSteps = 4;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "bench_engine: %s\n", why.c_str());
  std::exit(1);
}

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[values.size() / 2] + values[(values.size() - 1) / 2]) / 2;
}

// The same tokens on both sides (token_at in peer_llama_cpp.py): ordinary ones, another line for each sequence.
constexpr int kTokenSpan = 40000, kFirstToken = 1000;
int32_t token_at(int sequence, int position) {
  return kFirstToken + static_cast<int32_t>((int64_t{position} * 7919 + int64_t{sequence} * 10007) % kTokenSpan);
}

class Bench {
 public:
  Bench(const std::string& path, int threads, const std::string& device) : threads_(threads) {
    Result<std::shared_ptr<const Model>> model = Model::load(path);
    if (!model) give_up(model.error().message());
    model_ = model.take();
    const Result<DeviceChoice> choice = parse_device(device);
    if (!choice) give_up(choice.error().message());
    // As the command line makes its backend.
    Result<OpenDevice> opened = open_device(*choice, {threads, "", true}, *model_);
    if (!opened) give_up(opened.error().message());
    ops_ = opened->ops;
    if (model_->config().vocab < kFirstToken + kTokenSpan) give_up("the model has fewer tokens than are used here");
    placed_ = std::make_unique<PlacedModel>(model_, *ops_);
    pool_ = std::make_shared<KvPool>(model_->config(), Precision::fast, ops_);
    workspace_ = std::make_unique<Workspace>(model_->config(), rows_per_call(*ops_), *ops_);
    logits_.resize(static_cast<size_t>(model_->config().vocab) * kMostSequences);
    line_ = std::make_unique<KvSequence>(pool_);
    page_pool_ = std::make_shared<PagePool>(ops_, size_t{4} << 30);
  }

  json answer(const json& request) {
    const std::string what = request.at("do");
    const int tokens = request.value("tokens", 0), depth = request.value("depth", 0);
    if (what == "describe") return describe();
    if (what == "prefill") return {{"seconds", prefill(tokens)}};
    if (what == "extend") return {{"seconds", extend(request.at("to"))}};
    if (what == "decode") return decode(depth, tokens);
    if (what == "batch") return {{"seconds", batch(request.at("sequences"), depth, tokens)}};
    if (what == "generate") return generate_text(depth, tokens, request.value("temperature", 0.0f));
    if (what == "capture") return capture(request.value("what", "patterns"), tokens, request.at("repeat"));
    if (what == "bandwidth") return bandwidth(request.at("bytes"), request.at("repeat"));
    if (what == "tokenise") return tokenise(request.at("file"), request.at("repeat"), request.value("ids", ""));
    give_up("there is no request \"" + what + "\"");
  }

 private:
  json describe() const {
    const ModelConfig& config = model_->config();
    int64_t products = 0;
    for (const LayerConfig& layer : config.layers) {
      const int64_t heads = int64_t{layer.heads} * layer.head_dim, kv = int64_t{layer.kv_heads} * layer.head_dim;
      products += config.width * (2 * heads + 2 * kv + (layer.gated ? 3 : 2) * int64_t{layer.ff});
    }
    return {{"kernels", ops_->description()},
            {"model", model_->name() + " " + model_->format()},
            {"weight_bytes", model_->weight_bytes()},  // read once for every token of a decode
            {"kv_bytes_per_position", pool_->block_bytes() / kKvBlock},
            {"products_per_token", products},  // multiplications in the layers' matrices
            {"context", config.context}};
  }

  // Positions [begin, end) of one sequence, in calls as SessionStore cuts them; the head for the last one.
  void run(KvSequence& sequence, int number, int begin, int end, const TapPlan* plan = nullptr) {
    KvSequence* const sequences[] = {&sequence};
    const int most = workspace_->max_rows();
    for (int from = begin; from < end; from += most) {
      const int to = std::min(from + most, end);
      rows_.clear();
      for (int position = from; position < to; ++position)
        rows_.push_back({token_at(number, position), 0, position, position + 1 == end});
      call(sequences, to == end ? 1 : 0, plan);
    }
  }
  void call(std::span<KvSequence* const> sequences, size_t heads, const TapPlan* plan) {
    const auto logits = std::span(logits_).first(heads * static_cast<size_t>(model_->config().vocab));
    const Result<void> done =
        forward(*placed_, *ops_, Precision::fast, *workspace_, {rows_, sequences, plan, logits, {}});
    if (!done) give_up(done.error().message());
  }

  double timed(KvSequence& sequence, int begin, int end, const TapPlan* plan = nullptr) {
    const Clock::time_point begun = Clock::now();
    run(sequence, 0, begin, end, plan);
    return seconds_since(begun);
  }

  double prefill(int tokens) {
    KvSequence warm(pool_), fresh(pool_);
    run(warm, 0, 0, std::min(tokens, kWarmRows));
    return timed(fresh, 0, tokens);
  }

  double extend(int end) {
    if (line_->length() >= end) line_->truncate(0);
    return timed(*line_, line_->length(), end);
  }

  // `hash` tells whether two runs have the same bits: here of the last logits, of the ids in generate_text().
  json decode(int depth, int tokens) {
    if (line_->length() < depth) run(*line_, 0, line_->length(), depth);
    line_->truncate(depth);
    for (int i = 0; i < kWarmSteps; ++i) run(*line_, 0, depth + i, depth + i + 1);
    line_->truncate(depth);
    const Clock::time_point begun = Clock::now();
    for (int i = 0; i < tokens; ++i) run(*line_, 0, depth + i, depth + i + 1);
    const double seconds = seconds_since(begun);
    line_->truncate(depth);
    const auto vocab = static_cast<size_t>(model_->config().vocab);
    return {{"seconds", seconds}, {"hash", hash_logits(std::span(logits_).first(vocab))}};
  }

  double batch(int count, int depth, int tokens) {
    if (count < 1 || count > kMostSequences) give_up("there are too many sequences in the batch");
    std::vector<KvSequence> lines;
    std::vector<KvSequence*> sequences;
    for (int s = 0; s < count; ++s) {
      lines.emplace_back(pool_);
      run(lines.back(), s, 0, depth);
    }
    for (KvSequence& line : lines) sequences.push_back(&line);
    const auto steps = [&](int number) {
      for (int i = 0; i < number; ++i) {
        rows_.clear();
        for (int s = 0; s < count; ++s) rows_.push_back({token_at(s, depth + i), s, depth + i, true});
        call(sequences, sequences.size(), nullptr);
      }
    };
    steps(kWarmSteps);
    for (KvSequence& line : lines) line.truncate(depth);
    const Clock::time_point begun = Clock::now();
    steps(tokens);
    return seconds_since(begun);
  }

  json generate_text(int depth, int tokens, float temperature) {
    SessionStore store(model_, ops_);
    GenerateRequest request;
    request.seed = 1;
    request.sampler.temperature = temperature;
    request.sampler.top_k = temperature > 0 ? 40 : 0;
    request.ignore_end = true;
    double seconds = 0;
    uint64_t hash = kHashStart;
    // The untimed run goes on from another prompt: of the same one the store would know the first tokens.
    for (const auto& [sequence, most] : {std::pair{1, kWarmSteps}, {0, tokens}}) {
      request.tokens.clear();
      for (int i = 0; i < depth; ++i) request.tokens.push_back(token_at(sequence, i));
      request.most = most + 1;  // the first is the prompt's
      const Result<Generation> made = generate(store, request, [](int32_t) { return true; });
      if (!made) give_up(made.error().message());
      seconds = made->decode_seconds;
      for (const int32_t id : made->ids) hash = join_hashes(hash, static_cast<uint64_t>(id));
    }
    return {{"seconds", seconds}, {"hash", hash}};
  }

  struct Capture {
    double plain, captured, write;  // seconds
    size_t bytes;
  };
  // A prefill as it is; the same with some taps of every layer stored into pages whose memory was touched before; and
  // writing as many bytes into that same memory, or, from a GPU, copying them to the host.
  Capture capture_once(const ProbeSpec& taps, int tokens) {
    const ModelConfig& config = model_->config();
    const double plain = prefill(tokens);
    KvSequence fresh(pool_);
    std::vector<std::shared_ptr<Page>> pages;
    const Clock::time_point begun = Clock::now();
    TapPlan plan(config);
    for (const TapNeed& need : taps.needs) {
      for (int layer = need.layer_begin; layer < need.layer_end; ++layer) {
        pages.push_back(std::make_shared<Page>(page_pool_, need.tap, layer, need.last_only ? tokens - 1 : 0, tokens,
                                               tap_heads(need.tap, config, layer),
                                               tap_width(need.tap, config, layer, tokens), false));
        plan.add_capture(0, pages.back());
      }
    }
    run(fresh, 0, 0, tokens, &plan);
    const double captured = seconds_since(begun);

    size_t bytes = 0;
    for (const std::shared_ptr<Page>& page : pages) {
      check_page(*page, tokens);
      bytes += page->bytes();
    }
    return {plain, captured, ops_->on_host() ? write(pages) : copy_from_device(bytes), bytes};
  }
  double write(const std::vector<std::shared_ptr<Page>>& pages) const {
    const Clock::time_point begun = Clock::now();
    std::vector<std::thread> writers;
    for (int worker = 1; worker < threads_; ++worker) writers.emplace_back([&, worker] { overwrite(pages, worker); });
    overwrite(pages, 0);
    for (std::thread& writer : writers) writer.join();
    return seconds_since(begun);
  }
  double copy_from_device(size_t bytes) {
    if (device_values_.bytes() < bytes) {
      device_values_ = ops_->allocate(bytes);
      host_values_ = ops_->allocate_staging(bytes);
    }
    const Clock::time_point begun = Clock::now();
    ops_->download(device_values_.data(), bytes, host_values_.data());
    ops_->wait();
    return seconds_since(begun);
  }
  json bandwidth(size_t bytes, int repeat) {
    constexpr uint64_t kSpread = 0x9E3779B97F4A7C15;  // 2⁶⁴ over the golden ratio: bits that look drawn, never all zero
    std::vector<uint64_t> values(bytes / sizeof(uint64_t));
    for (size_t i = 0; i < values.size(); ++i) values[i] = (i + 1) * kSpread;
    const size_t size = values.size() * sizeof(uint64_t);
    Buffer from = ops_->allocate(size), to = ops_->allocate(size);
    ops_->upload(values.data(), size, from.data());
    ops_->copy(from.data(), size, to.data());
    ops_->wait();
    const Clock::time_point begun = Clock::now();
    for (int i = 0; i < repeat; ++i) ops_->copy(from.data(), size, to.data());
    ops_->wait();
    return {{"seconds", seconds_since(begun) / repeat}, {"bytes", 2 * size}};
  }

  // The extra time is a small difference of two long ones: pairs of neighbours are compared, and the pairs' medians
  // count.
  json capture(const std::string& what, int tokens, int repeat) {
    const int layers = model_->config().layer_count();
    ProbeSpec taps;
    if (what == "patterns") {
      taps.add(Tap::attn_pattern, 0, layers);
    } else if (what == "summaries") {  // as Workbench asks for them
      for (const Tap tap : {Tap::attn_pooled, Tap::attn_focus}) taps.add(tap, 0, layers);
      taps.add_last(Tap::attn_z, 0, layers);
      taps.add_last(Tap::resid_post, layers - 1, layers);
    } else {
      give_up("there is no capture of " + what);
    }
    capture_once(taps, tokens);  // fills the pool
    std::vector<double> plain, captured, extra, write;
    Capture pair{};
    for (int i = 0; i < repeat; ++i) {
      pair = capture_once(taps, tokens);
      plain.push_back(pair.plain), captured.push_back(pair.captured), write.push_back(pair.write);
      extra.push_back(pair.captured - pair.plain);
    }
    return {{"plain", median(plain)},
            {"captured", median(captured)},
            {"extra", median(extra)},
            {"write", median(write)},
            {"bytes", pair.bytes}};
  }

  // That the maps are there: each position written once, and its weights sum to one. Of a summary, that the greatest
  // weight can be one.
  static void check_page(const Page& page, int tokens) {
    if (!page.complete(tokens)) give_up("a position of an attention map was not captured");
    const bool summary = page.tap() == Tap::attn_pooled || page.tap() == Tap::attn_focus;
    if (!summary && page.tap() != Tap::attn_pattern) return;
    for (const int position : {0, tokens / 2, tokens - 1}) {
      for (int head = 0; head < page.heads(); ++head) {
        const std::span<const float> weights = page.head(position, head);
        if (page.tap() == Tap::attn_pattern) {
          if (std::abs(std::accumulate(weights.begin(), weights.end(), 0.0) - 1) > 1e-3)
            give_up("a captured pattern does not sum to one");
          continue;
        }
        const float greatest =
            page.tap() == Tap::attn_focus ? weights[kFocusGreatest] : *std::max_element(weights.begin(), weights.end());
        if (!(greatest * static_cast<float>(position + 1) > 0.999f && greatest <= 1.001f))
          give_up("the greatest weight of a captured summary cannot be one");
      }
    }
  }

  void overwrite(const std::vector<std::shared_ptr<Page>>& pages, int worker) const {
    for (const std::shared_ptr<Page>& page : pages) {
      const size_t part = page->bytes() / static_cast<size_t>(threads_) / 64 * 64,
                   first = part * static_cast<size_t>(worker);
      const size_t size = worker + 1 == threads_ ? page->bytes() - first : part;
      std::memset(reinterpret_cast<std::byte*>(page->row_data(page->begin())) + first, worker + 1, size);
    }
  }

  json tokenise(const std::string& path, int repeat, const std::string& ids_path) const {
    std::ifstream file(path, std::ios::binary);
    if (!file) give_up(path + " cannot be read");
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const Tokenizer& tokenizer = model_->tokenizer();
    std::vector<Token> tokens = tokenizer.encode(text);
    if (!ids_path.empty()) {
      std::ofstream out(ids_path, std::ios::binary);
      for (const Token& token : tokens) out.write(reinterpret_cast<const char*>(&token.id), sizeof token.id);
      if (!out.flush()) give_up(ids_path + " cannot be written");
    }
    std::vector<double> seconds;
    for (int i = 0; i < repeat; ++i) {
      const Clock::time_point begun = Clock::now();
      tokens = tokenizer.encode(text);
      seconds.push_back(seconds_since(begun));
    }
    return {{"bytes", text.size()}, {"tokens", tokens.size()}, {"seconds", seconds}};
  }

  int threads_;
  std::shared_ptr<Ops> ops_;
  std::shared_ptr<const Model> model_;
  std::unique_ptr<PlacedModel> placed_;
  std::shared_ptr<KvPool> pool_;
  // All maps of a prefill stay in the pool: 283 MB for 512 tokens of the default model.
  std::shared_ptr<PagePool> page_pool_;
  std::unique_ptr<Workspace> workspace_;
  std::unique_ptr<KvSequence> line_;  // the kept line of tokens
  std::vector<ForwardRow> rows_;
  std::vector<float> logits_;
  Buffer device_values_, host_values_;  // what a plain copy from a GPU reads and writes
};

}  // namespace
}  // namespace glassbox::bench

int main(int argc, char** argv) {
  using namespace glassbox::bench;
  const int threads = argc == 3 || argc == 4 ? std::atoi(argv[2]) : 0;
  if (threads < 1) {
    std::fprintf(stderr, "usage: bench_engine MODEL THREADS [DEVICE]  (requests on standard input)\n");
    return 2;
  }
  Bench bench(argv[1], threads, argc == 4 ? argv[3] : "cpu");
  for (std::string line; std::getline(std::cin, line);) {
    const nlohmann::json request = nlohmann::json::parse(line, nullptr, false);
    if (!request.is_object() || !request.contains("do")) give_up("this is no request: " + line);
    std::cout << bench.answer(request).dump() << std::endl;
  }
}
