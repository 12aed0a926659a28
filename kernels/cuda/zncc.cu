// Patch features: result[p, i, j] = grey at p + (i - r, j - r) less the mean of p's patch, in grey levels.
//
// A block makes the features of TILE pixels of a row. The greys of their patches wait in shared memory, in 256ths, and
// sums are of integers: a patch without contrast is exactly 0, and the CPU finds the same bits. What is written is
// patch * patch times what is read, so neighbouring threads write neighbouring floats, and nobody divides for his place.
#include "common.cuh"

constexpr int TILE = 64;
constexpr int MAX_PATCH = 15;
constexpr int MAX_ACROSS = TILE + MAX_PATCH - 1;

// 77/256 red + 150/256 green + 29/256 blue (ITU-R BT.601 to 8 bits), or the grey itself; in 256ths.
__device__ __forceinline__ int grey(const uint8* pixel, int channels) {
    return channels == 3 ? 77 * __ldg(pixel) + 150 * __ldg(pixel + 1) + 29 * __ldg(pixel + 2) : 256 * __ldg(pixel);
}

// frames: (rows, width, channels), pictures of `height` rows below each other. result: (rows, width, patch * patch).
// scale: of 256ths times patch * patch to grey levels.
extern "C" __global__ void __launch_bounds__(256, 4)
zncc(const uint8* __restrict__ frames, float* __restrict__ result, int64 rows, int height, int width, int channels,
     int patch, float scale) {
    __shared__ int greys[MAX_PATCH * MAX_ACROSS];
    __shared__ int columns[MAX_ACROSS];
    __shared__ int totals[TILE];
    __shared__ int places[MAX_PATCH * MAX_PATCH];  // in `greys`, of a patch's cells

    const int thread = threadIdx.x, threads = blockDim.x;
    const int r = patch / 2, area = patch * patch;
    const int left = blockIdx.x * TILE, pixels = min(TILE, width - left), across = pixels + 2 * r;
    for (int cell = thread; cell < area; cell += threads) places[cell] = cell / patch * MAX_ACROSS + cell % patch;

    for (int64 row = blockIdx.y; row < rows; row += gridDim.y) {
        const int y = int(row % height);
        const uint8* frame = frames + (row - y) * width * channels;
        __syncthreads();  // the row before has been read
        for (int k = thread; k < patch * across; k += threads) {
            const int i = k / across, j = k - i * across;
            const int from_y = min(max(y + i - r, 0), height - 1), from_x = min(max(left + j - r, 0), width - 1);
            greys[i * MAX_ACROSS + j] = grey(frame + (int64(from_y) * width + from_x) * channels, channels);
        }
        __syncthreads();
        for (int j = thread; j < across; j += threads) {
            int sum = 0;
            for (int i = 0; i < patch; ++i) sum += greys[i * MAX_ACROSS + j];
            columns[j] = sum;
        }
        __syncthreads();
        for (int x = thread; x < pixels; x += threads) {
            int sum = 0;
            for (int j = 0; j < patch; ++j) sum += columns[x + j];
            totals[x] = sum;
        }
        __syncthreads();
        float* out = result + (row * width + left) * area;
        const int step_x = threads / area, step_cells = threads % area;
        int x = thread / area, cell = thread % area;
        for (int k = thread; k < pixels * area; k += threads) {
            out[k] = float(area * greys[places[cell] + x] - totals[x]) * scale;  // below 2^24 in size: exact
            x += step_x;
            cell += step_cells;
            if (cell >= area) {
                cell -= area;
                ++x;
            }
        }
    }
}
