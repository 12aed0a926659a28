// Resized crops: result[n, c, t, i, j] = factor * bilinear(frames[n, t]) + summand, channels first, in one pass. The
// arithmetic is that of kernels/cpu/resized_crop.py, to the bit.
//
// Everything that depends on boxes comes in tables. A thread makes one pixel of FRAMES frames, all channels: it looks
// its row and column up once. Neighbouring threads write neighbouring values, and read pixels beside each other, which
// come from cache but for the first of them.
//
// SAMPLE: uint8, int8, uint16 (the bits of float16) or float. RESULT: float or uint16.
#include "samples.cuh"

constexpr int FRAMES = 4;  // of a thread; kernels/cuda/resized_crop.py has the same

__device__ __forceinline__ float to_float(uint8 value) { return float(value); }
__device__ __forceinline__ float to_float(int8 value) { return float(value); }

__device__ __forceinline__ void put(float* place, float value) { *place = value; }

// To the nearest float16, to even between two. Below 2^-14 these are multiples of 2^-24, as floats around 0.5 are.
__device__ __forceinline__ void put(uint16* place, float value) {
    const int bits = __float_as_int(value), magnitude = bits & 0x7fffffff;
    int half;
    if (magnitude < 0x38800000)
        half = __float_as_int(__fadd_rn(__int_as_float(magnitude), 0.5f)) - 0x3f000000;
    else if (magnitude < 0x47800000)
        half = (magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13;  // carries to infinity as it should
    else
        half = magnitude > 0x7f800000 ? 0x7e00 : 0x7c00;
    *place = uint16(half | (bits >> 16 & 0x8000));
}

// a + (b - a) * weight: exactly a at 0, and wherever both are one.
__device__ __forceinline__ float mixed(float a, float b, float weight) { return fmaf(__fsub_rn(b, a), weight, a); }

// Between two rows or columns: the first, the distance to the second, and the weight of that.
struct Between {
    int first;
    int next;  // 0 where there is none
    float weight;

    __device__ __forceinline__ Between(int2 tap, int size)
        : first(tap.x), next(tap.x < size - 1 ? 1 : 0), weight(__int_as_float(tap.y)) {}
};

// Grid: blocks along the pixels of a frame of the result, groups of frames or fewer, clips or fewer. taps: rows, then
// columns of each clip. affine: (factor, summand) for each channel of each clip.
extern "C" __global__ void __launch_bounds__(256, 3)
resized_crop(const SAMPLE* __restrict__ frames, const int2* __restrict__ taps, const float2* __restrict__ affine,
             RESULT* __restrict__ result, int clips, int length, int height, int width, int channels, int out_height,
             int out_width) {
    const int pixels = out_height * out_width, groups = (length + FRAMES - 1) / FRAMES;
    const int64 pixel = thread_in_grid();
    if (pixel >= pixels) return;
    const int i = int(pixel) / out_width, j = int(pixel) - i * out_width;
    for (int n = blockIdx.z; n < clips; n += gridDim.z) {
        const int2* clip_taps = taps + n * int64(out_height + out_width);
        const Between rows(__ldg(clip_taps + i), height), columns(__ldg(clip_taps + out_height + j), width);
        const bool plain = rows.weight == 0.0f && columns.weight == 0.0f;
        const int64 below = int64(rows.next) * width * channels;
        const int right = columns.next * channels;
        for (int group = blockIdx.y; group < groups; group += gridDim.y) {
            const int first = group * FRAMES, end = min(first + FRAMES, length);
            for (int t = first; t < end; ++t) {
                const SAMPLE* upper =
                    frames + (((n * int64(length) + t) * height + rows.first) * width + columns.first) * channels;
                RESULT* place = result + (n * int64(channels) * length + t) * pixels + pixel;
                for (int c = 0; c < channels; ++c) {
                    float value = to_float(__ldg(upper + c));
                    if (!plain) {
                        const SAMPLE* here = upper + c;
                        value = mixed(value, to_float(__ldg(here + below)), rows.weight);
                        const float beside = mixed(to_float(__ldg(here + right)), to_float(__ldg(here + below + right)),
                                                   rows.weight);
                        value = mixed(value, beside, columns.weight);
                    }
                    const float2 line = __ldg(affine + n * int64(channels) + c);
                    put(place, fmaf(value, line.x, line.y));
                    place += int64(length) * pixels;
                }
            }
        }
    }
}
