// Reading features, SAMPLE float or uint16 (the bits of a float16), as float.
#include "common.cuh"

__device__ __forceinline__ float to_float(float value) { return value; }

// Exponent and fraction move to their places in a float, and the product sets the exponent's offset; it is exact for
// subnormal numbers, too. What comes out at 2^16 or above was infinity or NaN, with an exponent of all ones.
__device__ __forceinline__ float to_float(uint16 half) {
    const int bits = (half & 0x7fff) << 13;
    const float scaled = __int_as_float(bits) * 0x1p112f;
    const float magnitude = scaled < 65536.0f ? scaled : __int_as_float(bits | 0x7f800000);
    return half & 0x8000 ? -magnitude : magnitude;
}

// Four samples in one access; `samples` must be aligned to four of them.
__device__ __forceinline__ float4 load4(const float* samples) {
    return __ldg(reinterpret_cast<const float4*>(samples));
}
__device__ __forceinline__ float4 load4(const uint16* samples) {
    const uint2 bits = __ldg(reinterpret_cast<const uint2*>(samples));
    return make_float4(to_float(uint16(bits.x & 0xffff)), to_float(uint16(bits.x >> 16)),
                       to_float(uint16(bits.y & 0xffff)), to_float(uint16(bits.y >> 16)));
}

__device__ __forceinline__ bool in_fours(const SAMPLE* samples, int channels) {
    return channels % 4 == 0 && reinterpret_cast<size_t>(samples) % (4 * sizeof(SAMPLE)) == 0;
}
