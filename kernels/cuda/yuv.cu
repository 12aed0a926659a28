// Planar YUV to RGB with separable resizing, in one pass. The arithmetic is that of vidprep/kernels/yuv.py, to the bit.
//
// One warp makes 32 neighbouring RGB pixels of an output row. For each plane it filters vertically the input columns
// that those pixels need, in chunks that fit its share of shared memory, and every lane adds the taps of its own pixel
// that lie in the chunk. Any scale fits: a larger one only takes more chunks. Rows that lie below each other go to
// neighbouring warps, which share their input rows in cache. No barrier wider than a warp is needed.
//
// SAMPLE: uint8 (8 bits) or uint16 (9 to 16 bits).
#include "common.cuh"

constexpr int WARPS = 4;  // of a block
constexpr int CHUNK = 256;
constexpr int SAMPLE_MAX = (1 << 16) - 1;
constexpr int NARROW_TAPS = 8;
constexpr int RGB_BITS = 5;

// Filter taps of one axis: row 0 of `table` is where each output's taps start, rows 1 to `taps` are their weights.
struct Axis {
    const int* table;
    int out_size;
    int taps;

    // Filters of few taps add products that are cut to 16 bits, others whole ones.
    __device__ __forceinline__ bool narrow() const { return taps <= NARROW_TAPS; }
    __device__ __forceinline__ uint32 begin() const { return narrow() ? taps / 2 : 1 << 15; }
    __device__ __forceinline__ uint32 product(uint32 weight, uint32 sample) const {
        return narrow() ? weight * sample >> 16 : weight * sample;
    }
    __device__ __forceinline__ int finish(uint32 sum) const {
        return min(static_cast<int>(narrow() ? sum : sum >> 16), SAMPLE_MAX);
    }
    __device__ __forceinline__ int start(int i) const { return table[i]; }
    __device__ __forceinline__ uint32 weight(int k, int i) const { return table[(k + 1) * int64(out_size) + i]; }
};

// Lanes read columns a power of two apart; one word of padding in 32 puts them in different banks.
__device__ __forceinline__ int slot(int column) { return column + column / 32; }
constexpr int CHUNK_SLOTS = CHUNK + CHUNK / 32;

// The resampled value (16 bits) of `plane` for output row `y` and this lane's pixel `x`, of the tile that begins at
// `tile_x`. All lanes of the warp call it together; those past the right edge get 0.
__device__ __forceinline__ int resampled(const SAMPLE* __restrict__ plane, int width, Axis vertical, Axis horizontal,
                                         int y, int tile_x, int x, int left, int* columns) {
    const int lane = x - tile_x;
    const int last_x = min(tile_x + 31, horizontal.out_size - 1);
    const int span_begin = horizontal.start(tile_x);
    const int span_end = horizontal.start(last_x) + horizontal.taps;
    const bool inside = x < horizontal.out_size;
    const int start = inside ? horizontal.start(x) : 0;
    const SAMPLE* rows = plane + vertical.start(y) * int64(width);

    uint32 sum = horizontal.begin();
    for (int begin = span_begin; begin < span_end; begin += CHUNK) {
        const int end = min(begin + CHUNK, span_end);
        for (int column = begin + lane; column < end; column += 32) {
            uint32 filtered = vertical.begin();
            const SAMPLE* sample = rows + column;
            for (int k = 0; k < vertical.taps; ++k, sample += width)
                filtered += vertical.product(vertical.weight(k, y), uint32(*sample) << left);
            columns[slot(column - begin)] = vertical.finish(filtered);
        }
        __syncwarp();
        if (inside) {
            const int first = max(begin - start, 0);
            const int past = min(end - start, horizontal.taps);
            for (int k = first; k < past; ++k)
                sum += horizontal.product(horizontal.weight(k, x), columns[slot(start + k - begin)]);
        }
        __syncwarp();  // before the next chunk overwrites this one
    }
    return inside ? horizontal.finish(sum) : 0;
}

// Planes are contiguous, (frames, height, width); rgb is (frames, height, width, 3). colour: shifts and
// offsets of the three planes, the 3x3 coefficients channel by channel, the biases of the channels. left: what makes
// 16 bits of a sample.
// Six blocks on a multiprocessor leave 80 registers a thread; without the bound the compiler aims at 64 and spills.
extern "C" __global__ void __launch_bounds__(32 * WARPS, 6)
yuv_to_rgb(const SAMPLE* __restrict__ luma, const SAMPLE* __restrict__ chroma_u, const SAMPLE* __restrict__ chroma_v,
           uint8* __restrict__ rgb, int64 num_frames, int luma_height, int luma_width, int chroma_height,
           int chroma_width, int out_height, int out_width, int left, const int* __restrict__ colour,
           const int* __restrict__ luma_y_table, int luma_y_taps, const int* __restrict__ luma_x_table, int luma_x_taps,
           const int* __restrict__ chroma_y_table, int chroma_y_taps, const int* __restrict__ chroma_x_table,
           int chroma_x_taps) {
    __shared__ int columns_of_warp[WARPS][CHUNK_SLOTS];
    int* columns = columns_of_warp[threadIdx.x / 32];

    const Axis luma_y = {luma_y_table, out_height, luma_y_taps};
    const Axis luma_x = {luma_x_table, out_width, luma_x_taps};
    const Axis chroma_y = {chroma_y_table, out_height, chroma_y_taps};
    const Axis chroma_x = {chroma_x_table, out_width, chroma_x_taps};

    // A warp for every tile of 32 columns of every row, the rows fastest; frames along the grid's y.
    const int item = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    const int y = item % out_height;
    const int tile_x = item / out_height * 32;
    const int x = tile_x + threadIdx.x % 32;
    if (tile_x >= out_width) return;  // the whole warp

    for (int64 frame = blockIdx.y; frame < num_frames; frame += gridDim.y) {
        int sums[3] = {colour[15], colour[16], colour[17]};
#pragma unroll 1  // one copy of the body is enough
        for (int p = 0; p < 3; ++p) {
            const bool is_luma = p == 0;
            const SAMPLE* planes = is_luma ? luma : p == 1 ? chroma_u : chroma_v;
            const int height = is_luma ? luma_height : chroma_height;
            const int width = is_luma ? luma_width : chroma_width;
            const int sample = resampled(planes + frame * height * width, width, is_luma ? luma_y : chroma_y,
                                         is_luma ? luma_x : chroma_x, y, tile_x, x, left, columns);
            const int value = (sample >> colour[p]) - colour[3 + p];
#pragma unroll
            for (int channel = 0; channel < 3; ++channel) sums[channel] += colour[6 + 3 * channel + p] * value >> 16;
        }
        if (x < out_width) {
            uint8* pixel = rgb + 3 * ((frame * out_height + y) * out_width + x);
#pragma unroll
            for (int channel = 0; channel < 3; ++channel)
                pixel[channel] = min(max(sums[channel] >> RGB_BITS, 0), 255);
        }
    }
}
