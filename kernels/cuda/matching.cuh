// Cosine similarities of a tile of one image with windows of the next, in registers: what cost volume and
// displacement share.
//
// A tile is PIXELS wide and `rows` high. A unit of work is PIXELS neighbouring pixels of a row, one dy, and COLUMNS
// neighbouring dx; every unit has a thread, whose PIXELS x COLUMNS sums stay in registers while the channels pass
// through shared memory, a slab at a time. So each feature is loaded once a tile, whatever the radius, and channels
// may be as many as they like.
//
// Of each channel a thread reads PIXELS features of the first image and PIXELS + COLUMNS - 1 of the second, 16 bytes
// at once: with COLUMNS 8, 64 multiply-adds for 24 floats (6 reads); with 9, 72 for the same 24. Shared memory hands
// a multiprocessor 32 floats a cycle and it makes 128 multiply-adds, so reading takes 1.5 times as long as 64
// multiply-adds and 1.33 times as long as 72: two thirds and three quarters of the peak are the bound.
//
// A plane is one channel of a tile. Rows are an odd number of 16 bytes apart and neighbouring threads work on
// neighbouring rows: reads have no bank conflicts. Planes are 4 floats past a multiple of 32 apart: nor has the
// transposition from channels-last in slabs of 4 or 8, where a warp writes 8 channels of 4 pixels, or 4 of 32, at once.
//
// SAMPLE: float or uint16 (the bits of float16). COLUMNS: 8, or for a window of one block 5 or 9.
#include "samples.cuh"

constexpr int PIXELS = 8;
constexpr int FIRST_STRIDE = 12;  // floats from row to row of the first image
constexpr float SHORTEST = 1e-36f, LONGEST = 1e36f;  // squares of lengths

// What a launch is for; the launcher computes it (kernels/cuda/matching.py).
struct Task {
    int height, width, channels;
    int ry, rx;
    int rows;                      // of a tile
    int slab;                      // channels of a slab: 4, 8 or 16
    int stride;                    // floats from row to row of the second image
    int first_plane, second_plane; // floats of a plane of either image

    __device__ __forceinline__ int window_rows() const { return 2 * ry + 1; }
    __device__ __forceinline__ int window_columns() const { return 2 * rx + 1; }
    __device__ __forceinline__ int offsets() const {  // units of a row of pixels
        return window_rows() * ((window_columns() + COLUMNS - 1) / COLUMNS);
    }
    __device__ __forceinline__ int units() const { return rows * offsets(); }
};

// Which tile a block works on. Blocks are counted along x only, of which there may be more than batches ever need.
struct Place {
    int x, y;      // first pixel of the tile
    int64 pixels;  // before the image

    __device__ __forceinline__ explicit Place(const Task& task) {
        const unsigned across = (task.width + PIXELS - 1) / PIXELS, down = (task.height + task.rows - 1) / task.rows;
        x = blockIdx.x % across * PIXELS;
        y = blockIdx.x / across % down * task.rows;
        pixels = int64(blockIdx.x / across / down) * task.height * task.width;
    }
};

// Which pixels and displacements a thread works on. Rows of pixels first, for the sake of shared memory's banks.
struct Unit {
    int y;              // of the tile
    int dy, column;     // place of the first dx in the window, both counted from 0

    __device__ __forceinline__ Unit(const Task& task, int index) {
        y = index % task.rows;
        const int offset = index / task.rows;
        dy = offset % task.window_rows();
        column = offset / task.window_rows() * COLUMNS;
    }
};

// Bring channels `channel` to `channel + count` of a tile of `image` into planes; zeros outside the image.
__device__ __forceinline__ void fill(const SAMPLE* __restrict__ image, const Task& task, int channel, int count, int x0,
                                     int y0, int columns, int rows, int stride, int plane, float* planes) {
    const int lane = threadIdx.x % 32;
    const bool fours = in_fours(image, task.channels);
    const int parts = fours ? task.slab / 4 : task.slab;
    const int shift = __ffs(parts) - 1;
    for (int row = threadIdx.x / 32; row < rows; row += blockDim.x / 32) {
        const int y = y0 + row;
        const SAMPLE* line = image + int64(y) * task.width * task.channels + channel;
        for (int i = lane; i < columns << shift; i += 32) {
            const int column = i >> shift, x = x0 + column;
            const int part = i & (parts - 1);
            const bool inside = unsigned(y) < unsigned(task.height) && unsigned(x) < unsigned(task.width);
            const SAMPLE* pixel = line + int64(x) * task.channels;
            float* target = planes + row * stride + column;
            if (fours && 4 * part < count) {
                const float4 four = inside ? load4(pixel + 4 * part) : make_float4(0, 0, 0, 0);
                target += 4 * part * plane;
                target[0] = four.x;
                target[plane] = four.y;
                target[2 * plane] = four.z;
                target[3 * plane] = four.w;
            } else if (!fours && part < count) {
                target[part * plane] = inside ? to_float(pixel[part]) : 0.0f;
            }
        }
    }
}

