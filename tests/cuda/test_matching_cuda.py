"""What the CUDA side of cost volume, displacement and warping adds to the equations: tiles, slabs, types, alignment."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executors import Run, executor
from references import cost_volume_reference
from tolerances import assert_matches_reference, atol
from vidprep.kernels import cost_volume, displacement, warp, warped_difference
from vidprep.kernels.cuda.catalogue import SPECIALISATIONS
from vidprep.kernels.cuda.matching import tiling


@pytest.fixture(params=["host", "cuda"], scope="module")
def run_cuda(request: pytest.FixtureRequest) -> Run:
    return executor(request.param)


def random_arrays(count: int, shape: tuple[int, ...], dtype: type, seed: int = 0) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).standard_normal((count, *shape)).astype(dtype))


@settings(max_examples=200)
@given(
    shape=st.tuples(st.integers(1, 300), st.integers(1, 2000), st.integers(1, 2000), st.integers(1, 600)),
    radius=st.tuples(st.integers(0, 15), st.integers(0, 15)),
)
def test_every_tile_fits_a_block_and_its_shared_memory(shape: tuple[int, ...], radius: tuple[int, int]) -> None:
    tiles = tiling(shape, radius)  # asserts that threads and shared memory suffice
    assert 1 <= tiles.rows <= shape[1]
    assert any(row["COLUMNS"] == str(tiles.columns) for row in SPECIALISATIONS["displacement"])
    assert tiles.columns == 8 or 2 * radius[1] + 1 <= tiles.columns  # blocks of others do not begin at 16 bytes
    assert tiles.stride % 8 == 4
    assert tiles.first_plane % 32 == tiles.second_plane % 32 == 4
    assert (tiles.slab + 1) * 4 * (tiles.first_plane + tiles.second_plane) <= tiles.shared_bytes


def test_tiles_are_smaller_where_there_are_few() -> None:
    assert tiling((64, 112, 112, 64), (4, 4)).rows == 28
    assert tiling((1, 112, 112, 64), (4, 4)).rows < 28


# Slabs of 4, 8 and 16 channels, whole and in part, in fours and one by one.
@pytest.mark.parametrize("channels", [1, 4, 6, 8, 12, 17, 36])
@pytest.mark.parametrize("radius", [(1, 2), (3, 3), (4, 4), (2, 8), (15, 15)])  # every COLUMNS, one block and several
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_slabs_of_channels(run_cuda: Run, dtype: type, radius: tuple[int, int], channels: int) -> None:
    first, second = random_arrays(2, (2, 5, 9, channels), dtype)
    similarities = run_cuda(cost_volume, first, second, radius)
    tolerance = atol("cost_volume", np.float32)
    np.testing.assert_allclose(similarities, cost_volume(first, second, radius), rtol=0, atol=2 * tolerance)
    found = run_cuda(displacement, first, second, radius, 0.1)
    tolerance = atol("displacement", np.float32)
    np.testing.assert_allclose(found, displacement(first, second, radius, 0.1), rtol=0, atol=2 * tolerance)


@pytest.mark.parametrize("offset", [1, 2, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_features_that_begin_anywhere_in_memory(run_cuda: Run, dtype: type, offset: int) -> None:
    shape = (1, 6, 9, 8)
    first, second = random_arrays(2, (offset + 6 * 9 * 8,), dtype)
    flow = random_arrays(1, (1, 6, 9, 2), np.float32)[0]

    def of_views(function: object, a: np.ndarray, b: np.ndarray, *args: object) -> np.ndarray:
        return function(a[offset:].reshape(shape), b[offset:].reshape(shape), *args)  # type: ignore[operator]

    for function, arguments in ((cost_volume, (1,)), (displacement, (1, 0.1)), (warped_difference, (flow,))):
        result = run_cuda(lambda *args, f=function: of_views(f, *args), first, second, *arguments)
        np.testing.assert_allclose(result, of_views(function, first, second, *arguments), rtol=0, atol=1e-5)


def test_one_type_of_each(run_cuda: Run) -> None:
    first, second = random_arrays(2, (1, 4, 6, 4), np.float32)
    half = first.astype(np.float16)
    expected = cost_volume_reference(half, second, (1, 1))
    assert_matches_reference("cost_volume", run_cuda(cost_volume, half, second, 1), expected)
    flow = random_arrays(1, (4, 6, 2), np.float32)[0]
    expected = warped_difference(half[0].astype(np.float32), second[0], flow)
    np.testing.assert_allclose(run_cuda(warped_difference, half[0], second[0], flow), expected, atol=2e-6)


@pytest.mark.parametrize("channels", [1, 4])
def test_every_half_is_read_as_it_is(run_cuda: Run, channels: int) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    numbers = halves[np.isfinite(halves)].reshape(62, -1, channels)  # with subnormal numbers and both zeros
    still = np.zeros((*numbers.shape[:2], 2), np.float32)
    np.testing.assert_array_equal(run_cuda(warp, numbers, still), numbers.astype(np.float32))
    for damage in (np.inf, -np.inf, np.nan):
        numbers[61, -1, -1] = damage
        with pytest.raises(ValueError, match="features must be finite"):
            run_cuda(warp, numbers, still)
        with pytest.raises(ValueError, match="features1 must be finite"):
            run_cuda(cost_volume, np.ones((1, 3, 4, channels), np.float16), numbers[None, -3:, -4:], 1)


def test_a_temperature_without_end_is_the_mean_of_the_window(run_cuda: Run) -> None:
    first, second = random_arrays(2, (1, 5, 9, 4), np.float32)
    np.testing.assert_allclose(run_cuda(displacement, first, second, (2, 8), 1e300), 0, atol=1e-5)


def test_a_grid_smaller_than_the_images(run_cuda: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidprep.kernels.cuda.warp._MAX_GRID_Y", 2)
    features, flow = random_arrays(1, (3, 7, 9, 5), np.float32)[0], random_arrays(1, (3, 7, 9, 2), np.float32)[0]
    np.testing.assert_allclose(run_cuda(warp, features, flow), warp(features, flow), atol=2e-6)


@pytest.mark.parametrize("name", ["cost_volume", "displacement"])
@pytest.mark.parametrize(("columns", "reads"), [(5, 5), (8, 6), (9, 6)])
def test_a_channel_takes_few_reads_of_shared_memory(name: str, columns: int, reads: int) -> None:
    pytest.importorskip("cuda.bindings")
    from cuda_host.nvrtc import compile_cubin
    from vidprep.kernels.cuda.loader import source_text

    ptx = compile_cubin(source_text(name, {"SAMPLE": "float", "COLUMNS": str(columns)}), 80).ptx
    loops = [block for block in re.split(r"\n\$L__BB", ptx) if block.count("fma.rn.f32") == 8 * columns]
    assert len(loops) == 1
    assert loops[0].count("ld.shared.v4.f32") == reads
