// Generation: going on from a text, token by token.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/run/sampler.h"
#include "core/run/session.h"

namespace glassbox {

struct GenerateRequest {
  std::vector<int32_t> tokens;
  std::vector<Edit> edits = {};
  Precision precision = Precision::fast;
  SamplerSettings sampler = {};
  uint64_t seed = 0;  // of the draws, which depend on it, the branch and the position alone
  uint32_t branch = 0;
  int most = -1;            // tokens to make; −1: until the text or the context ends
  bool ignore_end = false;  // go on after a token that ends the text
};

enum class Finish : uint8_t { end, length, context, stopped };
std::string_view finish_name(Finish finish);  // "end", …

struct Generation {
  std::vector<int32_t> ids;  // with the token that ended it
  Finish finish = Finish::stopped;
  double prefill_seconds = 0;  // of the prompt's forward
  double decode_seconds = 0;   // from its end to the last token, with all that the sink did
  int decode_tokens = 0;       // steps in that time
  uint64_t logits_hash = 0;    // over the logits of all steps: equal hashes stand for equal bits
};

// Gets each token, but not the one that ends the text, before the next one is made; false stops.
using TokenSink = std::function<bool(int32_t token)>;

// The tokens are those that run() and draw_token() give one after the other. Where the backend draws by itself, the
// device does not wait for the host between them. `progress` is asked during the prompt's forward and between tokens.
// Errors: those of run().
Result<Generation> generate(SessionStore& sessions, const GenerateRequest& request, const TokenSink& sink,
                            const StepProgress& progress = {});

}  // namespace glassbox
