// What kernels/cuda/device.h is made of when the emulator takes the place of the GPU: the built-in variables and
// functions of a kernel that the toolkit's headers give to nvcc alone, and what starts a kernel. The headers themselves
// are the toolkit's.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <tuple>
#include <type_traits>

// A shared variable that is declared as such would be one of each thread's own here.
#undef __shared__
#define __shared__ static_assert(false, "shared memory is declared by GLASSBOX_SHARED and GLASSBOX_DYNAMIC_SHARED");
#define __launch_bounds__(...)

inline uint3 threadIdx{}, blockIdx{};
inline dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace glassbox::emulator {

// Returns how many threads of the block came with a true predicate.
unsigned meet_block(bool predicate, const std::source_location& where);
enum class WarpCall : uint8_t;
unsigned meet_warp(WarpCall call, unsigned mask, bool predicate, const std::source_location& where);
unsigned own_lane();
// Gives `value` to the lanes that ask for it and overwrites it with that of lane `source`.
void exchange(unsigned mask, unsigned source, void* value, size_t bytes, const std::source_location& where);
void* shared_variable(const void* key, size_t bytes, const char* name);
void* dynamic_shared_memory();
void check_atomic(void* target, size_t bytes);
void wait_for_launches();
cudaError_t enqueue_kernel(bool early, const void* kernel, dim3 grid, dim3 block, size_t shared_bytes,
                           cudaStream_t stream, const void* call, size_t call_bytes, void (*invoke)(const void* call));

template <class T>
T shuffle(unsigned mask, T value, unsigned source, const std::source_location& where) {
  static_assert(sizeof(T) <= 16 && std::is_trivially_copyable_v<T>);
  exchange(mask, source, &value, sizeof value, where);
  return value;
}

// All host code of an emulated device runs on one thread, so a plain read and write are one step. They are checked by
// check_atomic() instead of the way in which plain accesses are.
template <class T, class Change>
[[gnu::no_sanitize_thread]] T update_atomically(T* target, Change change) {
  check_atomic(target, sizeof(T));
  const T old = *target;
  *target = change(old);
  return old;
}

}  // namespace glassbox::emulator

using glassbox_where = std::source_location;

inline void __syncthreads(const glassbox_where& where = glassbox_where::current()) {
  glassbox::emulator::meet_block(false, where);
}
inline int __syncthreads_count(int predicate, const glassbox_where& where = glassbox_where::current()) {
  return static_cast<int>(glassbox::emulator::meet_block(predicate != 0, where));
}
inline void __syncwarp(unsigned mask = 0xffffffffu, const glassbox_where& where = glassbox_where::current()) {
  glassbox::emulator::meet_warp(glassbox::emulator::WarpCall{0}, mask, false, where);
}

// Where lane l of a group of `width` lanes takes its value from, as the programming guide has it.
template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32,
              const glassbox_where& where = glassbox_where::current()) {
  const unsigned own = glassbox::emulator::own_lane(), group = static_cast<unsigned>(width);
  return glassbox::emulator::shuffle(mask, value, own / group * group + static_cast<unsigned>(lane) % group, where);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 const glassbox_where& where = glassbox_where::current()) {
  const unsigned own = glassbox::emulator::own_lane(), place = own % static_cast<unsigned>(width);
  return glassbox::emulator::shuffle(mask, value, delta > place ? own : own - delta, where);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   const glassbox_where& where = glassbox_where::current()) {
  const unsigned own = glassbox::emulator::own_lane(), group = static_cast<unsigned>(width);
  return glassbox::emulator::shuffle(mask, value, own % group + delta >= group ? own : own + delta, where);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32,
                  const glassbox_where& where = glassbox_where::current()) {
  const unsigned own = glassbox::emulator::own_lane(), group = static_cast<unsigned>(width);
  const unsigned source = own ^ static_cast<unsigned>(lanes);
  return glassbox::emulator::shuffle(mask, value, source >= own / group * group + group ? own : source, where);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, const glassbox_where& where = glassbox_where::current()) {
  return glassbox::emulator::meet_warp(glassbox::emulator::WarpCall{2}, mask, predicate != 0, where);
}
inline int __any_sync(unsigned mask, int predicate, const glassbox_where& where = glassbox_where::current()) {
  return __ballot_sync(mask, predicate, where) != 0;
}
inline int __all_sync(unsigned mask, int predicate, const glassbox_where& where = glassbox_where::current()) {
  return __ballot_sync(mask, predicate, where) == mask;
}

