// llama.cpp's side of tests/gpu/run: the same requests as bench_engine.cpp takes, one JSON a line, answered likewise.
// peer_llama_cpp.py does this on the CPU; here is no interpreter between the calls, which on a GPU would count.
//
//   peer_llama_cpp_gpu MODEL THREADS cuda|cpu flash|plain
//
// flash|plain: with llama.cpp's kernels of flash attention or without. The settings are else its defaults but for
// sizes: all layers on the GPU, the cache in 16 bits, CUDA graphs. What is timed is llama_decode, and llama_synchronize
// after it; by "generate" the choice of the token too. tests/gpu/run pack-peer builds it.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "ggml-backend.h"
#include "llama.h"

namespace {

using json = nlohmann::json;
using Clock = std::chrono::steady_clock;

// As in bench_engine.cpp.
constexpr int kMostSequences = 16, kWarmRows = 32, kWarmSteps = 4;
constexpr int kTokenSpan = 40000, kFirstToken = 1000;
int32_t token_at(int sequence, int position) {
  return kFirstToken + static_cast<int32_t>((int64_t{position} * 7919 + int64_t{sequence} * 10007) % kTokenSpan);
}
constexpr int kRowsPerCall = 512;
constexpr int kShort = 1024;          // positions of the context that prefill and the first decodes use
constexpr int kBatchPositions = 256;  // of each sequence of a batch

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "peer_llama_cpp_gpu: %s\n", why.c_str());
  std::exit(1);
}

struct Settings {
  int threads;
  bool on_gpu, flash;
};

// A llama.cpp context with room for `sequences` lines of `positions` tokens.
class Line {
 public:
  Line(llama_model* model, const Settings& settings, int positions, int sequences)
      : lengths_(static_cast<size_t>(sequences), 0), batch_(llama_batch_init(kRowsPerCall, 0, 1)) {
    llama_context_params wishes = llama_context_default_params();
    wishes.n_ctx = static_cast<uint32_t>(positions * sequences);
    wishes.n_batch = wishes.n_ubatch = kRowsPerCall;
    wishes.n_seq_max = static_cast<uint32_t>(sequences);
    wishes.n_threads = wishes.n_threads_batch = settings.threads;
    wishes.flash_attn_type = settings.flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    wishes.offload_kqv = wishes.op_offload = settings.on_gpu;
    context_ = llama_init_from_model(model, wishes);
    if (context_ == nullptr) give_up("llama.cpp made no context");
  }
  ~Line() {
    llama_batch_free(batch_);
    llama_free(context_);
  }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  llama_context* context() const { return context_; }
  int length() const { return lengths_[0]; }

  void add(int32_t token, int position, int sequence, bool logits) {
    const int row = batch_.n_tokens++;
    batch_.token[row] = token;
    batch_.pos[row] = position;
    batch_.n_seq_id[row] = 1;
    batch_.seq_id[row][0] = sequence;
    batch_.logits[row] = logits ? 1 : 0;
  }
  // Runs what was added. Returns the seconds of llama.cpp alone.
  double call() {
    const Clock::time_point begun = Clock::now();
    if (llama_decode(context_, batch_) != 0) give_up("llama_decode failed");
    llama_synchronize(context_);
    const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    batch_.n_tokens = 0;
    return seconds;
  }

  // Positions [begin, end) of one sequence, the head for the last one.
  double run(int begin, int end, int sequence = 0) {
    double seconds = 0;
    for (int from = begin; from < end; from += kRowsPerCall) {
      for (int position = from; position < std::min(from + kRowsPerCall, end); ++position)
        add(token_at(sequence, position), position, sequence, position + 1 == end);
      seconds += call();
    }
    lengths_[static_cast<size_t>(sequence)] = end;
    return seconds;
  }
  // One token more for each sequence, `tokens` times; the cache is then as it was before.
  double steps(int depth, int tokens, int sequences = 1) {
    double seconds = 0;
    for (int position = depth; position < depth + tokens; ++position) {
      for (int sequence = 0; sequence < sequences; ++sequence)
        add(token_at(sequence, position), position, sequence, true);
      seconds += call();
    }
    for (int sequence = 0; sequence < sequences; ++sequence) truncate(depth, sequence);
    return seconds;
  }
  void truncate(int length, int sequence = 0) {
    if (!llama_memory_seq_rm(llama_get_memory(context_), sequence, length, -1))
      give_up("llama.cpp did not shorten its cache");
    lengths_[static_cast<size_t>(sequence)] = length;
  }

 private:
  std::vector<int> lengths_;
  llama_batch batch_;
  llama_context* context_ = nullptr;
};

