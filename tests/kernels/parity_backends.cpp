// The parity suite's backends on the CPU, and one whose memory the host does not see.
#include "tests/parity/suite.h"
#include "tests/support/far_ops.h"

namespace glassbox::testing {

std::vector<ParityBackend> parity_backends() {
  std::vector<ParityBackend> backends;
  for (const std::string& isa : available_isas()) {
    ParityBackend& backend = backends.emplace_back();
    backend.ops = make_cpu_ops({.threads = 2, .isa = isa});
    backend.fast_rounding = [](DType weight, int64_t) {
      return dtype_info(weight).quantised() ? Rounding::inputs_to_8_bits : Rounding::none;
    };
  }
  backends.push_back({std::make_shared<FarOps>()});
  return backends;
}

void run_in_orders(Orders, const std::function<void()>& body) {
  body();
}

}  // namespace glassbox::testing
