// Types and indices that every kernel uses. NVRTC has no <cstdint>.

using uint8 = unsigned char;
using int8 = signed char;
using int16 = short;
using uint16 = unsigned short;
using uint32 = unsigned int;
using int64 = long long;

// Index of this thread in a one-dimensional grid, and the number of threads in it: the start and the stride of a
// grid-stride loop. 64 bits: a batch of frames can hold more than 2^31 samples.
__device__ __forceinline__ int64 thread_in_grid() { return blockIdx.x * int64(blockDim.x) + threadIdx.x; }
__device__ __forceinline__ int64 threads_in_grid() { return gridDim.x * int64(blockDim.x); }
