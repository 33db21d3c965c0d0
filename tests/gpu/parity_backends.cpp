// The parity suite's backend on a GPU or its emulator: with cuBLAS, and for many rows without it too.
#include "kernels/cuda_devices.h"
#include "tests/gpu/parity.h"
#include "tests/parity/suite.h"

namespace glassbox::testing {

std::vector<ParityBackend> parity_backends() {
  const std::shared_ptr<Ops> ops = make_cuda_ops(0);
  std::vector<ParityBackend> backends{{ops, sentinel_bytes()}};
  if (ops->description().ends_with("own products")) return backends;
  backends[0].fast_rounding = [](DType, int64_t rows) {
    return rows > cuda::kFewRows ? Rounding::both_to_tf32 : Rounding::none;
  };
  backends.push_back({ops->beside(), sentinel_bytes(), nullptr, true});
  return backends;
}

void run_in_orders(Orders orders, const std::function<void()>& body) {
  under_schedules(body, orders == Orders::few ? 0 : 3);
}

}  // namespace glassbox::testing
