"""The harness that runs CUDA sources on the CPU: its threads, its barriers, and the faults it must report."""

from __future__ import annotations

import numpy as np
import pytest

from cuda_host.compile import HostModule, KernelFault, compile_text
from executors import need_compiler

SOURCE = r"""
extern "C" __global__ void __launch_bounds__(1024) where(uint3* out) {
    int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    out[block * blockDim.x * blockDim.y * blockDim.z + thread] = threadIdx;
}

extern "C" __global__ void block_sum(const float* __restrict__ in, float* __restrict__ out, int count) {
    __shared__ float partial[256];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    partial[threadIdx.x] = i < count ? in[i] : 0.0f;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) out[blockIdx.x] = partial[0];
}

extern "C" __global__ void warp_sum(const int* in, int* down, int* all) {
    int sum = in[threadIdx.x], total = sum;
    for (int delta = 16; delta > 0; delta /= 2) sum += __shfl_down_sync(0xffffffff, sum, delta);
    for (int bits = 16; bits > 0; bits /= 2) total += __shfl_xor_sync(0xffffffff, total, bits);
    if (threadIdx.x % 32 == 0) down[threadIdx.x / 32] = sum;
    all[threadIdx.x] = total;
}

extern "C" __global__ void shuffles(float* broadcast, double* up, int* segments, unsigned* ballot) {
    int lane = threadIdx.x;
    broadcast[lane] = __shfl_sync(0xffffffff, float(lane) * 0.5f, 7);
    up[lane] = __shfl_up_sync(0xffffffff, double(lane), 3);
    segments[lane] = __shfl_down_sync(0xffffffff, lane, 1, 8);
    if (lane < 16) ballot[lane] = __ballot_sync(0x0000ffff, lane % 3 == 0);
    else ballot[lane] = __any_sync(0xffff0000, lane == 20) + 2 * __all_sync(0xffff0000, lane > 15) +
                        4 * __all_sync(0xffff0000, lane > 16);
}

extern "C" __global__ void reversed_by_dynamic_shared(float* data) {
    extern __shared__ __align__(16) float row[];
    row[threadIdx.x] = data[blockIdx.x * blockDim.x + threadIdx.x];
    __syncthreads();
    data[blockIdx.x * blockDim.x + threadIdx.x] = row[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void atomics(int* sum, int* most, float* fsum, unsigned* least) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    atomicAdd(sum, i);
    atomicMax(most, i * 7 % 1000);
    atomicMin(least, i + 5);
    atomicAdd(fsum, 0.5f);
}

extern "C" __global__ void ring(int* out, int rounds) {  // every round needs both barriers
    __shared__ int shared[64];
    int value = threadIdx.x;
    for (int k = 0; k < rounds; ++k) {
        shared[threadIdx.x] = value;
        __syncthreads();
        value = shared[(threadIdx.x + 1) % blockDim.x];
        __syncthreads();
    }
    out[blockIdx.x * blockDim.x + threadIdx.x] = value;
}

extern "C" __global__ void left_neighbour(int* out, int with_barrier) {
    __shared__ int shared[64];
    shared[threadIdx.x] = threadIdx.x;
    if (with_barrier) __syncthreads();
    out[blockIdx.x * blockDim.x + threadIdx.x] = threadIdx.x ? shared[threadIdx.x - 1] : 0;
}

extern "C" __global__ void unwritten(float* out) {
    __shared__ float shared[32];
    if (threadIdx.x < 16) shared[threadIdx.x] = 1.0f;
    __syncthreads();
    out[threadIdx.x] = shared[threadIdx.x];
}

extern "C" __global__ void early_exit(int* out) {
    if (threadIdx.x >= 40) return;
    __syncthreads();
    out[threadIdx.x] = 1;
}

extern "C" __global__ void two_barriers(int* out) {
    if (threadIdx.x < 40) __syncthreads();
    else
        __syncthreads();
    out[threadIdx.x] = 1;
}

extern "C" __global__ void barrier_or_shuffle(int* out) {
    if (threadIdx.x == 3) __syncthreads();
    out[threadIdx.x] = __shfl_xor_sync(0xffffffff, 1, 1);
}

extern "C" __global__ void foreign_mask(int* out) { out[threadIdx.x] = __shfl_sync(0x1, 5, 0); }

extern "C" __global__ void writes_at(unsigned char* out, int offset) { out[offset] = 1; }

extern "C" __global__ void misaligned(const unsigned char* in, uint4* out) {
    out[0] = *reinterpret_cast<const uint4*>(in);
}

extern "C" __global__ void shared_index(int* out, int i) {
    __shared__ int shared[8];
    shared[i] = 1;
    out[0] = shared[0];
}

extern "C" __global__ void overflow(int* out, int a) { out[0] = a + 1; }

extern "C" __global__ void wild(int* out) { if (threadIdx.x == 2) out[1 << 30] = 1; }

extern "C" __global__ void divide(int* out, int a) { out[0] = 5 / a; }

extern "C" __global__ void add_one(const float* in, float* out) { out[threadIdx.x] = in[threadIdx.x] + 1; }

extern "C" __global__ void bytes(const unsigned* a, const unsigned* b, unsigned* out) {
    out[threadIdx.x] = __vabsdiffu4(a[threadIdx.x], b[threadIdx.x]);
}
"""


