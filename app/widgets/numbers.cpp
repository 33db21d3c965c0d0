#include "app/widgets/numbers.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace glassbox {

namespace {

std::string print(const char* format, int digits, double value) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, digits, value);
  return buffer.data();
}

// "6.8e-04" → "6.8e-4", "1.2e+07" → "1.2e7"
std::string short_exponent(std::string text) {
  const size_t e = text.find('e');
  if (e == std::string::npos) return text;
  size_t digits = e + 2;
  while (digits + 1 < text.size() && text[digits] == '0') text.erase(digits, 1);
  if (text[e + 1] == '+') text.erase(e + 1, 1);
  return text;
}

}  // namespace

std::string format_value(double value, int significant) {
  if (std::isnan(value)) return kNoValue;
  if (std::isinf(value)) return value > 0 ? "∞" : "-∞";
  if (value == 0) return "0";
  const double size = std::abs(value);
  if (size < 1e-3 || size >= 1e6) return short_exponent(print("%.*e", std::max(significant - 2, 1), value));
  const int before = static_cast<int>(std::floor(std::log10(size))) + 1;
  // Below 1 at least three digits that are none of the leading zeros.
  const int decimals = std::max(significant - std::max(before, 0), std::min(significant, 3) - before);
  return print("%.*f", std::clamp(decimals, 0, 6), value);
}

std::string format_exact(float value) {
  if (std::isnan(value)) return kNoValue;
  std::array<char, 64> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), end.ptr};
}

std::string format_probability(double p) {
  if (std::isnan(p)) return kNoValue;
  if (p == 0) return "0";
  if (p >= 0.9995) {
    // Near one the digits that tell are those of what is missing.
    if (p >= 1) return "1";
    std::string text = print("%.*f", std::min(static_cast<int>(-std::floor(std::log10(1 - p))) + 1, 9), p);
    while (text.back() == '0') text.pop_back();
    return text;
  }
  if (p >= 0.1) return print("%.*f", 3, p);
  if (p >= 1e-3) return print("%.*f", 4, p);
  return short_exponent(print("%.*e", 1, p));
}

std::string format_fixed(double value, int decimals) {
  if (std::isnan(value)) return kNoValue;
  if (std::isinf(value)) return value > 0 ? "∞" : "-∞";
  return print("%.*f", decimals, value);
}

std::string format_count(int64_t count) {
  std::string digits = std::to_string(count < 0 ? -count : count), out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i && (digits.size() - i) % 3 == 0) out += " ";
    out += digits[i];
  }
  return count < 0 ? "-" + out : out;
}

std::string format_bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  for (; value >= 1024 && unit < 4; ++unit) value /= 1024;
  const int decimals = unit == 0 || value >= 10 ? 0 : 1;
  return print("%.*f", decimals, value) + " " + kUnits[unit];
}

std::string format_seconds(double seconds) {
  if (std::isnan(seconds) || seconds < 0) return kNoValue;
  const auto scaled = [](double value, const char* unit) {
    return print("%.*f", value >= 100 ? 0 : value >= 10 ? 1 : 2, value) + " " + unit;
  };
  if (seconds >= 1) return scaled(seconds, "s");
  if (seconds >= 1e-3) return scaled(seconds * 1e3, "ms");
  if (seconds >= 1e-6) return scaled(seconds * 1e6, "µs");
  return print("%.*f", 0, seconds * 1e9) + " ns";
}

std::string format_rate(double per_second) {
  if (!(per_second > 0)) return std::string(kNoValue) + " tok/s";
  if (per_second < 10) return print("%.*f", 1, per_second) + " tok/s";
  return format_count(std::llround(per_second)) + " tok/s";
}

}  // namespace glassbox
