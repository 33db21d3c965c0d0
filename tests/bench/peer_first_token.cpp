// The least that llama.cpp needs from the start of a process to one token: load, tokenise, one forward, the most likely
// token. tests/bench/run compiles it against the library that llama-cpp-python has built.
//
//   peer_first_token MODEL THREADS TEXT
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "llama.h"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_backend_init();
  llama_model_params model_wishes = llama_model_default_params();
  model_wishes.n_gpu_layers = 0;
  llama_model* model = llama_model_load_from_file(argv[1], model_wishes);
  if (model == nullptr) return 3;
  llama_context_params wishes = llama_context_default_params();
  wishes.n_threads = wishes.n_threads_batch = std::atoi(argv[2]);
  llama_context* context = llama_init_from_model(model, wishes);
  if (context == nullptr) return 1;

  const llama_vocab* vocab = llama_model_get_vocab(model);
  const std::string text = argv[3];
  const auto bytes = static_cast<int32_t>(text.size());
  std::vector<llama_token> tokens(text.size() + 8);
  const int32_t count =
      llama_tokenize(vocab, text.data(), bytes, tokens.data(), static_cast<int32_t>(tokens.size()), false, true);
  if (count < 1 || llama_decode(context, llama_batch_get_one(tokens.data(), count)) != 0) return 1;
  const float* logits = llama_get_logits_ith(context, -1);
  const auto best = static_cast<llama_token>(std::max_element(logits, logits + llama_vocab_n_tokens(vocab)) - logits);
  char piece[64];
  const int32_t length = llama_token_to_piece(vocab, best, piece, sizeof piece, 0, true);
  std::printf("%.*s\n", std::max(length, 0), piece);
  std::fflush(stdout);
  llama_free(context);
  llama_model_free(model);
}