template <class T>
T atomicAdd(T* target, std::type_identity_t<T> value) {
  return glassbox::emulator::update_atomically(target, [=](T old) { return static_cast<T>(old + value); });
}
template <class T>
T atomicMax(T* target, std::type_identity_t<T> value) {
  return glassbox::emulator::update_atomically(target, [=](T old) { return old > value ? old : value; });
}
template <class T>
T atomicMin(T* target, std::type_identity_t<T> value) {
  return glassbox::emulator::update_atomically(target, [=](T old) { return old < value ? old : value; });
}
template <class T>
T atomicExch(T* target, std::type_identity_t<T> value) {
  return glassbox::emulator::update_atomically(target, [=](T) { return value; });
}
template <class T>
T atomicCAS(T* target, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return glassbox::emulator::update_atomically(target, [=](T old) { return old == expected ? value : old; });
}

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
inline float __uint_as_float(unsigned bits) {
  return std::bit_cast<float>(bits);
}
inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
// Byte i of the result is the one of y:x that the i-th nibble of the selector names, without the repeated signs.
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const uint64_t bytes = uint64_t{y} << 32 | x;
  unsigned result = 0;
  for (unsigned i = 0; i < 4; ++i) {
    result |= static_cast<unsigned>(bytes >> (8 * (selector >> (4 * i) & 7)) & 0xff) << (8 * i);
  }
  return result;
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned bits) {
  return static_cast<unsigned>((uint64_t{high} << 32 | low) >> (bits & 31));
}
inline double __longlong_as_double(long long bits) {
  return std::bit_cast<double>(bits);
}
inline long long __double_as_longlong(double x) {
  return std::bit_cast<long long>(x);
}
inline float rsqrtf(float x) {
  return 1.0f / std::sqrt(x);
}
inline float sinpif(float x) {
  return static_cast<float>(std::sin(3.14159265358979323846 * static_cast<double>(x)));
}
inline float cospif(float x) {
  return static_cast<float>(std::cos(3.14159265358979323846 * static_cast<double>(x)));
}
inline float __expf(float x) {
  return std::exp(x);
}
inline float __fdividef(float a, float b) {
  return a / b;
}
inline int min(int a, int b) {
  return a < b ? a : b;
}
inline int max(int a, int b) {
  return a > b ? a : b;
}

#define GLASSBOX_SHARED(name, ...)                                                                      \
  auto& name = *[]() {                                                                                  \
    static const char key = 0; /* one of each instantiation of a template */                            \
    static_assert(alignof(std::type_identity_t<__VA_ARGS__>) <= ::glassbox::kSharedAlignment);          \
    return static_cast<std::type_identity_t<__VA_ARGS__>*>(                                             \
        ::glassbox::emulator::shared_variable(&key, sizeof(std::type_identity_t<__VA_ARGS__>), #name)); \
  }()
#define GLASSBOX_DYNAMIC_SHARED(name, ...) \
  auto* const name = static_cast<std::type_identity_t<__VA_ARGS__>*>(::glassbox::emulator::dynamic_shared_memory())

namespace glassbox {

// Launches run one after the other here; what an early one does before it waits is checked as if they did not.
inline void let_next_launch_begin() {}
inline void wait_for_launches_before() {
  emulator::wait_for_launches();
}
inline void prefetch(const void*) {}  // no fault, wherever it points

template <class... Parameters, class... Arguments>
cudaError_t start_kernel(bool early, void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared_bytes,
                         cudaStream_t stream, Arguments... arguments) {
  static_assert(sizeof...(Parameters) == sizeof...(Arguments), "the kernel has another number of parameters");
  static_assert((std::is_trivially_copyable_v<Parameters> && ...), "a kernel's parameters are copied as bytes");
  using Call = std::tuple<void (*)(Parameters...), Parameters...>;
  const Call call(kernel, static_cast<Parameters>(arguments)...);
  const auto invoke = [](const void* copy) {
    std::apply([](auto run, auto... values) { run(values...); }, *static_cast<const Call*>(copy));
  };
  return emulator::enqueue_kernel(early, reinterpret_cast<const void*>(kernel), grid, block, shared_bytes, stream,
                                  &call, sizeof call, invoke);
}

}  // namespace glassbox
