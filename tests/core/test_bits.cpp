// ARCHITECTURE §3: on the CPU the bits of a result depend on the text alone; §4: each tap fires exactly once, on every
// path.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "tests/support/backends.h"
#include "tests/support/golden.h"
#include "tests/support/model_path.h"
#include "tests/support/page_checks.h"
#include "tests/support/small_model.h"

using namespace glassbox;

namespace {

std::vector<int32_t> some_tokens(int vocab, int count) {
  std::vector<int32_t> tokens;
  uint32_t state = 12345;
  for (int i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    tokens.push_back(static_cast<int32_t>(state >> 8) % vocab);
  }
  return tokens;
}

uint64_t logits_hash(SessionStore& store, const std::vector<int32_t>& tokens, Precision precision,
                     const std::vector<Edit>& edits = {}, const ProbeSpec& needs = {}) {
  return run_step(store, {tokens, edits, precision, needs})->logits_hash;
}

}  // namespace

TEST_CASE("the same text has the same bits however it came", "[bits]") {
  const std::string name = GENERATE("tiny_gpt2/mixed", "tiny_llama/f32");
  const Precision precision = GENERATE(Precision::exact, Precision::fast);
  const auto model = load_golden_model(golden_path(name + ".gguf"));
  const std::vector<int32_t> tokens = some_tokens(300, 64);
  const ProbeSpec everything = all_stored_taps(model->config());
  for (const Backend& backend : all_backends(1)) {
    INFO(name << " on " << backend.name);
    SessionStore pasted(model, backend.ops);
    const uint64_t expected = logits_hash(pasted, tokens, precision);

    SessionStore typed(model, backend.ops);
    uint64_t last = 0;
    for (size_t n = 1; n <= tokens.size(); ++n)
      last = logits_hash(typed, {tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(n)}, precision);
    CHECK(last == expected);

    SessionStore tapped(model, backend.ops);
    CHECK(logits_hash(tapped, tokens, precision, {}, everything) == expected);

    SessionStore edited(model, backend.ops);
    for (const char* spec :
         {"scale:attn_z:L1:H2:1", "scale:attn_scores:L0:1", "scale:attn_pattern:L1:1", "scale:resid_post:L0:1"}) {
      INFO(spec);
      const auto edit = parse_edit(spec);
      REQUIRE(edit.ok());
      CHECK(logits_hash(edited, tokens, precision, {*edit}) == expected);
    }
    const auto off = parse_edit("zero:attn_z:L1:H2");
    CHECK(logits_hash(edited, tokens, precision, {*off}) != expected);

    // Branching off and coming back.
    SessionStore branched(model, backend.ops);
    (void)logits_hash(branched, tokens, precision);
    std::vector<int32_t> other = tokens;
    other[40] = (other[40] + 1) % 300;
    (void)logits_hash(branched, other, precision);
    CHECK(logits_hash(branched, tokens, precision) == expected);
    std::vector<int32_t> longer = tokens;
    longer.pop_back();
    (void)logits_hash(branched, longer, precision);
    CHECK(logits_hash(branched, tokens, precision, {}, everything) == expected);
  }
}

TEST_CASE("threads and neighbours in the batch change no bit", "[bits]") {
  const Precision precision = GENERATE(Precision::exact, Precision::fast);
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  const ModelConfig& config = model->config();
  const std::vector<int32_t> tokens = some_tokens(300, 40), others = some_tokens(299, 33);
  const auto run = [&](const std::shared_ptr<Ops>& ops, bool beside) {
    const auto pool = std::make_shared<KvPool>(config, precision, ops);
    KvSequence a(pool), b(pool);
    const PlacedModel placed(model, *ops);
    KvSequence* const sequences[] = {&b, &a};
    Workspace workspace(config, 128, *ops);
    std::vector<ForwardRow> rows;
    for (size_t i = 0; beside && i < others.size(); ++i)
      rows.push_back({others[i], 0, static_cast<int32_t>(i), i + 1 == others.size()});
    for (size_t i = 0; i < tokens.size(); ++i)
      rows.push_back({tokens[i], 1, static_cast<int32_t>(i), i + 1 == tokens.size()});
    std::vector<float> logits(static_cast<size_t>(config.vocab) * (beside ? 2 : 1));
    REQUIRE(forward(placed, *ops, precision, workspace, {rows, sequences, nullptr, logits, {}}).ok());
    CHECK(a.length() == static_cast<int>(tokens.size()));
    return hash_logits(std::span<const float>(logits).last(static_cast<size_t>(config.vocab)));
  };
  for (const char* isa : {"portable", "avx2", "avx512"}) {
    const std::shared_ptr<Ops> one = make_cpu_ops({1, isa, false});
    if (!one) continue;
    INFO(isa);
    const uint64_t expected = run(one, false);
    CHECK(run(one, true) == expected);
    for (const int threads : {2, 3}) {
      const std::shared_ptr<Ops> more = make_cpu_ops({threads, isa, false});
      CHECK(run(more, false) == expected);
      CHECK(run(more, true) == expected);
    }
  }
}

