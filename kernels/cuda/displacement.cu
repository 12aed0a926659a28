// Displacement: similarities in registers (matching.cuh), then the softmax or the vote over each window.
//
// Every thread sums up its few values of a window, relative to the largest of them: an online softmax whose steps are
// threads. 8 threads a pixel then join these sums, in an order that is always the same. No similarity is ever in
// memory.
#include "matching.cuh"

constexpr int TEAM = 8;  // threads that join the sums of a pixel

// A displacement as a number that is the less the sooner it wins among equals: shortest, then least dy, then least dx.
__device__ __forceinline__ int rank_of(int dy, int dx) {
    return (dy * dy + dx * dx) << 10 | (dy + 15) << 5 | (dx + 15);
}
__device__ __forceinline__ float2 of_rank(int rank) {
    return make_float2(float((rank & 31) - 15), float((rank >> 5 & 31) - 15));
}

struct Vote {
    float score;
    int rank;

    __device__ __forceinline__ void hear(float other_score, int other_rank) {
        if (other_score > score || (other_score == score && other_rank < rank)) {
            score = other_score;
            rank = other_rank;
        }
    }
};

// What a pixel's team knows: its place in the tile, and the sums of every unit that works on it.
struct Team {
    int x, y;             // of the tile
    int member;
    unsigned mask;        // its lanes of the warp
    const float* values;  // of unit 0 of this pixel; `rows` further is the next, `plane` further the next kind of sum

    __device__ __forceinline__ Team(const Task& task, int pixel, const float* shared) {
        x = pixel % PIXELS;
        y = pixel / PIXELS;
        member = threadIdx.x % TEAM;
        mask = 0xffu << (threadIdx.x % 32 / TEAM * TEAM);
        values = shared + x * task.units() + y;
    }
};

// The mean of the displacements, weighted by 2^(scale * similarity).
__device__ __forceinline__ void share_sums(const float (&values)[PIXELS][COLUMNS], const Task& task, const Unit& unit,
                                           float scale, float* shared) {
    const int plane = PIXELS * task.units();
#pragma unroll
    for (int i = 0; i < PIXELS; ++i) {
        float largest = values[i][0];
#pragma unroll
        for (int j = 1; j < COLUMNS; ++j)
            if (unit.column + j < task.window_columns()) largest = max(largest, values[i][j]);
        float weights = 0, moments = 0;
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j) {
            const bool inside = unit.column + j < task.window_columns();
            const float weight = inside ? exp2f((values[i][j] - largest) * scale) : 0.0f;
            weights += weight;
            moments += weight * float(j);
        }
        float* target = shared + i * task.units() + threadIdx.x;
        target[0] = largest;
        target[plane] = weights;
        target[2 * plane] = moments + weights * float(unit.column - task.rx);
    }
}
__device__ __forceinline__ float2 join_sums(const Team& team, const Task& task, float scale) {
    const int plane = PIXELS * task.units();
    float largest = -2;  // below any cosine
#pragma unroll 1
    for (int k = team.member; k < task.offsets(); k += TEAM) largest = max(largest, team.values[k * task.rows]);
#pragma unroll
    for (int bit = 1; bit < TEAM; bit *= 2) largest = max(largest, __shfl_xor_sync(team.mask, largest, bit));
    float weights = 0, x = 0, y = 0;
#pragma unroll 1
    for (int k = team.member; k < task.offsets(); k += TEAM) {
        const float* sums = team.values + k * task.rows;
        const float factor = exp2f((sums[0] - largest) * scale);
        const float weight = sums[plane] * factor;
        weights += weight;
        x += sums[2 * plane] * factor;
        y += weight * float(k % task.window_rows() - task.ry);
    }
#pragma unroll
    for (int bit = 1; bit < TEAM; bit *= 2) {
        weights += __shfl_xor_sync(team.mask, weights, bit);
        x += __shfl_xor_sync(team.mask, x, bit);
        y += __shfl_xor_sync(team.mask, y, bit);
    }
    return make_float2(x / weights, y / weights);
}

// The displacement of the highest similarity.
__device__ __forceinline__ void share_votes(const float (&values)[PIXELS][COLUMNS], const Task& task, const Unit& unit,
                                            float* shared) {
    const int plane = PIXELS * task.units(), dx = unit.column - task.rx, dy = unit.dy - task.ry;
#pragma unroll
    for (int i = 0; i < PIXELS; ++i) {
        float score = values[i][0];
        int winner = 0;
#pragma unroll
        for (int j = 1; j < COLUMNS; ++j) {
            const bool shorter = winner + j < -2 * dx;  // |dx + j| < |dx + winner|, as winner < j
            const bool wins = values[i][j] > score || (values[i][j] == score && shorter);
            if (wins && unit.column + j < task.window_columns()) {
                score = values[i][j];
                winner = j;
            }
        }
        float* target = shared + i * task.units() + threadIdx.x;
        target[0] = score;
        target[plane] = __int_as_float(rank_of(dy, dx + winner));
    }
}
__device__ __forceinline__ float2 join_votes(const Team& team, const Task& task) {
    const int plane = PIXELS * task.units();
    Vote vote{-2, 0};
#pragma unroll 1
    for (int k = team.member; k < task.offsets(); k += TEAM) {
        const float* votes = team.values + k * task.rows;
        vote.hear(votes[0], __float_as_int(votes[plane]));
    }
#pragma unroll
    for (int bit = 1; bit < TEAM; bit *= 2) {
        const float score = __shfl_xor_sync(team.mask, vote.score, bit);
        vote.hear(score, __shfl_xor_sync(team.mask, vote.rank, bit));
    }
    return of_rank(vote.rank);
}

// scale: log2(e) over the temperature, or negative for winner-take-all. result: (images, height, width) of (x, y).
extern "C" __global__ void __launch_bounds__(512)
displacement(const SAMPLE* __restrict__ first, const SAMPLE* __restrict__ second, float2* __restrict__ result,
             int* __restrict__ damage, int height, int width, int channels, int ry, int rx, int rows,
             int slab, int stride, int first_plane, int second_plane, float scale) {
    extern __shared__ __align__(16) float shared[];
    const Task task{height, width, channels, ry, rx, rows, slab, stride, first_plane, second_plane};
    const Unit unit(task, threadIdx.x);
    const Place place(task);
    const bool soft = scale >= 0, has_unit = threadIdx.x < task.units();
    float values[PIXELS][COLUMNS];
    similarities(first, second, task, place, shared, damage, values);
    if (has_unit && soft) share_sums(values, task, unit, scale, shared);
    if (has_unit && !soft) share_votes(values, task, unit, shared);
    __syncthreads();
    for (int pixel = threadIdx.x / TEAM; pixel < PIXELS * rows; pixel += blockDim.x / TEAM) {
        const Team team(task, pixel, shared);
        const float2 found = soft ? join_sums(team, task, scale) : join_votes(team, task);
        const int x = place.x + team.x, y = place.y + team.y;
        if (team.member == 0 && x < width && y < height) result[place.pixels + int64(y) * width + x] = found;
    }
}
