// Residual frames: result[i] = frames[i + lag] - frames[i], its absolute value unless SIGNED.
//
// Contiguous frames make this a flat operation on `count` samples; lag = step * samples per frame.
// Memory-bound, hence 16-byte accesses wherever all three streams are aligned.
//
// SAMPLE: uint8 or float. RESULT: uint8, int16 or float. SIGNED: defined for signed differences.
// PACKED_BYTES: defined for absolute differences of bytes, which have an instruction of their own.
#include "common.cuh"

__device__ __forceinline__ RESULT difference(SAMPLE later, SAMPLE earlier) {
#ifdef SIGNED
    return later - earlier;
#else
    return later > earlier ? later - earlier : earlier - later;
#endif
}

constexpr int LANES = 16 / sizeof(SAMPLE);  // of one 16-byte access

// 16 bytes in one access; a plain copy of the struct is split into lanes.
__device__ __forceinline__ uint4 load(const SAMPLE* samples) { return __ldg(reinterpret_cast<const uint4*>(samples)); }

#ifdef PACKED_BYTES
__device__ __forceinline__ void store_differences(RESULT* result, uint4 later, uint4 earlier) {
    *reinterpret_cast<uint4*>(result) =
        make_uint4(__vabsdiffu4(later.x, earlier.x), __vabsdiffu4(later.y, earlier.y),
                   __vabsdiffu4(later.z, earlier.z), __vabsdiffu4(later.w, earlier.w));
}
#else
struct alignas(16) Samples {
    SAMPLE lane[LANES];
};
struct alignas(16) Results {
    RESULT lane[LANES];
};

__device__ __forceinline__ void store_differences(RESULT* result, uint4 later_bits, uint4 earlier_bits) {
    const Samples& later = reinterpret_cast<const Samples&>(later_bits);
    const Samples& earlier = reinterpret_cast<const Samples&>(earlier_bits);
    Results results;
#pragma unroll
    for (int k = 0; k < LANES; ++k) results.lane[k] = difference(later.lane[k], earlier.lane[k]);
    *reinterpret_cast<Results*>(result) = results;
}
#endif

__device__ __forceinline__ bool aligned(const void* pointer) { return reinterpret_cast<size_t>(pointer) % 16 == 0; }

// Four blocks on a multiprocessor leave 64 registers a thread; without the bound some targets aim at 40 and spill.
extern "C" __global__ void __launch_bounds__(256, 4)
residual(const SAMPLE* __restrict__ frames, RESULT* __restrict__ result, int64 count, int64 lag) {
    int64 vectors = 0;
    if (aligned(frames) && aligned(frames + lag) && aligned(result)) {
        vectors = count / LANES;
        for (int64 i = thread_in_grid(); i < vectors; i += threads_in_grid()) {
            const SAMPLE* samples = frames + i * LANES;
            store_differences(result + i * LANES, load(samples + lag), load(samples));
        }
    }
    // The tail; everything, if the streams are not aligned.
    for (int64 i = vectors * LANES + thread_in_grid(); i < count; i += threads_in_grid())
        result[i] = difference(frames[i + lag], frames[i]);
}
