// The parity suite: every operation of Ops, on every backend, against the reference. The same files are compiled into
// test_kernels, where the backends are the CPU's, and into test_gpu and test_gpu_device, where they are CUDA's on the
// emulator and on a real GPU.
//
// A case says what an operation reads and writes, once for all backends:
//
//   suite.agree("silu", [&](OpRun& run) { run.ops.silu(run.input(x), n, run.output(x.size(), Kind::activated)); });
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/parity/op_run.h"

namespace glassbox::testing {

struct ParityBackend {
  std::shared_ptr<Ops> ops;
  size_t sentinel_bytes = 256;
  // What linear rounds in fast precision; null: nothing.
  std::function<Rounding(DType weight, int64_t rows)> fast_rounding = nullptr;
  // It is another one's twin in everything but products of many rows, and is asked for those alone.
  bool many_rows_only = false;
  Rounding rounding(Precision precision, DType weight, int64_t rows) const {
    return precision == Precision::fast && fast_rounding ? fast_rounding(weight, rows) : Rounding::none;
  }
};

// In how many orders an emulated device runs a case's threads: few where it is large.
enum class Orders : uint8_t { few, all };

// What the program provides: tests/kernels/parity_backends.cpp, tests/gpu/parity_backends.cpp.
std::vector<ParityBackend> parity_backends();
void run_in_orders(Orders orders, const std::function<void()>& body);

using Operation = std::function<void(OpRun&)>;

class Suite {
 public:
  // Checks that the operation gives on every backend what it gives on the reference.
  void agree(const std::string& what, const Operation& operation, Orders orders = Orders::all) const;

  // For what is checked otherwise: runs the body on every backend, those of many rows too where it has such.
  enum class Rows : uint8_t { any, many };
  void on_each(const std::function<void(const ParityBackend&)>& body, Rows rows = Rows::any,
               Orders orders = Orders::all) const;
  static std::vector<Output> outputs(const ParityBackend& backend, const Operation& operation);

 private:
  std::vector<ParityBackend> backends_ = parity_backends();
};

}  // namespace glassbox::testing
