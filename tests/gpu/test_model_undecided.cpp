// Generation where the device cannot decide its draws: flat logits, of which the few greatest hold only a small part.
#include "core/run/generate.h"
#include "core/run/random.h"
#include "kernels/cuda_devices.h"
#include "tests/gpu/parity.h"
#include "tests/support/golden.h"
#include "tests/support/small_model.h"

namespace glassbox {
namespace {

using namespace testing;

constexpr size_t kMostSorted = 1024;  // cuda::kMostTop, whose header is for kernels

// Whether the draw lies beyond all candidates that the device sorts.
bool beyond_the_head(std::vector<float> logits, double u) {
  std::sort(logits.begin(), logits.end(), std::greater<>());
  double total = 0, head = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double weight = std::exp(double{logits[i]} - logits[0]);
    total += weight;
    if (i < kMostSorted) head += weight;
  }
  return u * total > head;
}

TEST_CASE("flat logits, which the device cannot decide, give the text of the host", "[model][draw][undecided]") {
  // The spread of the logits: some draws that the device decides, and some not; hardly any that it does.
  for (const float gain : {1.5f, 0.05f}) {
#ifdef GLASSBOX_CUDA_EMULATED
    if (gain < 1 && emulator::build() != emulator::Build::plain) continue;
#endif
    INFO("gain " << gain);
    const auto model = test::make_model(
        {.more_tokens = 3000, .own_head = true, .head_gain = gain, .vary = [gain](ModelConfig& config) {
           config.embed_scale = 5.0f / gain;
         }});
    GenerateRequest request{.tokens = {5, 17, 3, 200, 41}, .seed = 21, .most = 12};
    request.ignore_end = true;
    under_schedules(
        [&] {
          SessionStore ahead(model, make_cuda_ops(0)), plain(model, make_cuda_ops(0));
          int told = 0;
          const Result<Generation> made = generate(ahead, request, [&](int32_t) {
            ++told;
            return true;
          });
          if (!made) FAIL(made.error().message());
          CHECK(told == request.most);
          CHECK(made->finish == Finish::length);
          std::vector<int32_t> tokens = request.tokens;
          uint64_t hash = 0;
          int beyond = 0;
          REQUIRE(made->ids.size() == static_cast<size_t>(request.most));
          for (const int32_t id : made->ids) {
            const auto step = run_step(plain, {tokens, {}, Precision::fast, {}});
            const double u = draw_uniform(request.seed, request.branch, tokens.size());
            beyond += beyond_the_head(step->logits, u) ? 1 : 0;
            hash = tokens == request.tokens ? step->logits_hash : join_hashes(hash, step->logits_hash);
            REQUIRE(id == draw_token(step->logits, request.sampler, tokens, u));
            tokens.push_back(id);
          }
          CHECK(made->logits_hash == hash);
          CHECK(beyond >= 3);
          if (gain > 1) CHECK(beyond <= request.most - 3);
          // The line is what it would be otherwise, and a text goes on from there.
          const auto next = run_step(ahead, {tokens, {}, Precision::fast, {}});
          CHECK(next->timing.rows <= 2);
          CHECK(next->logits_hash == run_step(plain, {tokens, {}, Precision::fast, {}})->logits_hash);
        },
        1);
  }
}

}  // namespace
}  // namespace glassbox
