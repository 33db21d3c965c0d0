#include "tests/parity/suite.h"

#include "tests/support/error_checks.h"

namespace glassbox::testing {
namespace {

void check_output(const Output& found, const Output& truth) {
  REQUIRE(found.bytes.size() == truth.bytes.size());
  const Bound bound = bound_of(truth.kind);
  if (bound.nmse == 0) {
    CHECK(found.bytes == truth.bytes);
    return;
  }
  const std::vector<float> values = found.floats(), expected = truth.floats();
  check_keys(values, expected, bound.nmse);
  size_t no_zeros = 0;
  for (size_t i = 0; i < values.size() && bound.zeros_remain; ++i) no_zeros += expected[i] == 0 && values[i] != 0;
  CHECK(no_zeros == 0);
}

}  // namespace

std::vector<Output> Suite::outputs(const ParityBackend& backend, const Operation& operation) {
  OpRun run(*backend.ops, backend.sentinel_bytes);
  operation(run);
  return run.finish();
}

void Suite::on_each(const std::function<void(const ParityBackend&)>& body, Rows rows, Orders orders) const {
  for (const ParityBackend& backend : backends_) {
    if (backend.many_rows_only && rows != Rows::many) continue;
    run_in_orders(orders, [&] {
      INFO(backend.ops->description());
      body(backend);
    });
  }
}

void Suite::agree(const std::string& what, const Operation& operation, Orders orders) const {
  INFO(what);
  const std::vector<Output> truth = outputs({make_reference_ops()}, operation);
  for (const Output& output : truth) {
    const auto is_nan = [](float v) { return std::isnan(v); };
    const std::vector<float> values = output.floats();
    if (!output.gaps && output.kind != Kind::same) REQUIRE(std::none_of(values.begin(), values.end(), is_nan));
  }
  on_each(
      [&](const ParityBackend& backend) {
        const std::vector<Output> found = outputs(backend, operation);
        REQUIRE(found.size() == truth.size());
        for (size_t i = 0; i < truth.size(); ++i) {
          INFO("output " << i + 1);
          check_output(found[i], truth[i]);
        }
      },
      Rows::any, orders);
}

}  // namespace glassbox::testing
