// Cost volume: similarities in registers (matching.cuh), then to memory in whole rows of a pixel's window.
//
// Every thread has a few values of a window each of 8 pixels. Through shared memory, one column of the tile at a time,
// they get into the order of the result, so that warps write neighbouring floats.
#include "matching.cuh"

extern "C" __global__ void __launch_bounds__(512)
cost_volume(const SAMPLE* __restrict__ first, const SAMPLE* __restrict__ second, float* __restrict__ result,
            int* __restrict__ damage, int height, int width, int channels, int ry, int rx, int rows,
            int slab, int stride, int first_plane, int second_plane) {
    extern __shared__ __align__(16) float shared[];
    const Task task{height, width, channels, ry, rx, rows, slab, stride, first_plane, second_plane};
    const Unit unit(task, threadIdx.x);
    const Place place(task);
    const int window = task.window_rows() * task.window_columns();  // odd: neighbouring rows are in different banks
    float values[PIXELS][COLUMNS];
    similarities(first, second, task, place, shared, damage, values);
#pragma unroll
    for (int i = 0; i < PIXELS; ++i) {
        if (threadIdx.x < task.units()) {
            float* target = shared + unit.y * window + unit.dy * task.window_columns() + unit.column;
#pragma unroll
            for (int j = 0; j < COLUMNS; ++j)
                if (unit.column + j < task.window_columns()) target[j] = values[i][j];
        }
        __syncthreads();
        if (place.x + i < width) {
            for (int y = threadIdx.x / 32; y < min(rows, height - place.y); y += blockDim.x / 32) {
                float* target = result + (place.pixels + int64(place.y + y) * width + place.x + i) * window;
                for (int k = threadIdx.x % 32; k < window; k += 32) target[k] = shared[y * window + k];
            }
        }
        __syncthreads();
    }
}
