// Median filter of a flow, each component by itself; outside, the nearest pixel counts.
//
// Each column of a window is sorted once for all windows that share it, and handed on through shared memory. Sorting
// the rows of what results leaves every row and column in order, so that few elements can still be the median.
//
// SIZE: 3 or 5, the window's height and width.
#include "common.cuh"
#include "tvl1.cuh"

constexpr int WIDTH = 32, HEIGHT = 8;  // pixels of a block
constexpr int REACH = SIZE / 2;
constexpr int HALF = (SIZE * SIZE + 1) / 2;  // this many are at most the median, itself counted

__device__ __forceinline__ void sort(float& a, float& b) {
    const float low = fminf(a, b);
    b = fmaxf(a, b);
    a = low;
}

// Networks with the fewest exchanges (Knuth, The Art of Computer Programming 3, 5.3.4).
__device__ __forceinline__ void sort(float (&a)[3]) { sort(a[0], a[2]), sort(a[0], a[1]), sort(a[1], a[2]); }
__device__ __forceinline__ void sort(float (&a)[5]) {
    sort(a[0], a[3]), sort(a[1], a[4]), sort(a[0], a[2]), sort(a[1], a[3]), sort(a[0], a[1]), sort(a[2], a[4]);
    sort(a[1], a[2]), sort(a[3], a[4]), sort(a[2], a[3]);
}

// The median of COUNT numbers, an odd count. Of COUNT / 2 + 2 numbers neither the least nor the greatest can be it:
// both make way for one number not yet looked at, until three are left. LEFT: how many are looked at, the last ones.
template <int COUNT, int LEFT = COUNT / 2 + 2>
__device__ __forceinline__ float median(float (&a)[COUNT]) {
    constexpr int BEGIN = COUNT / 2 + 2 - LEFT, NEXT = COUNT / 2 + 2 + BEGIN;
#pragma unroll
    for (int i = 1; i < LEFT; ++i) sort(a[BEGIN], a[BEGIN + i]);  // the least to the front
    constexpr int END = BEGIN + LEFT;
#pragma unroll
    for (int i = 1; i < LEFT - 1; ++i) sort(a[BEGIN + i], a[END - 1]);  // the greatest to the end
    if constexpr (LEFT == 3) {
        return a[BEGIN + 1];
    } else {
        a[END - 1] = a[NEXT];
        return median<COUNT, LEFT - 1>(a);
    }
}

// Of sorted columns, `rows[i]` holding the i-th of each: sorts the rows and picks the median.
__device__ __forceinline__ float median_of_columns(float (&rows)[SIZE][SIZE]) {
    constexpr auto is_less = [](int i, int j) { return (SIZE - i) * (SIZE - j) > HALF; };  // so many are not smaller
    constexpr auto is_more = [](int i, int j) { return (i + 1) * (j + 1) > HALF; };
    constexpr int COUNT = SIZE == 3 ? 3 : 13;
    float candidates[COUNT];
    int count = 0;
#pragma unroll
    for (int i = 0; i < SIZE; ++i) {
        sort(rows[i]);
#pragma unroll
        for (int j = 0; j < SIZE; ++j)
            if (!is_less(i, j) && !is_more(i, j)) candidates[count++] = rows[i][j];
    }
    return median(candidates);
}

// Grid: columns of blocks, rows of blocks, pairs.
extern "C" __global__ void __launch_bounds__(WIDTH * HEIGHT)
median_filter(const float2* __restrict__ flow_in, float2* __restrict__ flow_out, int height, int width,
              int first_round, int round, const int* __restrict__ status) {
    __shared__ float2 columns[HEIGHT][SIZE][WIDTH + 2 * REACH];
    const int pair = blockIdx.z;
    if (rests(status[pair], first_round, round)) return;  // the whole block

    const int64 origin = pair * int64(height) * width;
    const int lane = threadIdx.x % WIDTH, row = threadIdx.x / WIDTH;
    const int x = blockIdx.x * WIDTH + lane, y = blockIdx.y * HEIGHT + row;
    for (int i = lane; i < WIDTH + 2 * REACH; i += WIDTH) {
        const int column = min(max(static_cast<int>(blockIdx.x * WIDTH) + i - REACH, 0), width - 1);
        float u1[SIZE], u2[SIZE];
#pragma unroll
        for (int k = 0; k < SIZE; ++k) {
            const float2 u = flow_in[origin + int64(min(max(y + k - REACH, 0), height - 1)) * width + column];
            u1[k] = u.x, u2[k] = u.y;
        }
        sort(u1), sort(u2);
#pragma unroll
        for (int k = 0; k < SIZE; ++k) columns[row][k][i] = make_float2(u1[k], u2[k]);
    }
    __syncwarp();  // a row is a warp's own

    float rows1[SIZE][SIZE], rows2[SIZE][SIZE];
#pragma unroll
    for (int i = 0; i < SIZE; ++i) {
#pragma unroll
        for (int j = 0; j < SIZE; ++j) {
            const float2 u = columns[row][i][lane + j];
            rows1[i][j] = u.x, rows2[i][j] = u.y;
        }
    }
    const float2 medians = make_float2(median_of_columns(rows1), median_of_columns(rows2));
    if (x < width && y < height) flow_out[origin + int64(y) * width + x] = medians;
}
