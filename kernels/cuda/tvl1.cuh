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
__device__ __forceinline__ Exact operator-(Exact a) { return 0.0f - a; }
// a * b + c, rounded once.
__device__ __forceinline__ Exact times_plus(Exact a, Exact b, Exact c) { return fmaf(a.value, b.value, c.value); }
__device__ __forceinline__ Exact inverse_of(Exact a) { return __frcp_rn(a.value); }
__device__ __forceinline__ Exact root_of(Exact a) { return __fsqrt_rn(a.value); }
__device__ __forceinline__ Exact clamp(Exact a, Exact low, Exact high) {
    return fminf(fmaxf(a.value, low.value), high.value);
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
