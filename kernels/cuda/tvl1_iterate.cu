// The primal-dual iterations of TV-L1, several in one launch. The arithmetic is that of kernels/cpu/tvl1_solver.py, to
// the bit, where the equations are.
//
// A block takes a tile of pixels into registers, each thread two columns of four rows, and iterates. What it lacks
// beyond the tile makes a rim wrong that grows by one pixel an iteration: only what lies deeper is written, and the
// neighbours' tiles overlap by that much. At the edges of the image nothing is lacking. Neighbours in a row are lanes
// of one warp; rows of different warps meet in shared memory, twice an iteration.
//
// Flow is (u1, u2), dual vectors (p11, p12, p21, p22), the data term (n1, n2, rho, bound), one vector a pixel.
#include "common.cuh"
#include "tvl1.cuh"

constexpr int COLUMNS = 2, ROWS = 4;  // of a thread
constexpr int WARPS = 16;
constexpr int TILE = 32 * COLUMNS;  // both ways
static_assert(TILE == WARPS * ROWS);

struct Dual {
    Exact across, down;
};

// Squared: what is shorter disappears in the 1 that it is added to, whatever it is.
constexpr float SHORT = 0x1p-100f;

// p + rate grad u, over 1 + rate |grad u|.
__device__ __forceinline__ Dual renewed(Dual p, Exact across, Exact down, Exact rate) {
    const Exact squared = times_plus(across, across, down * down);
    const Exact length = root_of(fmaxf(squared.value, SHORT));
    const Exact inverse = inverse_of(times_plus(rate, length, 1.0f));
    return {times_plus(rate, across, p.across) * inverse, times_plus(rate, down, p.down) * inverse};
}

// The sum over a block, always in the same order; thread 0 gets it. All threads call it.
__device__ __forceinline__ double block_sum(double value, double* sums) {
    for (int distance = 16; distance; distance /= 2) value += __shfl_down_sync(0xffffffff, value, distance);
    __syncthreads();
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x) return 0;
    double total = 0;
    for (int i = 0; i < WARPS; ++i) total += sums[i];
    return total;
}

// Grid: tiles across, tiles down, pairs. limit: a pair whose squared changes in the last iteration add up to no more
// has converged in `round`, and is then at `place`; negative: not looked at. partial: a sum for each tile of each
// pair. arrived: zeros, one for each pair, and zeros again afterwards.
extern "C" __global__ void __launch_bounds__(32 * WARPS, 1)
iterate(const float2* __restrict__ flow_in, float2* __restrict__ flow_out, const float4* __restrict__ dual_in,
        float4* __restrict__ dual_out, const float4* __restrict__ data, int height, int width, int iterations,
        float theta, float rate, double limit, int first_round, int round, int place, int* __restrict__ status,
        double* __restrict__ partial, uint32* __restrict__ arrived) {
    __shared__ float4 highest[WARPS][32];  // u1 of both columns, u2 of both, in a warp's first row
    __shared__ float4 lowest[WARPS][32];   // p12 of both columns, p22 of both, in its last row
    // Registers are too few for all that a thread needs.
    __shared__ float2 bounds[ROWS][32 * WARPS];
    __shared__ double sums[WARPS];
    __shared__ bool is_last;

    const int pair = blockIdx.z;
    if (rests(status[pair], first_round, round)) return;  // the whole block

    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int tile_x = blockIdx.x * (TILE - 2 * iterations), tile_y = blockIdx.y * (TILE - 2 * iterations);
    const int x0 = tile_x + COLUMNS * lane, y0 = tile_y + ROWS * warp;
    const int64 origin = pair * int64(height) * width;

    Exact u1[ROWS][COLUMNS], u2[ROWS][COLUMNS], n1[ROWS][COLUMNS], n2[ROWS][COLUMNS], constant[ROWS][COLUMNS];
    Dual p1[ROWS][COLUMNS], p2[ROWS][COLUMNS];
    // Beyond the image everything is zero, and stays so: differences over its edge count as zero.
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        float bound[COLUMNS] = {};
#pragma unroll
        for (int c = 0; c < COLUMNS; ++c) {
            if (y0 + r >= height || x0 + c >= width) continue;
            const int64 at = origin + int64(y0 + r) * width + x0 + c;
            const float2 u = flow_in[at];
            const float4 p = dual_in[at], term = data[at];
            u1[r][c] = u.x, u2[r][c] = u.y;
            p1[r][c] = {p.x, p.y}, p2[r][c] = {p.z, p.w};
            n1[r][c] = term.x, n2[r][c] = term.y, constant[r][c] = term.z, bound[c] = term.w;
        }
        bounds[r][threadIdx.x] = make_float2(bound[0], bound[1]);
    }

    // What is right after the last iteration.
    const int begin_x = blockIdx.x ? tile_x + iterations : 0, begin_y = blockIdx.y ? tile_y + iterations : 0;
    const int end_x = blockIdx.x + 1 < gridDim.x ? tile_x + TILE - iterations : width;
    const int end_y = blockIdx.y + 1 < gridDim.y ? tile_y + TILE - iterations : height;
    const auto is_mine = [&](int r, int c) {
        return begin_x <= x0 + c && x0 + c < end_x && begin_y <= y0 + r && y0 + r < end_y;
    };

    Exact change = 0.0f;