TEST_CASE("the real model: one and two threads, typed and pasted", "[bits][model]") {
  const auto model = load_golden_model(test::model_path());
  const std::vector<int32_t> tokens = some_tokens(49152, 70);
  const Precision precision = GENERATE(Precision::exact, Precision::fast);
  SessionStore one(model, make_cpu_ops({1, "", false})), two(model, make_cpu_ops({2, "", false}));
  const uint64_t expected = logits_hash(one, tokens, precision);
  ProbeSpec patterns;
  patterns.add(Tap::attn_pattern, 0, model->config().layer_count());
  for (const int n : {1, 2, 63, 64, 65, 70}) {
    const uint64_t hash = logits_hash(two, {tokens.begin(), tokens.begin() + n}, precision, {}, patterns);
    if (n == 70) CHECK(hash == expected);
  }
}

TEST_CASE("every tap is written exactly once for every position, on every path", "[taps]") {
  const std::string name = GENERATE("tiny_gpt2/f32", "tiny_llama/f32");
  const Precision precision = GENERATE(Precision::exact, Precision::fast);
  const auto model = load_golden_model(golden_path(name + ".gguf"));
  const ModelConfig& config = model->config();
  const std::vector<int32_t> tokens = some_tokens(300, 20);
  ProbeSpec spec = all_stored_taps(config);
  spec.add(Tap::logits);
  spec.add(Tap::head_out, 0, config.layer_count());
  for (const Backend& backend : all_backends()) {
    INFO(backend.name);
    SessionStore prefilled(model, backend.ops);
    prefilled.set_poison(true);
    const auto prefill = run_step(prefilled, {tokens, {}, precision, spec});
    check_written(*prefill, spec);

    SessionStore stepped(model, backend.ops);
    stepped.set_poison(true);
    std::shared_ptr<const Step> step;
    for (size_t n = 15; n <= tokens.size(); ++n)
      step = run_step(stepped, {{tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(n)}, {}, precision, spec});
    check_written(*step, spec);
    CHECK(same_bits(*prefill, *step, spec, config));

    // Asked for afterwards: replayed, with the same logits.
    SessionStore replayed(model, backend.ops);
    replayed.set_poison(true);
    const uint64_t hash = run_step(replayed, {tokens, {}, precision, {}})->logits_hash;
    const auto replay = run_step(replayed, {tokens, {}, precision, spec});
    CHECK(replay->logits_hash == hash);
    check_written(*replay, spec);
    CHECK(same_bits(*prefill, *replay, spec, config));

    // A layer that runs composed.
    SessionStore composed(model, backend.ops);
    composed.set_poison(true);
    const auto null_edit = parse_edit("scale:attn_scores:L1:1");
    const auto edited = run_step(composed, {tokens, {*null_edit}, precision, spec});
    check_written(*edited, spec);
    CHECK(same_bits(*prefill, *edited, spec, config));
  }
}

TEST_CASE("a pattern's summary is the same whether the pattern is captured or not", "[taps]") {
  const auto model = test::make_model({.layers = 3, .context = 256, .heads = 4, .kv_heads = 2});
  const ModelConfig& config = model->config();
  const std::vector<int32_t> tokens = some_tokens(100, 150);
  ProbeSpec summary, both;
  for (const Tap tap : {Tap::attn_pooled, Tap::attn_focus}) summary.add(tap, 0, config.layer_count());
  both.merge(summary);
  both.add(Tap::attn_pattern, 0, config.layer_count());
  for (const Backend& backend : all_backends()) {
    for (const char* edit : {"", "scale:attn_pattern:L1:-2", "cut_score:attn_scores:L0:H1:140>2"}) {
      INFO(backend.name << " " << edit);
      StepRequest request{tokens, {}, Precision::exact, both};
      if (*edit != '\0') request.edits = {*parse_edit(edit)};
      SessionStore whole(model, backend.ops), alone(model, backend.ops), typed(model, backend.ops);
      for (SessionStore* store : {&whole, &alone, &typed}) store->set_poison(true);
      const auto step = run_step(whole, request);
      check_written(*step, both);
      request.needs = summary;
      CHECK(same_bits(*run_step(alone, request), *step, summary, config));
      request.needs.add_last(Tap::attn_z, 0, config.layer_count());
      std::shared_ptr<const Step> last;
      for (const size_t length : {60u, 70u, 71u, 150u}) {
        request.tokens.assign(tokens.begin(), tokens.begin() + static_cast<ptrdiff_t>(length));
        last = run_step(typed, request);
      }
      check_written(*last, summary);
      CHECK(same_bits(*last, *step, summary, config));
    }
  }
}

