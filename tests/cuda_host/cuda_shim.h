// CUDA C++ as plain C++17: qualifiers, vector types, barriers, warp collectives, atomics and intrinsics.
//
// Include before the text of a .cu file. Only what our kernels use is here; a later kernel adds what it needs.
// A __shared__ variable must be declared in a kernel, or in a function that is not a template.
#pragma once

#include <cmath>
#include <cstdint>

#include "fibers.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __shared__ __attribute__((section("cuda_shared"))) static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __align__(bytes) alignas(bytes)

// ---- Vector types --------------------------------------------------------------------------------------------------

#define HOST_VECTOR2(type, name, bytes)           \
    struct alignas(bytes) name {                  \
        type x, y;                                \
    };                                            \
    inline name make_##name(type x, type y) { return {x, y}; }
#define HOST_VECTOR3(type, name)                  \
    struct name {                                 \
        type x, y, z;                             \
    };                                            \
    inline name make_##name(type x, type y, type z) { return {x, y, z}; }
#define HOST_VECTOR4(type, name, bytes)           \
    struct alignas(bytes) name {                  \
        type x, y, z, w;                          \
    };                                            \
    inline name make_##name(type x, type y, type z, type w) { return {x, y, z, w}; }

HOST_VECTOR2(unsigned char, uchar2, 2)
HOST_VECTOR2(short, short2, 4)
HOST_VECTOR2(unsigned short, ushort2, 4)
HOST_VECTOR2(int, int2, 8)
HOST_VECTOR2(unsigned, uint2, 8)
HOST_VECTOR2(float, float2, 8)
HOST_VECTOR3(unsigned char, uchar3)
HOST_VECTOR3(float, float3)
HOST_VECTOR3(int, int3)
HOST_VECTOR4(unsigned char, uchar4, 4)
HOST_VECTOR4(short, short4, 8)
HOST_VECTOR4(unsigned short, ushort4, 8)
HOST_VECTOR4(int, int4, 16)
HOST_VECTOR4(unsigned, uint4, 16)
HOST_VECTOR4(float, float4, 16)

// ---- Barriers and warp collectives ---------------------------------------------------------------------------------

inline void __syncthreads(int line = __builtin_LINE()) { host::wait(host::State::at_barrier, line); }

inline void __syncwarp(unsigned mask = 0xffffffff, int line = __builtin_LINE()) {
    host::collective(host::Collective::sync, mask, 0, 0, line);
}

namespace host {
template <class T>
T shuffle(unsigned mask, T value, int source_lane, int line) {
    static_assert(sizeof(T) <= 8);
    unsigned long long bits = 0;
    memcpy(&bits, &value, sizeof value);
    bits = collective(Collective::shuffle, mask, bits, source_lane, line);
    memcpy(&value, &bits, sizeof value);
    return value;
}
inline int lane() { return lane_of(*current); }
inline int segment(int width) { return lane() & ~(width - 1); }  // first lane of this lane's segment
}  // namespace host

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, int line = __builtin_LINE()) {
    return host::shuffle(mask, value, host::segment(width) + (source & (width - 1)), line);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, int line = __builtin_LINE()) {
    const int source = host::lane() - int(delta);
    return host::shuffle(mask, value, source < host::segment(width) ? host::lane() : source, line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, int line = __builtin_LINE()) {
    const int source = host::lane() + int(delta);
    return host::shuffle(mask, value, source >= host::segment(width) + width ? host::lane() : source, line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, int line = __builtin_LINE()) {
    const int source = host::lane() ^ bits;
    return host::shuffle(mask, value, source >= host::segment(width) + width ? host::lane() : source, line);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return unsigned(host::collective(host::Collective::ballot, mask, predicate != 0, 0, line));
}
inline int __any_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return __ballot_sync(mask, predicate, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
    return __ballot_sync(mask, !predicate, line) == 0;
}

inline void __threadfence() {}
inline void __threadfence_block() {}

// ---- Atomics: one CPU thread runs everything -----------------------------------------------------------------------

template <class T>
T atomicAdd(T* address, std::common_type_t<T> value) {
    const T old = *address;
    *address = old + value;
    return old;
}
template <class T>
T atomicMax(T* address, std::common_type_t<T> value) {
    const T old = *address;
    *address = old < value ? value : old;
    return old;
}
template <class T>
T atomicMin(T* address, std::common_type_t<T> value) {
    const T old = *address;
    *address = value < old ? value : old;
    return old;
}
template <class T>
T atomicExch(T* address, std::common_type_t<T> value) {
    const T old = *address;
    *address = value;
    return old;
}
template <class T>
T atomicCAS(T* address, std::common_type_t<T> expected, std::common_type_t<T> value) {
    const T old = *address;
    if (old == expected) *address = value;
    return old;
}

// ---- Arithmetic ----------------------------------------------------------------------------------------------------

template <class A, class B>
constexpr std::common_type_t<A, B> min(A a, B b) {
    using T = std::common_type_t<A, B>;
    return T(b) < T(a) ? T(b) : T(a);
}
template <class A, class B>
constexpr std::common_type_t<A, B> max(A a, B b) {
    using T = std::common_type_t<A, B>;
    return T(a) < T(b) ? T(b) : T(a);
}

template <class T>
T __ldg(const T* address) {
    return *address;
}

// Per byte |a - b|.
inline unsigned __vabsdiffu4(unsigned a, unsigned b) {
    unsigned result = 0;
    for (int shift = 0; shift < 32; shift += 8) {
        const int difference = int(a >> shift & 255) - int(b >> shift & 255);
        result |= unsigned(difference < 0 ? -difference : difference) << shift;
    }
    return result;
}

inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __ffs(int bits) { return __builtin_ffs(bits); }
inline int __clz(int bits) { return bits ? __builtin_clz(unsigned(bits)) : 32; }

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float x) { return expf(x); }
// Rounded each by itself: the flag -ffp-contract=off keeps the compiler from joining them here.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
inline int __float2int_rn(float x) { return int(rintf(x)); }
inline int __float2int_rd(float x) { return int(floorf(x)); }
inline float __int2float_rn(int x) { return float(x); }
inline float __int_as_float(int bits) { float x; memcpy(&x, &bits, 4); return x; }
inline int __float_as_int(float x) { int bits; memcpy(&bits, &x, 4); return bits; }

// ---- Undefined behaviour: the compiler's checks call these ---------------------------------------------------------

namespace host {
struct SourceLocation {
    const char* file;
    uint32_t line, column;
};
struct CheckData {  // every kind of check begins with it
    SourceLocation location;
};
inline void undefined(const CheckData* data, const char* what) {
    fail("%s:%u: %s", data->location.file, data->location.line, what);
}
}  // namespace host

#define HOST_CHECK(name, what, ...)                                                                    \
    extern "C" __attribute__((weak)) void __ubsan_handle_##name(host::CheckData* data, ##__VA_ARGS__) { \
        host::undefined(data, what);                                                                   \
    }
HOST_CHECK(type_mismatch_v1, "misaligned access", void*)
HOST_CHECK(out_of_bounds, "index outside its array", void*)
HOST_CHECK(add_overflow, "signed overflow in an addition", void*, void*)
HOST_CHECK(sub_overflow, "signed overflow in a subtraction", void*, void*)
HOST_CHECK(mul_overflow, "signed overflow in a multiplication", void*, void*)
HOST_CHECK(divrem_overflow, "signed overflow in a division", void*, void*)
HOST_CHECK(negate_overflow, "signed overflow in a negation", void*)