// Add the squares of a slab's planes to those of earlier slabs.
__device__ __forceinline__ void add_squares(const float* planes, int plane, int count, float* squares) {
#pragma unroll 1
    for (int i = threadIdx.x; i < plane; i += blockDim.x) {
        float sum = squares[i];
#pragma unroll 4
        for (int k = 0; k < count; ++k) sum += planes[k * plane + i] * planes[k * plane + i];
        squares[i] = sum;
    }
}

// Turn squares of lengths into inverse lengths, 0 for features without one; say whether all were finite.
__device__ __forceinline__ bool invert(float* squares, int stride, int columns, int rows) {
    bool finite = true;
#pragma unroll 1
    for (int i = threadIdx.x; i < rows * stride; i += blockDim.x) {
        if (i % stride >= columns) continue;  // nothing was ever put there
        const float sum = squares[i];
        finite = finite && sum < LONGEST;
        squares[i] = sum > SHORTEST ? 1.0f / sqrtf(sum) : 0.0f;
    }
    return finite;
}

// `count` floats, as many as fours can hold, from shared memory; both ends of the read are aligned to 16 bytes.
template <int COUNT>
__device__ __forceinline__ void read(const float* source, float (&values)[COUNT]) {
#pragma unroll
    for (int i = 0; i < COUNT; i += 4) {
        const float4 four = *reinterpret_cast<const float4*>(source + i);
        values[i] = four.x;
        values[i + 1] = four.y;
        values[i + 2] = four.z;
        values[i + 3] = four.w;
    }
}
constexpr int REACH = (PIXELS + COLUMNS - 1 + 3) / 4 * 4;

// The similarities of this thread's unit, for the tile at `place` of a pair of images. Threads without a unit help.
// Sets `damage[0]` or `damage[1]` if features of the first or the second image are not finite. `shared` is free again
// on return, after a barrier.
__device__ __forceinline__ void similarities(const SAMPLE* __restrict__ first, const SAMPLE* __restrict__ second,
                                             const Task& task, const Place& place, float* shared, int* damage,
                                             float (&sums)[PIXELS][COLUMNS]) {
    first += place.pixels * task.channels;
    second += place.pixels * task.channels;
    const int reach_rows = task.rows + 2 * task.ry, reach_columns = PIXELS + 2 * task.rx;
    float* second_squares = shared;
    float* first_squares = second_squares + task.second_plane;
    float* second_planes = first_squares + task.first_plane;
    float* first_planes = second_planes + task.slab * task.second_plane;
    const bool has_unit = threadIdx.x < task.units();
    const Unit unit(task, threadIdx.x);
    const float* pixels = first_planes + unit.y * FIRST_STRIDE;
    const int neighbourhood = (unit.y + unit.dy) * task.stride + unit.column;
    const float* neighbours = second_planes + neighbourhood;

#pragma unroll
    for (int i = 0; i < PIXELS; ++i)
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j) sums[i][j] = 0.0f;
    for (int i = threadIdx.x; i < task.first_plane + task.second_plane; i += blockDim.x) shared[i] = 0.0f;

    for (int channel = 0; channel < task.channels; channel += task.slab) {
        const int count = min(task.slab, task.channels - channel);
        fill(second, task, channel, count, place.x - task.rx, place.y - task.ry, reach_columns, reach_rows, task.stride,
             task.second_plane, second_planes);
        fill(first, task, channel, count, place.x, place.y, PIXELS, task.rows, FIRST_STRIDE, task.first_plane,
             first_planes);
        __syncthreads();
        add_squares(second_planes, task.second_plane, count, second_squares);
        add_squares(first_planes, task.first_plane, count, first_squares);
        if (has_unit) {
#pragma unroll 1
            for (int k = 0; k < count; ++k) {
                float a[PIXELS], b[REACH];
                read(pixels + k * task.first_plane, a);
                read(neighbours + k * task.second_plane, b);
#pragma unroll
                for (int j = 0; j < COLUMNS; ++j)
#pragma unroll
                    for (int i = 0; i < PIXELS; ++i) sums[i][j] += a[i] * b[i + j];
            }
        }
        __syncthreads();
    }
    if (!invert(first_squares, FIRST_STRIDE, PIXELS, task.rows)) damage[0] = 1;
    if (!invert(second_squares, task.stride, reach_columns, reach_rows)) damage[1] = 1;
    __syncthreads();
    if (has_unit) {
        float a[PIXELS], b[REACH];
        read(first_squares + unit.y * FIRST_STRIDE, a);
        read(second_squares + neighbourhood, b);
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j)
#pragma unroll
            for (int i = 0; i < PIXELS; ++i) sums[i][j] = sums[i][j] * a[i] * b[i + j];
    }
    __syncthreads();
}
