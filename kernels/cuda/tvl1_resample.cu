// Resampling for TV-L1 by tables of taps: images to the levels of a pyramid, flow to the next finer level and out. The
// arithmetic is that of kernels/cpu/tvl1_pyramid.py, to the bit.
//
// Each thread filters the columns under its own pixel, then the row of what results: neighbours repeat each other's
// columns, but with the handful of taps that are usual everything comes from the cache, and one launch is enough.
//
// SAMPLE: uint8 or float, of the images.
#include "common.cuh"
#include "tvl1.cuh"

constexpr int WIDTH = 32, HEIGHT = 8;  // pixels of a block; four blocks leave 64 registers a thread, so none spills

// Filter taps of one axis: output i begins at `starts[i]`, and its tap k has the weight `weights[k * out_size + i]`.
struct Axis {
    const int* starts;
    const float* weights;
    int taps, out_size;

    __device__ __forceinline__ Exact weight(int k, int i) const { return weights[k * int64(out_size) + i]; }
};

template <class Sample>
__device__ __forceinline__ Exact resampled(Sample sample, Axis rows, Axis columns, int x, int y) {
    const int first_x = columns.starts[x], first_y = rows.starts[y];
    Exact total;
    for (int i = 0; i < columns.taps; ++i) {
        Exact column = rows.weight(0, y) * sample(first_x + i, first_y);
        for (int k = 1; k < rows.taps; ++k) column = column + rows.weight(k, y) * sample(first_x + i, first_y + k);
        total = total + columns.weight(i, x) * column;
    }
    return total;
}

// Grid: columns of blocks, rows of blocks, frames or fewer.
extern "C" __global__ void __launch_bounds__(WIDTH * HEIGHT, 4)
resample_images(const SAMPLE* __restrict__ images, float* __restrict__ out, int64 count, int height, int width,
                int out_height, int out_width, const int* __restrict__ row_starts,
                const float* __restrict__ row_weights, int row_taps, const int* __restrict__ column_starts,
                const float* __restrict__ column_weights, int column_taps) {
    const int x = blockIdx.x * WIDTH + threadIdx.x % WIDTH, y = blockIdx.y * HEIGHT + threadIdx.x / WIDTH;
    if (x >= out_width || y >= out_height) return;
    const Axis rows = {row_starts, row_weights, row_taps, out_height};
    const Axis columns = {column_starts, column_weights, column_taps, out_width};
    for (int64 i = blockIdx.z; i < count; i += gridDim.z) {
        const SAMPLE* image = images + i * height * width;
        const auto sample = [&](int sx, int sy) -> Exact { return float(image[sy * int64(width) + sx]); };
        out[(i * out_height + y) * out_width + x] = resampled(sample, rows, columns, x, y).value;
    }
}

// Grid: columns of blocks, rows of blocks, pairs. `place`: see tvl1.cuh.
extern "C" __global__ void __launch_bounds__(WIDTH * HEIGHT, 4)
upsample_flow(const float2* __restrict__ flow_0, const float2* __restrict__ flow_1, float2* __restrict__ out,
              int height, int width, int out_height, int out_width, const int* __restrict__ row_starts,
              const float* __restrict__ row_weights, int row_taps, const int* __restrict__ column_starts,
              const float* __restrict__ column_weights, int column_taps, float gain_x, float gain_y, int first_round,
              int place, const int* __restrict__ status) {
    const int x = blockIdx.x * WIDTH + threadIdx.x % WIDTH, y = blockIdx.y * HEIGHT + threadIdx.x / WIDTH;
    if (x >= out_width || y >= out_height) return;
    const Axis rows = {row_starts, row_weights, row_taps, out_height};
    const Axis columns = {column_starts, column_weights, column_taps, out_width};
    const int pair = blockIdx.z;
    const float2* flow = flow_place(place_of(status[pair], first_round, place)) ? flow_1 : flow_0;
    flow += pair * int64(height) * width;
    const auto u1 = [&](int sx, int sy) -> Exact { return flow[sy * int64(width) + sx].x; };
    const auto u2 = [&](int sx, int sy) -> Exact { return flow[sy * int64(width) + sx].y; };
    out[(pair * int64(out_height) + y) * out_width + x] =
        make_float2((resampled(u1, rows, columns, x, y) * gain_x).value,
                    (resampled(u2, rows, columns, x, y) * gain_y).value);
}

// Grid: blocks along the pixels of one pair, 1, pairs.
extern "C" __global__ void __launch_bounds__(WIDTH * HEIGHT, 4)
collect_flow(const float2* __restrict__ flow_0, const float2* __restrict__ flow_1, float2* __restrict__ out,
             int height, int width, int first_round, int place, const int* __restrict__ status) {
    const int pair = blockIdx.z;
    const int64 pixels = int64(height) * width;
    const float2* flow = flow_place(place_of(status[pair], first_round, place)) ? flow_1 : flow_0;
    for (int64 i = thread_in_grid(); i < pixels; i += threads_in_grid()) out[pair * pixels + i] = flow[pair * pixels + i];
}
