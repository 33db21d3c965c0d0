// Numbers as the window writes them: three or four significant digits, thin-space thousands, units always.
#pragma once

#include <cstdint>
#include <string>

namespace glassbox {

// What is not computed. Give it a tooltip that says what would compute it.
inline constexpr const char* kNoValue = "—";

// 26.45, 3.306, -0.4922, 0.0154, 6.8e-4, 1.23e+7; NaN is "—", infinities "∞" and "−∞".
std::string format_value(double value, int significant = 4);
// The shortest text that reads back to the same float: for hover and copy.
std::string format_exact(float value);
// 0.918, 0.0154, 6.8e-4, 3.1e-7, 1, 0.
std::string format_probability(double p);
// A fixed number of decimals, for columns.
std::string format_fixed(double value, int decimals);
// 49 152
std::string format_count(int64_t count);
// 94 MiB, 1.6 MiB, 512 B
std::string format_bytes(uint64_t bytes);
// 12.3 ms, 840 µs, 1.20 s
std::string format_seconds(double seconds);
// 240 tok/s; 0 is "— tok/s"
std::string format_rate(double per_second);

}  // namespace glassbox
