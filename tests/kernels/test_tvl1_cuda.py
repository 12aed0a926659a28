"""TV-L1 on the GPU: each of its kernels, and the whole, against the CPU's, to the bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tvl1_layout import planes_of_vectors, vectors_of

from executors import Run
from tvl1_iterations import iterate
from vidprep.kernels import tvl1_flow, tvl1_flow_of_clip
from vidprep.kernels.cpu.tvl1_median import median_filter
from vidprep.kernels.cpu.tvl1_planes import num_floats, pixels, planes_in
from vidprep.kernels.cpu.tvl1_pyramid import build_pyramid, flow_tables, level_planes, upsample_flow
from vidprep.kernels.cpu.tvl1_solver import FLOW_PLANES, N1, STATE_PLANES
from vidprep.kernels.cpu.tvl1_warp import linearise
from vidprep.kernels.cuda import tvl1
from vidprep.kernels.cuda.loader import load, require_cupy
from vidprep.kernels.tvl1_tables import level_sizes

SHAPES = [(1, 1), (1, 7), (9, 1), (5, 16), (33, 31), (64, 64), (65, 30), (20, 131)]
THETA, RATE = 0.3, 0.25 / 0.3
UNTOUCHED = -12345.0


def texture(height: int, width: int, shift: float = 0.0) -> np.ndarray:
    """Waves that move by ``shift`` to the right and half of it upwards."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    x, y = x - shift, y + shift / 2
    return (127 + 50 * np.sin(x / 3) + 40 * np.cos(y / 2.5) + 30 * np.sin((x + y) / 5)).astype(np.float32)


