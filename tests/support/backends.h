// The backends that a test runs on: the reference, the CPU backend once for each instruction set of this machine, and
// one whose memory the host does not see.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/ops.h"
#include "tests/support/far_ops.h"

namespace glassbox {

struct Backend {
  std::string name;
  std::shared_ptr<Ops> ops;
};

inline std::vector<Backend> cpu_backends(int threads = 2) {
  std::vector<Backend> backends;
  for (const char* isa : {"portable", "avx2", "avx512"}) {
    if (std::shared_ptr<Ops> ops = make_cpu_ops({threads, isa, false})) backends.push_back({isa, std::move(ops)});
  }
  return backends;
}

inline std::vector<Backend> all_backends(int threads = 2) {
  std::vector<Backend> backends = cpu_backends(threads);
  backends.push_back({"reference", make_reference_ops()});
  backends.push_back({"far", std::make_shared<FarOps>()});
  return backends;
}

}  // namespace glassbox
