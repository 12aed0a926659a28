// Warping: result[p] = features at p + flow[p], bilinear, 0 outside; with SUBTRACT, minuend[p] less features at
// p - flow[p].
//
// A thread makes one sample, or four channels of a pixel where they are aligned. Neighbouring threads read neighbouring
// samples of neighbouring pixels, mostly from cache, so that memory sees every input and output about once.
//
// SAMPLE: float or uint16 (the bits of float16). SUBTRACT: defined for the difference.
#include "samples.cuh"

// Sampling along one axis: the nearer of two neighbours, the step to the other one, and the weight of that.
struct Aim {
    bool inside;
    int cell;
    int next;  // 1, or 0 where the other neighbour has no weight
    float fraction;

    __device__ __forceinline__ Aim(float motion, int place, int size) {
        motion = fminf(fmaxf(motion, -1073741824.0f), 1073741824.0f);  // far outside is as good as anywhere outside
        const float steps = floorf(motion);
        fraction = motion - steps;  // of the motion, not of the place: exact far from the origin
        cell = place + int(steps);
        inside = cell >= 0 && (cell < size - 1 || (cell == size - 1 && fraction == 0.0f));
        next = fraction == 0.0f ? 0 : 1;
    }
};

__device__ __forceinline__ bool finite(float value) { return fabsf(value) < __int_as_float(0x7f800000); }
__device__ __forceinline__ bool finite(float4 v) { return finite(v.x) && finite(v.y) && finite(v.z) && finite(v.w); }

struct Weights {
    float upper_left, upper_right, lower_left, lower_right;

    __device__ __forceinline__ float blend(float a, float b, float c, float d) const {
        return a * upper_left + b * upper_right + c * lower_left + d * lower_right;
    }
    __device__ __forceinline__ float4 blend(float4 a, float4 b, float4 c, float4 d) const {
        return make_float4(blend(a.x, b.x, c.x, d.x), blend(a.y, b.y, c.y, d.y), blend(a.z, b.z, c.z, d.z),
                           blend(a.w, b.w, c.w, d.w));
    }
};

__device__ __forceinline__ float less(float a, float b) { return a - b; }
__device__ __forceinline__ float4 less(float4 a, float4 b) {
    return make_float4(a.x - b.x, a.y - b.y, a.z - b.z, a.w - b.w);
}

struct One {
    using Value = float;
    static constexpr int COUNT = 1;
    static __device__ __forceinline__ Value load(const SAMPLE* samples) { return to_float(__ldg(samples)); }
    static __device__ __forceinline__ Value zero() { return 0.0f; }
};
struct Four {
    using Value = float4;
    static constexpr int COUNT = 4;
    static __device__ __forceinline__ Value load(const SAMPLE* samples) { return load4(samples); }
    static __device__ __forceinline__ Value zero() { return make_float4(0, 0, 0, 0); }
};

// One sample or four, of pixel x of a row.
template <class Access>
__device__ __forceinline__ void warp_part(const SAMPLE* __restrict__ features, const float2* __restrict__ flow,
                                          const SAMPLE* __restrict__ minuend, float* __restrict__ result,
                                          int* __restrict__ damage, int64 row, int x, int channel, int height,
                                          int width, int channels) {
    using Value = typename Access::Value;
    const int y = int(row % height);
    const int64 here = (row * width + x) * channels + channel;
    float2 motion = __ldg(flow + row * width + x);
    if (motion.x != motion.x || motion.y != motion.y) {
        damage[1] = 1;
        motion = make_float2(0, 0);  // what is no number never gets to the conversion
    }
#ifdef SUBTRACT
    motion = make_float2(-motion.x, -motion.y);
#endif
    const Aim across(motion.x, x, width), down(motion.y, y, height);
    Value value = Access::zero();
    if (across.inside && down.inside) {
        const SAMPLE* upper = features + ((row - y + down.cell) * width + across.cell) * channels + channel;
        const SAMPLE* lower = upper + int64(down.next) * width * channels;
        const int right = across.next * channels;
        const float a = across.fraction, b = down.fraction;
        const Weights weights{(1 - b) * (1 - a), (1 - b) * a, b * (1 - a), b * a};
        value = weights.blend(Access::load(upper), Access::load(upper + right), Access::load(lower),
                              Access::load(lower + right));
    }
    if (!finite(Access::load(features + here))) damage[0] = 1;  // even if nobody's flow leads there
#ifdef SUBTRACT
    const Value whole = Access::load(minuend + here);
    if (!finite(whole)) damage[2] = 1;
    value = less(whole, value);
#endif
    *reinterpret_cast<Value*>(result + here) = value;
}

template <class Access>
__device__ __forceinline__ void warp_rows(const SAMPLE* __restrict__ features, const float2* __restrict__ flow,
                                          const SAMPLE* __restrict__ minuend, float* __restrict__ result,
                                          int* __restrict__ damage, int64 rows, int height, int width, int channels) {
    const int parts = channels / Access::COUNT;  // of a pixel
    for (int part = blockIdx.x * blockDim.x + threadIdx.x; part < width * parts; part += gridDim.x * blockDim.x) {
        const int x = part / parts, channel = (part - x * parts) * Access::COUNT;
        const int64 step = gridDim.y * int64(blockDim.y);
        for (int64 row = blockIdx.y * int64(blockDim.y) + threadIdx.y; row < rows; row += step)
            warp_part<Access>(features, flow, minuend, result, damage, row, x, channel, height, width, channels);
    }
}

// features, minuend, result: (rows, width, channels), images of `height` rows below each other. minuend is features
// itself unless SUBTRACT. damage: set to 1 for features, flow, minuend that are not numbers.
extern "C" __global__ void __launch_bounds__(256, 4)
warp(const SAMPLE* __restrict__ features, const float2* __restrict__ flow, const SAMPLE* __restrict__ minuend,
     float* __restrict__ result, int* __restrict__ damage, int64 rows, int height, int width, int channels) {
    const bool fours = in_fours(features, channels) && in_fours(minuend, channels) &&
                       reinterpret_cast<size_t>(result) % 16 == 0;
    if (fours)
        warp_rows<Four>(features, flow, minuend, result, damage, rows, height, width, channels);
    else
        warp_rows<One>(features, flow, minuend, result, damage, rows, height, width, channels);
}