#pragma unroll 1
    for (int k = 0; k < iterations; ++k) {
        const bool measured = limit >= 0 && k == iterations - 1;
        constexpr int LAST = ROWS - 1;
        lowest[warp][lane] = make_float4(p1[LAST][0].down.value, p1[LAST][1].down.value, p2[LAST][0].down.value,
                                         p2[LAST][1].down.value);
        __syncthreads();
        const float4 over = warp ? lowest[warp - 1][lane] : make_float4(0, 0, 0, 0);
        Exact above1[COLUMNS] = {over.x, over.y}, above2[COLUMNS] = {over.z, over.w};
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            Exact left1 = __shfl_up_sync(0xffffffff, p1[r][COLUMNS - 1].across.value, 1);
            Exact left2 = __shfl_up_sync(0xffffffff, p2[r][COLUMNS - 1].across.value, 1);
            if (lane == 0) left1 = left2 = 0.0f;
            const float2 bound = bounds[r][threadIdx.x];
#pragma unroll
            for (int c = 0; c < COLUMNS; ++c) {
                const Exact old1 = u1[r][c], old2 = u2[r][c];
                const Exact rho = times_plus(n2[r][c], old2, times_plus(n1[r][c], old1, constant[r][c]));
                const Exact most = c ? bound.y : bound.x;
                const Exact excess = -clamp(rho, -most, most);
                const Exact divergence1 = p1[r][c].across - left1 + p1[r][c].down - above1[c];
                const Exact divergence2 = p2[r][c].across - left2 + p2[r][c].down - above2[c];
                u1[r][c] = times_plus(theta, divergence1, times_plus(excess, n1[r][c], old1));
                u2[r][c] = times_plus(theta, divergence2, times_plus(excess, n2[r][c], old2));
                if (measured && is_mine(r, c)) {
                    const Exact moved1 = u1[r][c] - old1, moved2 = u2[r][c] - old2;
                    change = change + times_plus(moved1, moved1, moved2 * moved2);
                }
                left1 = p1[r][c].across, left2 = p2[r][c].across;
                above1[c] = p1[r][c].down, above2[c] = p2[r][c].down;
            }
        }

        highest[warp][lane] = make_float4(u1[0][0].value, u1[0][1].value, u2[0][0].value, u2[0][1].value);
        __syncthreads();
        const float4 under = highest[min(warp + 1, WARPS - 1)][lane];
#pragma unroll
        for (int r = 0; r < ROWS; ++r) {
            const Exact right1 = __shfl_down_sync(0xffffffff, u1[r][0].value, 1);
            const Exact right2 = __shfl_down_sync(0xffffffff, u2[r][0].value, 1);
            const bool has_below = y0 + r + 1 < height;
#pragma unroll
            for (int c = 0; c < COLUMNS; ++c) {
                const bool has_right = x0 + c + 1 < width;
                const Exact next1 = c + 1 < COLUMNS ? u1[r][COLUMNS - 1] : right1;
                const Exact next2 = c + 1 < COLUMNS ? u2[r][COLUMNS - 1] : right2;
                const Exact below1 = r < LAST ? u1[min(r + 1, LAST)][c] : Exact(c ? under.y : under.x);
                const Exact below2 = r < LAST ? u2[min(r + 1, LAST)][c] : Exact(c ? under.w : under.z);
                const Exact here1 = u1[r][c], here2 = u2[r][c];
                p1[r][c] = renewed(p1[r][c], has_right ? next1 - here1 : Exact(0.0f),
                                   has_below ? below1 - here1 : Exact(0.0f), rate);
                p2[r][c] = renewed(p2[r][c], has_right ? next2 - here2 : Exact(0.0f),
                                   has_below ? below2 - here2 : Exact(0.0f), rate);
            }
        }
    }

#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
#pragma unroll
        for (int c = 0; c < COLUMNS; ++c) {
            if (!is_mine(r, c)) continue;
            const int64 at = origin + int64(y0 + r) * width + x0 + c;
            flow_out[at] = make_float2(u1[r][c].value, u2[r][c].value);
            dual_out[at] = make_float4(p1[r][c].across.value, p1[r][c].down.value, p2[r][c].across.value,
                                       p2[r][c].down.value);
        }
    }

    if (limit < 0) return;
    // The last block of a pair to get here adds up what all have left: in a fixed order, whichever block it is.
    const int tiles = gridDim.x * gridDim.y;
    volatile double* left = partial + pair * int64(tiles);
    const double total = block_sum(change.value, sums);
    if (threadIdx.x == 0) {
        left[blockIdx.y * gridDim.x + blockIdx.x] = total;
        __threadfence();
        is_last = atomicAdd(&arrived[pair], 1u) == tiles - 1u;
    }
    __syncthreads();
    if (!is_last) return;
    __threadfence();
    double all = 0;
    for (int i = threadIdx.x; i < tiles; i += blockDim.x) all += left[i];
    all = block_sum(all, sums);
    if (threadIdx.x == 0) {
        arrived[pair] = 0;
        if (all <= limit) status[pair] = status_of(round, place);
    }
}