class Peer {
 public:
  Peer(const char* path, const Settings& settings) : settings_(settings) {
    llama_backend_init();
    if (settings.on_gpu && !llama_supports_gpu_offload()) give_up("llama.cpp finds no GPU");
    llama_model_params wishes = llama_model_default_params();
    wishes.n_gpu_layers = settings.on_gpu ? -1 : 0;
    model_.reset(llama_model_load_from_file(path, wishes));
    if (!model_) give_up("llama.cpp does not read the model");
  }

  json answer(const json& request) {
    const std::string what = request.at("do");
    const int tokens = request.value("tokens", 0), depth = request.value("depth", 0);
    if (what == "describe") return describe();
    if (what == "prefill") return {{"seconds", prefill(tokens)}};
    if (what == "extend") return {{"seconds", extend(request.at("to"))}};
    if (what == "decode") return {{"seconds", decode(depth, tokens)}};
    if (what == "batch") return {{"seconds", batch(request.at("sequences"), depth, tokens)}};
    if (what == "generate") return generate(depth, tokens, request.value("temperature", 0.0f));
    give_up("there is no request \"" + what + "\"");
  }

 private:
  int trained() const { return llama_model_n_ctx_train(model_.get()); }
  Line& line(int positions, int sequences = 1) {
    std::unique_ptr<Line>& line = lines_[{positions, sequences}];
    if (!line) line = std::make_unique<Line>(model_.get(), settings_, positions, sequences);
    return *line;
  }
  Line& line_to(int end) { return line(end <= kShort ? kShort : trained()); }

  json describe() const {
    std::string devices;
    for (size_t i = 0; i < ggml_backend_dev_count(); ++i) {
      ggml_backend_dev_t device = ggml_backend_dev_get(i);
      if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_GPU)
        devices += std::string(devices.empty() ? "" : ", ") + ggml_backend_dev_description(device);
    }
    return {{"kernels", llama_print_system_info()}, {"devices", devices}};
  }

  double prefill(int tokens) {
    Line& line = line_to(tokens);
    line.truncate(0);
    line.run(0, std::min(tokens, kWarmRows));
    line.truncate(0);
    return line.run(0, tokens);
  }

  double extend(int end) {
    Line& line = line_to(trained());
    if (line.length() >= end) line.truncate(0);
    return line.run(line.length(), end);
  }

  double decode(int depth, int tokens) {
    Line& line = line_to(depth + tokens);
    if (line.length() < depth) line.run(line.length(), depth);
    line.truncate(depth);
    line.steps(depth, kWarmSteps);
    return line.steps(depth, tokens);
  }

  double batch(int sequences, int depth, int tokens) {
    if (sequences < 1 || sequences > kMostSequences) give_up("there are too many sequences in the batch");
    Line& line = this->line(kBatchPositions, kMostSequences);
    for (int sequence = 0; sequence < sequences; ++sequence) {
      line.truncate(0, sequence);
      line.run(0, depth, sequence);
    }
    line.steps(depth, kWarmSteps, sequences);
    return line.steps(depth, tokens, sequences);
  }

  // The most likely token each time; the first comes of the prompt and is not timed, as in bench_engine.cpp.
  json generate(int depth, int tokens, float temperature) {
    if (temperature != 0) give_up("here only the most likely token is chosen");
    Line& line = line_to(depth + tokens + 1);
    const std::unique_ptr<llama_sampler, decltype(&llama_sampler_free)> sampler(llama_sampler_init_greedy(),
                                                                                &llama_sampler_free);
    double seconds = 0;
    for (const int most : {kWarmSteps, tokens}) {
      line.truncate(0);
      line.run(0, depth);
      llama_token token = llama_sampler_sample(sampler.get(), line.context(), -1);
      const Clock::time_point begun = Clock::now();
      for (int i = 0; i < most; ++i) {
        line.add(token, depth + i, 0, true);
        line.call();
        token = llama_sampler_sample(sampler.get(), line.context(), -1);
      }
      seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    }
    line.truncate(depth);
    return {{"seconds", seconds}};
  }

  Settings settings_;
  std::unique_ptr<llama_model, decltype(&llama_model_free)> model_{nullptr, &llama_model_free};
  std::map<std::pair<int, int>, std::unique_ptr<Line>> lines_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string device = argc == 5 ? argv[3] : "", attention = argc == 5 ? argv[4] : "";
  const int threads = argc == 5 ? std::atoi(argv[2]) : 0;
  if (threads < 1 || (device != "cuda" && device != "cpu") || (attention != "flash" && attention != "plain")) {
    std::fprintf(stderr,
                 "usage: peer_llama_cpp_gpu MODEL THREADS cuda|cpu flash|plain  (requests on standard input)\n");
    return 2;
  }
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  Peer peer(argv[1], {threads, device == "cuda", attention == "flash"});
  for (std::string line; std::getline(std::cin, line);) {
    const json request = json::parse(line, nullptr, false);
    if (!request.is_object() || !request.contains("do")) give_up("this is no request: " + line);
    std::cout << peer.answer(request).dump() << std::endl;
  }
}