TEST_CASE("what is needed of the last position alone is captured there", "[taps]") {
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  const std::vector<int32_t> tokens = some_tokens(300, 20);
  const auto first = [&](ptrdiff_t count) { return std::vector<int32_t>(tokens.begin(), tokens.begin() + count); };
  for (const Backend& backend : all_backends()) {
    INFO(backend.name);
    SessionStore store(model, backend.ops), fresh(model, backend.ops);
    ProbeSpec last, whole;
    last.add_last(Tap::attn_z, 0, 2);
    whole.add(Tap::attn_z, 0, 2);
    const auto rows_of = [&](ptrdiff_t count) {
      const auto step = run_step(store, {first(count), {}, Precision::exact, last});
      const int at = step->length() - 1;
      for (int layer = 0; layer < 2; ++layer) {
        const Page* page = step->page(Tap::attn_z, layer, at);
        REQUIRE(page != nullptr);
        check_row_written(*page, at);
        CHECK((at == 0 || step->page(Tap::attn_z, layer, 0) == nullptr));
      }
      return step->timing.rows;
    };
    CHECK(rows_of(12) == 12);
    CHECK(rows_of(12) == 0);
    CHECK(rows_of(13) == 1);
    CHECK(rows_of(12) == 0);  // it is still there
    CHECK(rows_of(10) == 1);  // seen for the first time
    CHECK(rows_of(20) == 7);  // behind the line of 13
    // Everything, after parts of it.
    const auto step = run_step(store, {tokens, {}, Precision::exact, whole});
    CHECK(step->timing.rows == 20);
    check_written(*step, whole);
    CHECK(same_bits(*step, *run_step(fresh, {tokens, {}, Precision::exact, whole}), whole, model->config()));
    CHECK(run_step(store, {tokens, {}, Precision::exact, last})->timing.rows == 0);
  }
}

TEST_CASE("over the budget a step keeps the pages that it was asked for", "[session]") {
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  SessionStore store(model, make_cpu_ops({1, "", false}));
  const std::vector<int32_t> tokens = some_tokens(300, 40);
  std::shared_ptr<const Step> step;  // as a window holds the one that it shows
  const auto ask = [&](std::vector<int32_t> of, int layer) {
    ProbeSpec needs;
    needs.add(Tap::attn_pattern, layer, layer + 1);
    step = run_step(store, {std::move(of), {}, Precision::exact, needs});
    check_written(*step, needs);
    return step->timing.rows;
  };
  CHECK(ask(tokens, 0) == 40);
  const size_t one = store.page_bytes();
  CHECK(ask(tokens, 1) == 40);
  CHECK(store.page_bytes() == 2 * one);
  CHECK(ask(tokens, 0) == 0);
  store.set_page_budget(2 * one - 1);
  CHECK(ask(tokens, 1) == 0);
  CHECK(store.page_bytes() == one);
  CHECK(step->page(Tap::attn_pattern, 0, 0) == nullptr);
  CHECK(ask(tokens, 0) == 40);
  CHECK(ask(tokens, 0) == 0);
  CHECK(store.page_bytes() == one);
  // Those of a line that is not shown go first.
  CHECK(ask(some_tokens(250, 40), 0) == 40);
  store.trim_pages();
  CHECK(store.page_bytes() == one);
  CHECK(ask(tokens, 0) == 40);
}

TEST_CASE("a cancelled step leaves the line whole and goes on later", "[session]") {
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  const std::vector<int32_t> tokens = some_tokens(300, 50);
  SessionStore store(model, make_cpu_ops({1, "", false})), fresh(model, make_cpu_ops({1, "", false}));
  const ProbeSpec spec = all_stored_taps(model->config());
  int calls = 0;
  const auto cancelled = store.run({tokens, {}, Precision::fast, spec}, [&](double) { return ++calls < 2; });
  REQUIRE_FALSE(cancelled.ok());
  CHECK(cancelled.error().kind == ErrorKind::cancelled);
  const auto other = run_step(store, {{5, 6, 7}, {}, Precision::fast, spec});
  CHECK(same_bits(*other, *run_step(fresh, {{5, 6, 7}, {}, Precision::fast, spec}), spec, model->config()));
  CHECK(logits_hash(store, tokens, Precision::fast) == logits_hash(fresh, tokens, Precision::fast));
}

