// Whole models on the device: the same session, taps, edits and golden values as on the CPU.
#include <catch2/generators/catch_generators.hpp>

#include "core/run/generate.h"
#include "core/run/random.h"
#include "kernels/cuda_devices.h"
#include "kernels/device_error.h"
#include "tests/gpu/step_checks.h"

namespace glassbox {
namespace {

using testing::under_schedules;

constexpr double kExactNmse = 1e-9;

TEST_CASE("a model on the device agrees with transformers, with every tap", "[model][golden][short]") {
  const std::string name = GENERATE("tiny_gpt2/mixed", "tiny_llama/f32");
  const auto model = load_golden_model(golden_path(name + ".gguf"));
  const nlohmann::json golden = read_golden(name + ".json");
  const std::vector<float> values = read_golden_floats(name + ".bin");
  const nlohmann::json& run = golden["runs"].front();
  const std::vector<int32_t> ids = run["ids"];
  under_schedules([&] {
    INFO(name);
    SessionStore store(model, make_cuda_ops(0));
    store.set_poison(true);
    const auto step = run_step(store, all_taps_of(*model, ids, Precision::exact));
    size_t compared = 0;
    check_golden_taps(golden, values, run["run"], *step, kExactNmse, compared);
    CHECK(compared > 0);
    const std::vector<int32_t> text = run["greedy"]["ids"];
    CHECK(greedy(store, ids, Precision::exact, 6) == std::vector<int32_t>(text.begin(), text.begin() + 6));
  });
}

TEST_CASE("prefill, steps, taps and edits on the device are those of the reference", "[model]") {
  const Precision precision = GENERATE(Precision::exact, Precision::fast);
  const double bound = precision == Precision::exact ? 1e-9 : 1e-4;  // cuBLAS uses 10 bits of mantissa
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  const std::vector<int32_t> ids = {5, 17, 3, 200, 41, 41, 7, 99, 150, 12, 3};
  SessionStore reference(model, make_reference_ops());
  under_schedules([&] {
    const StepRequest request = all_taps_of(*model, ids, precision);
    const auto expected = run_step(reference, request);
    SessionStore prefilled(model, make_cuda_ops(0));
    prefilled.set_poison(true);
    const auto prefill = run_step(prefilled, request);
    CHECK(page_difference(*prefill, *expected, request.needs, model->config()) < bound);

    // Taps change no bit. (The tap of the logits does: the head then runs on all rows, and as another kernel.)
    SessionStore plain(model, make_cuda_ops(0)), tapped(model, make_cuda_ops(0));
    CHECK(run_step(plain, {ids, {}, precision, {}})->logits_hash ==
          run_step(tapped, {ids, {}, precision, all_stored_taps(model->config())})->logits_hash);

    SessionStore stepped(model, make_cuda_ops(0));
    stepped.set_poison(true);
    std::shared_ptr<const Step> step;
    for (size_t n = 8; n <= ids.size(); ++n) {
      step = run_step(stepped, all_taps_of(*model, {ids.begin(), ids.begin() + static_cast<ptrdiff_t>(n)}, precision));
    }
    CHECK(page_difference(*step, *expected, request.needs, model->config()) < bound);

    for (const char* spec : {"zero:attn_z:L1:H2", "scale:mlp_out:L0:0.5", "cut_score:attn_scores:L0:H1:5>2",
                             "cut_weight:attn_pattern:L1:H0:10>0", "scale:attn_pattern:L0:0.25"}) {
      INFO(spec);
      const auto edit = parse_edit(spec);
      REQUIRE(edit.ok());
      StepRequest edited = request;
      edited.edits = {*edit};
      const auto truth = run_step(reference, edited);
      CHECK(page_difference(*run_step(prefilled, edited), *truth, request.needs, model->config()) < bound);
      CHECK(truth->logits_hash != expected->logits_hash);
    }
  });
}

Generation generated(SessionStore& store, const GenerateRequest& request, int stop_after = -1) {
  int tokens = 0;
  const Result<Generation> made = generate(store, request, [&](int32_t) { return ++tokens != stop_after; });
  if (!made) FAIL(made.error().message());
  return *made;
}

TEST_CASE("tokens drawn on the device are those that the host draws, and so is the line they leave", "[model][draw]") {
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  SamplerSettings warm, penalised;
  warm.temperature = 0.9f;
  warm.top_k = 20;
  penalised.temperature = 0.0f;
  penalised.repetition_penalty = 1.4f;
  penalised.penalty_window = -1;
  SamplerSettings hot;  // the head of a small vocabulary is all of it
  hot.temperature = 1.5f;
  under_schedules([&] {
    for (const SamplerSettings& sampler : {hot, penalised, warm}) {
      SessionStore ahead(model, make_cuda_ops(0)), plain(model, make_cuda_ops(0));
      GenerateRequest request{.tokens = {5, 17, 3, 200, 41}, .sampler = sampler, .seed = 11, .most = 7};
      request.ignore_end = true;
      const Generation made = generated(ahead, request);
      REQUIRE(made.ids.size() == 7);
      CHECK(made.finish == Finish::length);
      std::vector<int32_t> tokens = request.tokens;
      uint64_t hash = 0;
      for (const int32_t id : made.ids) {
        const auto step = run_step(plain, {tokens, {}, Precision::fast, {}});
        hash = tokens == request.tokens ? step->logits_hash : join_hashes(hash, step->logits_hash);
        CHECK(id == draw_token(step->logits, sampler, tokens, draw_uniform(11, 0, tokens.size())));
        tokens.push_back(id);
      }
      CHECK(made.logits_hash == hash);
      if (sampler != warm) continue;
      // What was drawn is in the line's cache: a step goes on from there, with taps, as anywhere.
      const StepRequest next = all_taps_of(*model, tokens, Precision::fast);
      CHECK(run_step(ahead, {tokens, {}, Precision::fast, {}})->timing.rows <= 2);
      CHECK(page_difference(*run_step(ahead, next), *run_step(plain, next), next.needs, model->config()) < 1e-9);
    }
  });
}

TEST_CASE("a generation on the device stops where it should, and another goes on from there", "[model][draw]") {
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  SessionStore store(model, make_cuda_ops(0));
  GenerateRequest request{.tokens = {5, 17, 3}, .seed = 4};
  request.ignore_end = true;
  for (const int most : {0, 1, 2, 3, 5}) {
    request.most = most;
    CHECK(generated(store, request).ids.size() == static_cast<size_t>(most));
  }
  request.most = 8;
  const Generation whole = generated(store, request);
  const Generation part = generated(store, request, 3);
  CHECK(part.finish == Finish::stopped);
  CHECK(std::equal(part.ids.begin(), part.ids.end(), whole.ids.begin()));
  CHECK(part.ids.size() == 3);
  request.tokens.insert(request.tokens.end(), whole.ids.begin(), whole.ids.begin() + 4);
  request.most = 4;
  const Generation rest = generated(store, request);
  CHECK(std::equal(rest.ids.begin(), rest.ids.end(), whole.ids.begin() + 4));
  // To the end of the context, and no further.
  request.most = -1;
  const Generation full = generated(store, request);
  CHECK(full.finish == Finish::context);
  CHECK(request.tokens.size() + full.ids.size() == static_cast<size_t>(model->config().context) + 1);
  // Asked to stop between two tokens.
  int asked = 0;
  const Result<Generation> cancelled = generate(
      store, request, [](int32_t) { return true; }, [&](double) { return ++asked < 20; });
  REQUIRE(!cancelled.ok());
  CHECK(cancelled.error().kind == ErrorKind::cancelled);
}

#ifdef GLASSBOX_CUDA_EMULATED
// Ids one after the other; the launches of the last step, and whether it ran from a recording.
emulator::Counters last_step(SessionStore& store, const std::vector<int32_t>& ids, size_t first, const ProbeSpec& needs,
                             std::shared_ptr<const Step>* last = nullptr) {
  for (size_t n = first; n <= ids.size(); ++n) {
    emulator::reset_counters();
    const auto step =
        run_step(store, {{ids.begin(), ids.begin() + static_cast<ptrdiff_t>(n)}, {}, Precision::exact, needs});
    if (last != nullptr) *last = step;
  }
  return emulator::counters();
}

TEST_CASE("a step is one recording, five launches a layer and two more, with taps and without", "[model]") {
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  const int64_t launches = 5 * model->config().layer_count() + 2;
  const std::vector<int32_t> ids = {5, 17, 3, 200, 41, 41, 7, 99, 150, 12, 3, 9, 8};
  std::shared_ptr<const Step> plain_step, tapped_step;
  SessionStore plain(model, make_cuda_ops(0)), tapped(model, make_cuda_ops(0));
  tapped.set_poison(true);
  const ProbeSpec needs = all_stored_taps(model->config());
  const emulator::Counters off = last_step(plain, ids, 9, {}, &plain_step);
  CHECK(off.launches == launches);
  CHECK(off.graph_launches == 1);
  const emulator::Counters on = last_step(tapped, ids, 9, needs, &tapped_step);
  CHECK(on.launches == launches);
  CHECK(on.graph_launches == 1);
  CHECK(off.graph_nodes == launches);
  CHECK(on.graph_nodes == launches + 1);  // a copy of the embedding, which is changed in its place
  CHECK(plain_step->logits_hash == tapped_step->logits_hash);
  // What a recording wrote is what this step's values are, not those of the step in which it was made.
  SessionStore reference(model, make_reference_ops());
  const auto truth = run_step(reference, {ids, {}, Precision::exact, needs});
  CHECK(page_difference(*tapped_step, *truth, needs, model->config()) < kExactNmse);
  // Another number of rows, an edit: other recordings, or none; and back.
  StepRequest edited{ids, {*parse_edit("zero:attn_z:L1:H2")}, Precision::exact, needs};
  CHECK(page_difference(*run_step(tapped, edited), *run_step(reference, edited), needs, model->config()) < kExactNmse);
  std::vector<int32_t> longer = ids;
  longer.insert(longer.end(), {1, 2, 3, 4, 5, 6});
  const emulator::Counters after = last_step(tapped, longer, longer.size() - 3, needs, &tapped_step);
  CHECK(after.graph_launches == 1);
  CHECK(page_difference(*tapped_step, *run_step(reference, {longer, {}, Precision::exact, needs}), needs,
                        model->config()) < kExactNmse);
}

TEST_CASE("a step that the device has no memory for is an error, and the next one runs", "[model][device]") {
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  const std::vector<int32_t> ids = {5, 17, 3, 200};
  SessionStore store(model, make_cuda_ops(0));
  const auto before = run_step(store, {ids, {}, Precision::fast, {}});
  emulator::set_memory_limit(1);  // what is there stays
  StepRequest request{{9, 8, 7, 6, 5, 4}, {}, Precision::fast, all_stored_taps(model->config())};
  const auto failed = store.run(request);
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().kind == ErrorKind::device_memory);
  CHECK(failed.error().message().find("memory") != std::string::npos);
  emulator::set_memory_limit(0);
  CHECK(store.run(request).ok());
  CHECK(run_step(store, {ids, {}, Precision::fast, {}})->logits_hash == before->logits_hash);
  CHECK(store.ops().memory().total_bytes > 0);
}
#endif

TEST_CASE("a device that does not exist is refused with its name", "[device]") {
  CudaDevices found = find_cuda_devices();
  CHECK(found.built_in);
  REQUIRE_FALSE(found.devices.empty());
  CHECK_FALSE(found.surprising);
  CudaDevice& first = found.devices.front();
  CHECK_FALSE(first.free_bytes.has_value());
  ask_cuda_device(first);
  CHECK(first.problem.empty());
  CHECK(first.free_bytes.value_or(0) > 0);
  CHECK_THROWS_AS(make_cuda_ops(99), DeviceError);
}

}  // namespace
}  // namespace glassbox