def launch(source: str, kernel: str, size: tuple[int, int], count: int, *args: Any, **defines: str) -> None:
    """Launch a kernel that has a thread for each pixel."""
    grid = -(-size[1] // 32), -(-size[0] // 8), count
    typed = tuple(np.int32(arg) if isinstance(arg, int) else arg for arg in args)
    load(source, defines).get_function(kernel)(grid, (256,), typed)


def iterations(
    flow: Any, data: Any, depths: tuple[int, ...], limit: float = -1.0, status: tuple[int, ...] | None = None
) -> Any:
    """Iterate from p = 0; return u, p and the status of the pairs as one ``(pairs, H, W, 7)`` array."""
    cupy = require_cupy()
    count, *size = flow.shape[:3]
    flows = [flow, cupy.asarray(np.full(flow.shape, UNTOUCHED, np.float32))]
    duals = [cupy.zeros((count, *size, 4), np.float32), cupy.asarray(np.full(data.shape, UNTOUCHED, np.float32))]
    statuses = cupy.asarray(np.array(status or [0] * count, np.int32))
    kernel = load("tvl1_iterate", {}).get_function("iterate")
    for i, depth in enumerate(depths):
        down, across = tvl1._tiles((size[0], size[1]), depth)
        partial, arrived = cupy.empty(count * down * across, np.float64), cupy.zeros(count, np.uint32)
        end = np.float64(limit if i + 1 == len(depths) else -1)
        kernel(
            (across, down, count), (512,),
            (*flows, *duals, data, *map(np.int32, (*size, depth)), np.float32(THETA), np.float32(RATE), end,
             *map(np.int32, (5, 7, 2)), statuses, partial, arrived),
        )  # fmt: skip
        assert not arrived.get().any()
        flows.reverse()
        duals.reverse()
    result = np.empty((count, *size, 7), np.float32)
    result[..., :2], result[..., 2:6], result[..., 6] = (x.get() for x in (flows[0], duals[0], statuses[:, None, None]))
    return cupy.asarray(result)


def data_term(rng: np.random.Generator, *shape: int) -> np.ndarray:
    angle, rho = rng.uniform(0, 2 * np.pi, shape), rng.normal(0, 2, shape)
    data = np.stack([np.cos(angle), np.sin(angle), rho, rng.uniform(0, 1, shape)], axis=-1).astype(np.float32)
    data[rng.random(shape) < 0.1] = 0  # flat
    return data


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("depths", [(1,), (4, 3)])
def test_iterations_equal_the_cpus(run_cuda: Run, size: tuple[int, int], depths: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    data, flow = data_term(rng, 2, *size), rng.normal(0, 1, (2, *size, 2)).astype(np.float32)
    flow[1] = 0  # long stretches without a gradient
    expected, changes = np.empty((2, *size, 6), np.float32), []
    for i in range(2):
        u = planes_of_vectors(flow[i])
        state = planes_in(np.zeros(num_floats(*size, STATE_PLANES), np.float32), *size, STATE_PLANES)
        pixels(state, *size)[:, N1:] = data[i].transpose(0, 2, 1)
        changes.append(iterate(u, state, size, THETA, RATE, sum(depths)))
        expected[i, ..., :2], expected[i, ..., 2:] = vectors_of(u, size), vectors_of(state[:, :N1], size)
    for factor in (1 + 1e-5, 1 - 1e-5):  # the change of the first pair is at the limit
        limit = changes[0] * math.prod(size) * factor
        result = run_cuda(lambda u, d: iterations(u, d, depths, limit), flow, data)  # noqa: B023
        np.testing.assert_array_equal(result[..., :6], expected)
        for i in range(2):
            assert (result[i, ..., 6] == (4 * 7 + 2 if changes[i] <= changes[0] * factor else 0)).all()


def test_pairs_that_have_converged_rest(run_cuda: Run) -> None:
    rng = np.random.default_rng(1)
    data, flow = data_term(rng, 4, 9, 70), rng.normal(0, 1, (4, 9, 70, 2)).astype(np.float32)
    # Pairs join in round 5; this is round 7.
    status = (4 * 4 + 3, 4 * 5, 4 * 6 + 1, 4 * 7)
    result = run_cuda(lambda u, d: iterations(u, d, (2,), status=status), flow, data)
    for i, rests in enumerate((False, True, True, False)):
        assert (result[i, ..., :6] == UNTOUCHED).all() == rests
    np.testing.assert_array_equal(result[:, 0, 0, 6], status)


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("median_size", [3, 5])
def test_medians_equal_the_cpus(run_cuda: Run, size: tuple[int, int], median_size: int) -> None:
    flow = np.random.default_rng(2).normal(size=(3, *size, 2)).astype(np.float32)
    expected = np.full_like(flow, UNTOUCHED)
    for i in (0, 2):
        out = np.zeros_like(planes_of_vectors(flow[i]))
        median_filter(planes_of_vectors(flow[i]), out, *size, median_size, 0, size[0])
        expected[i] = vectors_of(out, size)

    def medians(flow: Any, out: Any, status: Any) -> Any:
        launch("tvl1_median", "median_filter", size, 3, flow, out, *size, 1, 2, status, SIZE=str(median_size))
        return out

    resting = np.array([0, 4, 0], np.int32)  # since round 1, and this is round 2
    np.testing.assert_array_equal(run_cuda(medians, flow, np.full_like(flow, UNTOUCHED), resting), expected)


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("reach", [0.0, 0.7, 30.0])
def test_data_terms_equal_the_cpus(run_cuda: Run, size: tuple[int, int], reach: float) -> None:
    rng = np.random.default_rng(3)
    images = rng.uniform(0, 255, (5, *size)).astype(np.float32)
    flow = rng.uniform(-reach, reach, (3, *size, 2)).astype(np.float32)
    expected = np.empty((3, *size, 4), np.float32)
    for i in range(3):
        state = planes_in(np.zeros(num_floats(*size, STATE_PLANES), np.float32), *size, STATE_PLANES)
        image0, image1 = (planes_of_vectors(images[j][..., None]) for j in (i + 1, i + 2))
        linearise(image0, image1, planes_of_vectors(flow[i]), state, *size, np.float32(0.06), 0, size[0])
        expected[i] = vectors_of(state[:, N1:], size)

    def term(images: Any, flow: Any, status: Any) -> Any:
        cupy = require_cupy()
        duals = [cupy.zeros((3, *size, 4), np.float32) for _ in range(2)]
        out = cupy.empty((3, *size, 4), np.float32)
        args = (images, 1, 1, flow, cupy.zeros(flow.shape, np.float32), *duals, out, *size, np.float32(0.06), 1, 0)
        launch("tvl1_linearise", "linearise", size, 3, *args, status)
        return out

    np.testing.assert_array_equal(run_cuda(term, images, flow, np.zeros(3, np.int32)), expected)


def test_pairs_that_were_left_behind_are_fetched(run_cuda: Run) -> None:
    rng = np.random.default_rng(4)
    flows, duals = (rng.normal(size=(2, 4, 6, 7, count)).astype(np.float32) for count in (2, 4))
    places = (0, 1, 2, 3)  # flow in buffer place // 2, dual vectors in buffer place % 2

    def joined(flow0: Any, flow1: Any, dual0: Any, dual1: Any, images: Any, status: Any) -> Any:
        data = require_cupy().empty(dual0.shape, np.float32)
        args = (images, 0, 1, flow0, flow1, dual0, dual1, data, 6, 7, np.float32(0.06), 3, 2)
        launch("tvl1_linearise", "linearise", (6, 7), 4, *args, status)
        return require_cupy().asarray(np.concatenate([flow1.get(), dual0.get()], axis=-1))

    images = np.zeros((5, 6, 7), np.float32)
    status = np.array([4 * 3 + place for place in places], np.int32)
    result = run_cuda(joined, *flows, *duals, images, status)  # the others are at place 2
    for i, place in enumerate(places):
        np.testing.assert_array_equal(result[i, ..., :2], flows[place // 2, i])
        np.testing.assert_array_equal(result[i, ..., 2:], duals[place % 2, i])
    result = run_cuda(joined, *flows, *duals, images, status - 4)  # converged before they took part: not any more
    np.testing.assert_array_equal(result, np.concatenate([flows[1], duals[0]], axis=-1))


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (40, 33)])
@pytest.mark.parametrize(("scale_factor", "sigma"), [(0.5, 0.0), (0.65, 0.5), (0.8, 2.0)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pyramids_equal_the_cpus(
    run_cuda: Run, size: tuple[int, int], scale_factor: float, sigma: float, dtype: type
) -> None:
    frames = np.random.default_rng(5).uniform(0, 255, (5, *size)).astype(dtype)
    sizes = level_sizes(*size, 3, scale_factor)
    expected = [level_planes(build_pyramid(frame, sizes, scale_factor, sigma), sizes) for frame in frames]
    for level, level_size in enumerate(sizes):
        result = run_cuda(
            lambda a, b: tvl1.build_pyramids((a, b), sizes, scale_factor, sigma)[level],  # noqa: B023
            frames[:2], frames[2:],
        )  # fmt: skip
        for i in range(5):
            np.testing.assert_array_equal(result[i], vectors_of(expected[i][level], level_size)[..., 0])


@pytest.mark.parametrize(("size", "finer"), [((1, 7), (1, 10)), ((16, 20), (23, 31)), ((20, 16), (40, 33))])
def test_upsampling_equals_the_cpus(run_cuda: Run, size: tuple[int, int], finer: tuple[int, int]) -> None:
    flow = np.random.default_rng(6).normal(size=(2, *size, 2)).astype(np.float32)
    expected = []
    for vectors in flow:
        out = planes_in(np.zeros(num_floats(*finer, FLOW_PLANES), np.float32), *finer, FLOW_PLANES)
        upsample_flow(planes_of_vectors(vectors), out, *size, *finer, flow_tables((finer, size)), 0, 0, finer[0])
        expected.append(vectors_of(out, finer))

    def upsampled(flow0: Any, flow1: Any, status: Any) -> Any:
        out = require_cupy().empty((2, *finer, 2), np.float32)
        taps = tvl1._taps(tvl1._device(), (*size, *finer), None)
        gains = np.float32(finer[1] / size[1]), np.float32(finer[0] / size[0])
        args = (flow0, flow1, out, *size, *finer, *taps, *gains, 1, 0, status)
        launch("tvl1_resample", "upsample_flow", finer, 2, *args, SAMPLE="float")
        return out

    flow0, flow1 = np.full_like(flow, UNTOUCHED), np.full_like(flow, UNTOUCHED)
    flow0[0], flow1[1] = flow[0], flow[1]  # the second pair converged in round 1 and was left behind
    np.testing.assert_array_equal(run_cuda(upsampled, flow0, flow1, np.array([0, 4 + 2], np.int32)), expected)


MOTIONS = (0.0, 0.05, 0.6, 3.0)  # some converge earlier than others


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"max_iterations": 6, "inner_iterations": 3, "epsilon": 0.03, "median_size": 1},
        {"max_iterations": 9, "inner_iterations": 3, "epsilon": 0.03, "median_size": 1, "presmoothing_sigma": 0.0},
        {"max_iterations": 8, "inner_iterations": 2, "epsilon": 0.03, "median_size": 5, "num_warps": 4},
        {"max_iterations": 7, "inner_iterations": 2, "epsilon": 0.0, "scale_factor": 0.8},
        {"max_iterations": 40, "inner_iterations": 20, "num_warps": 2, "num_scales": 2},
    ],
)
@pytest.mark.parametrize("size", [(30, 37), (26, 70)])
def test_flow_equals_the_cpus(run_cuda: Run, size: tuple[int, int], chosen: dict[str, Any]) -> None:
    frames0 = np.stack([texture(*size)] * len(MOTIONS))
    frames1 = np.stack([texture(*size, motion) for motion in MOTIONS])
    expected = tvl1_flow(frames0, frames1, **chosen)
    np.testing.assert_array_equal(run_cuda(lambda a, b: tvl1_flow(a, b, **chosen), frames0, frames1), expected)


def test_accurate_flow_equals_the_cpus(run_cuda: Run) -> None:
    frames = np.stack([texture(25, 28), texture(25, 28, 1.5)])
    expected = tvl1_flow(frames[:1], frames[1:], "accurate")
    result = run_cuda(lambda a, b: tvl1_flow(a, b, "accurate"), frames[:1], frames[1:])
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("step", [1, 2])
def test_a_clip_in_batches_equals_the_cpus(run_cuda: Run, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = np.stack([texture(24, 40, 0.3 * t * t) for t in range(8)]).astype(np.uint8)[:, ::-1, ::2]
    monkeypatch.setattr(tvl1, "_MAX_PIXELS", 3 * 24 * 20)
    result = run_cuda(lambda x: tvl1_flow_of_clip(x[:, ::-1, ::2], step), clip[:, ::-1].repeat(2, axis=2))
    np.testing.assert_array_equal(result, tvl1_flow_of_clip(clip, step))


@pytest.mark.parametrize("size", SHAPES)
def test_any_size_without_motion(run_cuda: Run, size: tuple[int, int]) -> None:
    frames = np.random.default_rng(7).integers(0, 256, (2, *size)).astype(np.uint8)
    flow = run_cuda(tvl1_flow, frames, frames)
    assert flow.shape == (2, *size, 2)
    assert not flow.any()


def test_launches_do_not_grow_with_pairs(run_cuda: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    launches: list[str] = []
    original = tvl1.Solver._launch

    def counted(self: tvl1.Solver, kernel: str, *args: Any, **kwargs: Any) -> None:
        launches.append(kernel)
        original(self, kernel, *args, **kwargs)

    monkeypatch.setattr(tvl1.Solver, "_launch", counted)
    frames = np.stack([texture(20, 20, t) for t in range(6)])
    run_cuda(tvl1_flow_of_clip, frames[:2])
    once = launches.copy()
    launches.clear()
    run_cuda(tvl1_flow_of_clip, frames)
    assert launches == once == [*["linearise", *["iterate", "median_filter"] * 2] * 3, "collect_flow"]


@pytest.mark.parametrize(
    "size", [(1, 1), (64, 64), (65, 64), (64, 65), (112, 112), (100, 97), (480, 640), (1080, 1920)]
)
@pytest.mark.parametrize("count", [1, 3, 8, 10, 33])
def test_tiles_leave_no_gap(size: tuple[int, int], count: int) -> None:
    depths = tvl1.launch_depths(size, count)
    assert sum(depths) == count
    for depth in depths:
        for side, tiles in zip(size, tvl1._tiles(size, depth), strict=True):
            core = 64 - 2 * depth
            assert tiles == 1 or core > 0
            assert side <= 64 if tiles == 1 else (tiles - 1) * core + 64 >= side > (tiles - 2) * core + 64
        assert math.prod(tvl1._tiles(size, depth)) <= math.prod(tvl1._tiles(size, tvl1._MAX_DEPTH))