TEST_CASE("a typed letter runs one row, also where another line without pages knows more of the text", "[session]") {
  const auto model = load_golden_model(golden_path("tiny_llama/f32.gguf"));
  const std::vector<int32_t> tokens = some_tokens(300, 40), longer = some_tokens(300, 41);
  SessionStore store(model, make_cpu_ops({1, "", false}));
  const ProbeSpec spec = all_stored_taps(model->config());
  (void)run_step(store, {tokens, {}, Precision::fast, {}});
  std::vector<int32_t> other = longer;
  other.push_back(7);
  (void)run_step(store, {other, {}, Precision::fast, {}});
  CHECK(run_step(store, {tokens, {}, Precision::fast, spec})->timing.rows == 40);  // its pages
  CHECK(run_step(store, {longer, {}, Precision::fast, spec})->timing.rows == 1);
}

TEST_CASE("what cannot be done is refused before the run", "[session]") {
  const auto model = load_golden_model(golden_path("tiny_gpt2/f32.gguf"));
  SessionStore store(model, make_reference_ops());
  const auto kind_of = [&](const StepRequest& request) {
    const auto step = store.run(request);
    REQUIRE_FALSE(step.ok());
    CHECK_FALSE(step.error().what.empty());
    CHECK_FALSE(step.error().expected.empty());
    return step.error().kind;
  };
  CHECK(kind_of({{}, {}, Precision::exact, {}}) == ErrorKind::usage);
  CHECK(kind_of({some_tokens(300, 65), {}, Precision::exact, {}}) == ErrorKind::usage);  // context 64
  CHECK(kind_of({{300}, {}, Precision::exact, {}}) == ErrorKind::usage);
  CHECK(kind_of({{-1}, {}, Precision::exact, {}}) == ErrorKind::usage);
  for (const char* spec : {"zero:attn_z:L9:H1", "zero:attn_z:L1:H4", "zero:q_rot:L1", "zero:head_out:L1",
                           "zero:mlp_gate:L0", "cut_score:attn_z:L1", "add:resid_pre:L0:D99:1"}) {
    INFO(spec);
    const auto edit = parse_edit(spec);
    REQUIRE(edit.ok());
    CHECK(kind_of({{1, 2}, {*edit}, Precision::exact, {}}) == ErrorKind::usage);
  }
  ProbeSpec absent;
  absent.add(Tap::mlp_gate, 0, 1);
  CHECK(kind_of({{1, 2}, {}, Precision::exact, absent}) == ErrorKind::usage);
  ProbeSpec beyond;
  beyond.add(Tap::q, 2, 9);
  CHECK(kind_of({{1, 2}, {}, Precision::exact, beyond}) == ErrorKind::usage);
}

TEST_CASE("edits survive their JSON and short forms", "[edits]") {
  for (const char* spec : {"zero:attn_z:L14:H3", "scale:mlp_out:L5:0.5", "overwrite:attn_norm:L0:D7:1",
                           "cut_score:attn_scores:L24:H4:13>1", "cut_weight:attn_pattern:L24:H4:13>1",
                           "zero:resid_pre:L3:P2..7", "zero:blocks.5.attn.hook_z:H1", "add:resid_pre:L2:P4:0.25"}) {
    INFO(spec);
    const auto edit = parse_edit(spec);
    REQUIRE(edit.ok());
    const auto again = parse_edit(to_json(*edit).dump());
    REQUIRE(again.ok());
    CHECK(*again == *edit);
    CHECK_FALSE(edit_label(*edit).empty());
  }
  CHECK(parse_edit("zero:blocks.5.attn.hook_z:H1")->layer == 5);
  for (const char* bad :
       {"", "zero", "nothing:attn_z", "zero:nowhere", "zero:attn_z:Q3", "zero:attn_z:L", "cut_score:attn_scores:1>",
        "{", "{\"kind\":1,\"tap\":\"q\"}", "{\"kind\":\"zero\",\"tap\":\"q\",\"colour\":1}", "scale:q:1e999"}) {
    INFO(bad);
    CHECK_FALSE(parse_edit(bad).ok());
  }
  // Fractions are no layers, and text that is no UTF-8 is an error and no exception.
  CHECK(parse_edit(R"({"kind":"zero","tap":"attn_z","layer":2.5})").error().where == "layer");
  CHECK(parse_edit(R"({"kind":"zero","tap":"attn_z","head":"3"})").error().where == "head");
  CHECK(parse_edit(R"({"kind":"add","tap":"resid_pre","vector":[1,1e300]})").error().where == "vector[1]");
  CHECK_FALSE(edit_from_json(nlohmann::json{{"kind", "zero"}, {"tap", "\xff"}}).ok());
  CHECK_FALSE(edit_from_json(nlohmann::json("\xff")).ok());
  CHECK(to_json(*parse_edit("scale:mlp_out:L5:0.1"))["factor"].dump() == "0.1");
  CHECK(hash_edits({}) == 0);
  Edit disabled = *parse_edit("zero:attn_z:L14:H3");
  const uint64_t on = hash_edits({disabled});
  disabled.enabled = false;
  CHECK(on != 0);
  CHECK(hash_edits({disabled}) == 0);
}
