// What the kernels of TV-L1 share: arithmetic like the CPU's, and which pairs have converged.
#pragma once

// A float whose operations are rounded each by itself, as on the CPU: the compiler must not join a product and a sum.
struct Exact {
    float value;
    __device__ __forceinline__ Exact(float number = 0.0f) : value(number) {}
};
__device__ __forceinline__ Exact operator+(Exact a, Exact b) { return __fadd_rn(a.value, b.value); }
__device__ __forceinline__ Exact operator-(Exact a, Exact b) { return __fsub_rn(a.value, b.value); }
__device__ __forceinline__ Exact operator*(Exact a, Exact b) { return __fmul_rn(a.value, b.value); }
__device__ __forceinline__ Exact operator-(Exact a) { return -a.value; }
// a * b + c, rounded once.
__device__ __forceinline__ Exact times_plus(Exact a, Exact b, Exact c) { return fmaf(a.value, b.value, c.value); }
__device__ __forceinline__ Exact clamp(Exact a, Exact low, Exact high) {
    return fminf(fmaxf(a.value, low.value), high.value);
}

// The inverse and the root of `a` from 2^-100 to 2^100, rounded as IEEE 754 says: an approximation, then one step that
// makes it right. __frcp_rn and __fsqrt_rn take the same steps for such numbers, but each brings a branch for others,
// and over branches the compiler cannot overlap one pixel's work with another's.
__device__ __forceinline__ Exact inverse_of(Exact a) {
    float near;
#ifdef __CUDA_ARCH__
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(near) : "f"(a.value));
#else
    near = 1 / a.value;
#endif
    return times_plus(near, -times_plus(a, near, -1.0f), near);
}
__device__ __forceinline__ Exact root_of(Exact a) {
    float inverse;
#ifdef __CUDA_ARCH__
    asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(a.value));
#else
    inverse = 1 / sqrtf(a.value);
#endif
    const Exact near = a * inverse;
    return times_plus(times_plus(-near, near, a), Exact(inverse) * 0.5f, near);
}

// Rounds (iterations up to a median filter) are numbered through a whole call. The status of a pair tells in which one
// it last converged, and its place: in which of two buffers each the flow (bit 1) and the dual vectors (bit 0) were
// left then. While other pairs of the batch go on, and their buffers change roles, a pair that has converged rests.
__device__ __forceinline__ int status_of(int round, int place) { return 4 * round + place; }

// Whether a pair that takes part since `first_round` converged before `round`.
__device__ __forceinline__ bool rests(int status, int first_round, int round) {
    return status / 4 >= first_round && status / 4 < round;
}

// Where a pair is, if those that never rested since `first_round` are at `place`.
__device__ __forceinline__ int place_of(int status, int first_round, int place) {
    return status / 4 >= first_round ? status % 4 : place;
}
__device__ __forceinline__ bool flow_place(int place) { return place / 2; }
__device__ __forceinline__ bool dual_place(int place) { return place % 2; }