@pytest.fixture(scope="module", params=["fibers", "ucontext"])
def module(request: pytest.FixtureRequest) -> HostModule:
    """All kernels above, with both ways of changing stacks."""
    need_compiler()
    return compile_text(SOURCE, *(["-DHOST_UCONTEXT"] if request.param == "ucontext" else []))


def test_every_thread_runs_once_with_its_own_index(module: HostModule) -> None:
    grid, block = (3, 2, 2), (5, 3, 4)
    out = np.full((2, 2, 3, 4, 3, 5, 3), 99, np.uint32)
    module.launch("where", grid, block, [out])
    z, y, x = np.indices((4, 3, 5), np.uint32)
    np.testing.assert_array_equal(out, np.broadcast_to(np.stack([x, y, z], axis=-1), out.shape))


@pytest.mark.parametrize("block", [32, 64, 256])
def test_block_reduction(module: HostModule, block: int) -> None:
    data = np.random.default_rng(0).integers(0, 100, 1000).astype(np.float32)
    out = np.zeros(-(-1000 // block), np.float32)
    module.launch("block_sum", (len(out),), (block,), [data, out, np.int32(1000)])
    padded = np.pad(data, (0, len(out) * block - 1000)).reshape(-1, block)
    np.testing.assert_array_equal(out, padded.sum(axis=1))


def test_warp_reduction(module: HostModule) -> None:
    data = np.random.default_rng(0).integers(0, 1000, 96).astype(np.int32)
    down, total = np.zeros(3, np.int32), np.zeros(96, np.int32)
    module.launch("warp_sum", (1,), (96,), [data, down, total])
    np.testing.assert_array_equal(down, data.reshape(3, 32).sum(axis=1))
    np.testing.assert_array_equal(total, np.repeat(down, 32))


def test_shuffles_and_votes(module: HostModule) -> None:
    broadcast, up, segments, ballot = (np.zeros(32, dtype) for dtype in (np.float32, np.float64, np.int32, np.uint32))
    module.launch("shuffles", (1,), (32,), [broadcast, up, segments, ballot])
    lanes = np.arange(32)
    np.testing.assert_array_equal(broadcast, 3.5)
    np.testing.assert_array_equal(up, np.where(lanes < 3, lanes, lanes - 3))
    np.testing.assert_array_equal(segments, np.where(lanes % 8 == 7, lanes, lanes + 1))
    np.testing.assert_array_equal(ballot[:16], sum(1 << lane for lane in range(0, 16, 3)))
    np.testing.assert_array_equal(ballot[16:], 1 + 2)


def test_dynamic_shared_memory(module: HostModule) -> None:
    data = np.arange(300, dtype=np.float32)
    module.launch("reversed_by_dynamic_shared", (3,), (100,), [data], shared_bytes=400)
    np.testing.assert_array_equal(data.reshape(3, 100), np.arange(300).reshape(3, 100)[:, ::-1])


def test_atomics(module: HostModule) -> None:
    total, most = np.zeros((2, 1), np.int32)
    fsum, least = np.zeros(1, np.float32), np.full(1, 99, np.uint32)
    module.launch("atomics", (4,), (100,), [total, most, fsum, least])
    assert (total[0], most[0], fsum[0], least[0]) == (sum(range(400)), max(i * 7 % 1000 for i in range(400)), 200, 5)


@pytest.mark.parametrize("block", [7, 32, 45, 64])
def test_barriers_in_a_loop(module: HostModule, block: int) -> None:
    out = np.zeros((5, block), np.int32)
    module.launch("ring", (5,), (block,), [out, np.int32(10)])
    np.testing.assert_array_equal(out, np.broadcast_to((np.arange(block) + 10) % block, out.shape))


def test_a_missing_barrier_shows(module: HostModule) -> None:
    expected = np.maximum(np.arange(64) - 1, 0)
    for with_barrier in (1, 0):
        out = np.zeros((2, 64), np.int32)
        module.launch("left_neighbour", (2,), (64,), [out, np.int32(with_barrier)])
        assert (out == expected).all() == bool(with_barrier)


def test_unwritten_shared_memory_is_garbage(module: HostModule) -> None:
    out = np.zeros(32, np.float32)
    module.launch("unwritten", (1,), (32,), [out])
    np.testing.assert_array_equal(out[:16], 1)
    assert (out[16:].view(np.uint32) == 0xCDCDCDCD).all()


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        ("early_exit", r"divergent threads: \(0, 0, 0\) waits at the barrier of line \d+, \(40, 0, 0\) has exited"),
        ("two_barriers", r"\(0, 0, 0\) waits at the barrier of line \d+, \(40, 0, 0\) waits at the barrier of line"),
        ("barrier_or_shuffle", r"waits at the warp collective of line \d+, \(3, 0, 0\) waits at the barrier of line"),
        ("foreign_mask", r"thread \(1, 0, 0\): .*mask 0x1 of a warp collective lacks its own lane"),
    ],
)
def test_divergence_is_reported(module: HostModule, kernel: str, words: str) -> None:
    with pytest.raises(KernelFault, match=words):
        module.launch(kernel, (2,), (64,), [np.zeros(64, np.int32)])
    test_barriers_in_a_loop(module, 45)  # the module still works


