// The two 16-bit float formats, told apart by type where a register is loaded.
#pragma once

namespace glassbox::cpu {

struct F16Tag {};
struct Bf16Tag {};

}  // namespace glassbox::cpu