@pytest.mark.parametrize(
    ("offset", "words"),
    [(-1, "1 bytes before the array"), (10, "1 bytes after the array"), (1000, "991 bytes after")],
)
def test_a_write_outside_an_array_is_reported(module: HostModule, offset: int, words: str) -> None:
    with pytest.raises(KernelFault, match=f"writes_at, argument 0: a write {words}"):
        module.launch("writes_at", (1,), (1,), [np.zeros(10, np.uint8), np.int32(offset)])
    out = np.zeros(10, np.uint8)
    module.launch("writes_at", (1,), (1,), [out, np.int32(9)])
    assert out.tolist() == [0] * 9 + [1]


def test_a_misaligned_access_is_reported(module: HostModule) -> None:
    memory, out = np.arange(64, dtype=np.uint8), np.zeros(4, np.uint32)
    start = -memory.ctypes.data % 16
    module.launch("misaligned", (1,), (1,), [memory[start : start + 16], out])
    assert out.view(np.uint8).tolist() == memory[start : start + 16].tolist()
    with pytest.raises(KernelFault, match="misaligned access"):
        module.launch("misaligned", (1,), (1,), [memory[start + 4 : start + 20], out])


def test_an_index_outside_shared_memory_is_reported(module: HostModule) -> None:
    with pytest.raises(KernelFault, match="index outside its array"):
        module.launch("shared_index", (1,), (1,), [np.zeros(1, np.int32), np.int32(8)])


def test_signed_overflow_is_reported(module: HostModule) -> None:
    with pytest.raises(KernelFault, match="signed overflow in an addition"):
        module.launch("overflow", (1,), (1,), [np.zeros(1, np.int32), np.int32(2**31 - 1)])


def test_a_wild_pointer_ends_the_launch_only(module: HostModule) -> None:
    with pytest.raises(KernelFault, match=r"wild, block \(0, 0, 0\), thread \(2, 0, 0\): Segmentation fault"):
        module.launch("wild", (2,), (64,), [np.zeros(1, np.int32)])
    test_barriers_in_a_loop(module, 45)


def test_a_division_by_zero_ends_the_launch_only(module: HostModule) -> None:
    with pytest.raises(KernelFault, match="Floating point exception"):
        module.launch("divide", (1,), (1,), [np.zeros(1, np.int32), np.int32(0)])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([np.zeros(4, np.float32)], "takes 2 arguments"),
        ([np.zeros(4, np.float32), np.zeros(4, np.float64)], r"wants \*f4, got float64"),
        ([np.zeros(4, np.float32), np.float32(0)], r"wants \*f4, got float32 of float32"),
        ([np.zeros(8, np.float32)[::2], np.zeros(4, np.float32)], "not C-contiguous"),
        ([np.zeros(4, np.float32), np.broadcast_to(np.float32(0), (1,))], "read-only"),
        ([np.zeros(4, np.float32), 5], "int 5 has no fixed size"),
    ],
)
def test_arguments_that_do_not_fit(module: HostModule, args: list, words: str) -> None:
    with pytest.raises(KernelFault, match=words):
        module.launch("add_one", (1,), (4,), args)


def test_scalars_have_exact_types(module: HostModule) -> None:
    with pytest.raises(KernelFault, match="wants i4, got int64"):
        module.launch("writes_at", (1,), (1,), [np.zeros(10, np.uint8), np.int64(1)])


def test_arrays_may_be_the_same_but_not_overlap(module: HostModule) -> None:
    data = np.zeros(8, np.float32)
    module.launch("add_one", (1,), (4,), [data[:4], data[:4]])
    module.launch("add_one", (1,), (4,), [data[:4], data[4:]])
    assert data.tolist() == [1] * 4 + [2] * 4
    with pytest.raises(KernelFault, match="overlap in part"):
        module.launch("add_one", (1,), (4,), [data[:4], data[2:6]])


@pytest.mark.parametrize(("grid", "block"), [((0,), (1,)), ((1,), (1025,)), ((1, 65536), (1,)), ((1,), (32, 33))])
def test_launches_outside_the_limits(module: HostModule, grid: tuple, block: tuple) -> None:
    with pytest.raises(KernelFault, match=r"outside CUDA's limits|more than 1024 threads"):
        module.launch("where", grid, block, [np.zeros(3, np.uint32)])


def test_too_much_shared_memory(module: HostModule) -> None:
    with pytest.raises(KernelFault, match="50000 bytes of dynamic shared memory, at most 49152"):
        module.launch("reversed_by_dynamic_shared", (1,), (1,), [np.zeros(1, np.float32)], shared_bytes=50000)


def test_byte_differences(module: HostModule) -> None:
    a, b = np.random.default_rng(0).integers(0, 256, (2, 256), np.uint8)
    out = np.zeros(64, np.uint32)
    module.launch("bytes", (1,), (64,), [a.view(np.uint32), b.view(np.uint32), out])
    np.testing.assert_array_equal(out.view(np.uint8), np.abs(a.astype(int) - b))


def test_what_does_not_compile_says_why() -> None:
    need_compiler()
    with pytest.raises(KernelFault, match="no_such_name"):
        compile_text('extern "C" __global__ void broken() { no_such_name(); }')
