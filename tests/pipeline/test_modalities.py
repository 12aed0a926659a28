"""What each modality computes and declares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cuda_host.cupy_standin import cupy_on_the_cpu
from executors import need_compiler
from media import moving_texture
from references import residual_reference
from vidprep.kernels import cost_volume, displacement, tvl1_flow, warped_difference, zncc_features
from vidprep.pipeline import motion_frames as motion_frames_module
from vidprep.pipeline.errors import UsageError
from vidprep.pipeline.first_layer import FirstLayer
from vidprep.pipeline.layer_file import LayerFile
from vidprep.pipeline.modalities import MAX_FLOW, MODALITIES, get_modality
from vidprep.pipeline.motion import MotionOptions
from vidprep.pipeline.motion_frames import MotionFrames

FRAMES = moving_texture(9, (20, 26), velocity=(1.0, -2.0))


def motion_frames(names: str, step: int = 1, frames: NDArray[np.uint8] = FRAMES, **options: Any) -> MotionFrames:
    return MotionFrames(frames, step, MotionOptions(**options).for_modalities(names.split()))


def items_of(name: str, frames: MotionFrames, start: int = 0, stop: int | None = None) -> NDArray[Any]:
    modality, stored = get_modality(name), get_modality(name).stored(frames.options)
    stop = len(frames.frames) - modality.halo(frames.step) if stop is None else stop
    out = np.full((stop - start, *frames.frames.shape[1:3], stored.channels), 77, stored.dtype)
    modality.compute(frames, start, stop, out)
    return out


def physical(name: str, frames: MotionFrames) -> NDArray[np.float32]:
    """As ``Cache.read(..., decode=True)`` computes it."""
    stored = get_modality(name).stored(frames.options)
    values = items_of(name, frames).astype(np.float32)
    return values * np.float32(stored.scale_factor or 1) + np.float32(stored.add_offset or 0)


@pytest.mark.parametrize("name", MODALITIES)
@pytest.mark.parametrize("step", [1, 3])
def test_items_do_not_depend_on_where_the_frames_begin_and_end(name: str, step: int) -> None:
    assert get_modality(name).name == name
    whole = items_of(name, motion_frames(name, step))
    assert whole.any()
    halo = get_modality(name).halo(step)
    part = motion_frames(name, step, FRAMES[2 : 6 + halo])
    np.testing.assert_array_equal(items_of(name, part), whole[2:6])
    np.testing.assert_array_equal(items_of(name, part, 1, 3), whole[3:5])


def test_rgb_is_the_frames() -> None:
    np.testing.assert_array_equal(items_of("rgb", motion_frames("rgb", 5)), FRAMES)
    assert get_modality("rgb").halo(5) == 0


@pytest.mark.parametrize("step", [1, 4])
def test_residual_is_the_absolute_difference(step: int) -> None:
    np.testing.assert_array_equal(
        items_of("residual", motion_frames("residual", step)), residual_reference(FRAMES, step)
    )


def test_grey_is_exact() -> None:
    wanted = (FRAMES.astype(np.float64) * [77, 150, 29]).sum(axis=3) / 256
    grey = motion_frames("flow").grey()
    assert grey.dtype == np.float32
    np.testing.assert_array_equal(grey, wanted)


@pytest.mark.parametrize("preset", ["fast", "accurate"])
def test_flow_is_the_kernels(preset: str) -> None:
    frames = motion_frames("flow", 2, flow_preset=preset, flow_dtype="float16")
    grey = frames.grey()
    wanted = tvl1_flow(grey[:-2], grey[2:], preset)
    np.testing.assert_array_equal(items_of("flow", frames), wanted.astype(np.float16))
    quantised = motion_frames("flow", 2, flow_preset=preset)
    assert abs(wanted).max() > 2
    np.testing.assert_allclose(physical("flow", quantised), wanted.clip(-20, 20), atol=MAX_FLOW / 127 / 2 * 1.001)


def test_quantised_flow_is_clipped_and_zero_is_exactly_zero() -> None:
    frames = motion_frames("flow")
    lengths = np.array([-1e4, -20.1, -20, -0.05, 0, 0.05, 20, 20.1, 300], np.float32)
    frames._flow = np.broadcast_to(lengths[:, None, None, None], (9, 20, 26, 2))
    frames.frames = FRAMES[:1].repeat(10, axis=0)
    np.testing.assert_array_equal(items_of("flow", frames)[:, 0, 0, 0], [1, 1, 1, 128, 128, 128, 255, 255, 255])
    decoded = physical("flow", frames)[:, 0, 0, 0]
    assert decoded[4] == 0
    np.testing.assert_allclose(decoded, [-20, -20, -20, 0, 0, 0, 20, 20, 20], atol=1e-5)


@pytest.mark.parametrize("name", ["flow", "displacement", "warped-difference"])
def test_nothing_moves_in_a_still_picture(name: str) -> None:
    still = motion_frames(name, 1, FRAMES[:1].repeat(3, axis=0), **({"assignment": "wta"} if name != "flow" else {}))
    assert not physical(name, still).any()


@pytest.mark.parametrize("options", [{}, {"radius": (2, 3), "temperature": 0.5}, {"assignment": "wta"}])
def test_displacement_is_the_kernels(options: dict[str, Any]) -> None:
    features = zncc_features(FRAMES)
    given = {"radius": 4, **options}
    wanted = displacement(features[:-1], features[1:], **given).astype(np.float16)
    np.testing.assert_array_equal(items_of("displacement", motion_frames("displacement", **options)), wanted)


def test_cost_volume_is_the_kernels_row_by_row() -> None:
    features = zncc_features(FRAMES)
    wanted = cost_volume(features[:-1], features[1:], (1, 3)).reshape(8, 20, 26, 3 * 7)
    items = items_of("cost-volume", motion_frames("cost-volume", radius=(1, 3)))
    np.testing.assert_array_equal(items, wanted.astype(np.float16))


@pytest.mark.parametrize("name", ["displacement", "cost-volume"])
@pytest.mark.parametrize("step", [1, 3])
def test_features_of_a_few_frames_at_a_time(name: str, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames so large that the features of all of them would not fit."""
    whole = items_of(name, motion_frames(name, step))
    for num_frames in (0, 3, 7):
        monkeypatch.setattr("vidprep.pipeline.motion_frames._FEATURE_BYTES", num_frames * 20 * 26 * 81 * 4)
        np.testing.assert_array_equal(items_of(name, motion_frames(name, step)), whole)


@pytest.mark.parametrize("name", ["displacement", "cost-volume"])
def test_large_frames_give_signs_of_life_between_items(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidprep.pipeline.motion_frames._FEATURE_BYTES", 0)
    signs: list[str] = []
    options = MotionOptions().for_modalities([name])
    items_of(name, MotionFrames(FRAMES, 1, options, on_features=lambda: signs.append("alive")))
    assert len(signs) == 8


@pytest.mark.parametrize("name", ["displacement", "cost-volume", "warped-difference"])
def test_what_is_on_a_gpu_stays_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way by CUDA sources, run on the CPU: an array that came to the host would be refused."""
    need_compiler()
    options = {"difference_dtype": "float16"} if name == "warped-difference" else {}
    wanted = items_of(name, motion_frames(name, **options))
    monkeypatch.setattr("vidprep.pipeline.motion_frames._FEATURE_BYTES", 0)  # the harness wants arrays side by side
    with cupy_on_the_cpu() as cupy:
        frames = motion_frames(name, frames=cupy.asarray(FRAMES), **options)
        out = cupy.empty(wanted.shape, wanted.dtype)
        get_modality(name).compute(frames, 0, len(wanted), out)
        assert isinstance(frames.features(0)[0], cupy.ndarray)
        np.testing.assert_allclose(out.get().astype(np.float32), wanted.astype(np.float32), rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("warp_by", ["displacement", "flow"])
def test_warped_difference_is_that_of_the_colours(warp_by: str) -> None:
    frames = motion_frames("warped-difference", warp_by=warp_by, difference_dtype="float16")
    motion = getattr(frames, warp_by)()
    first, second = FRAMES[:-1].astype(np.float32), FRAMES[1:].astype(np.float32)
    wanted = warped_difference(first, second, motion)
    np.testing.assert_array_equal(items_of("warped-difference", frames), wanted.astype(np.float16))
    quantised = physical("warped-difference", motion_frames("warped-difference", warp_by=warp_by))
    np.testing.assert_allclose(quantised, wanted, atol=255 / 127 / 2 * 1.001)
    inside = np.abs(wanted[:, 6:-6, 6:-6])
    assert inside.mean() < np.abs(second - first)[:, 6:-6, 6:-6].mean() / 2


def test_differences_of_all_sizes_can_be_stored() -> None:
    black_and_white = np.zeros((3, 4, 4, 3), np.uint8)
    black_and_white[1] = 255
    decoded = physical("warped-difference", motion_frames("warped-difference", 1, black_and_white))
    np.testing.assert_allclose(decoded[:, 0, 0, 0], [255, -255], rtol=1e-6)


def test_differences_of_features_stay_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = FirstLayer(weight=np.ones((1, 3, 1, 1), np.float32), bias=np.zeros(1, np.float32))
    known = LayerFile(file="net.pt", sha256="0", channels=1)
    options = MotionOptions(features=known, radius=1).for_modalities(["warped-difference"])
    monkeypatch.setattr(motion_frames_module, "conv_features", lambda x, _: 1e6 * x[..., :1].astype(np.float32))
    frames = np.array([0, 1, 0], np.uint8)[:, None, None, None].repeat(3, axis=3)
    items = items_of("warped-difference", MotionFrames(frames, 1, options, layer))
    np.testing.assert_array_equal(items.ravel(), [65504, -65504])


def test_what_several_modalities_need_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    for name in ("tvl1_flow_of_clip", "displacement", "zncc_features"):
        kernel = getattr(__import__("vidprep.kernels", fromlist=[name]), name)

        def counted(*arguments: Any, name: str = name, kernel: Any = kernel, **options: Any) -> Any:
            calls.append(name)
            return kernel(*arguments, **options)

        monkeypatch.setattr(f"vidprep.pipeline.motion_frames.{name}", counted)
    names = "flow displacement cost-volume warped-difference"
    frames = motion_frames(names)
    for name in names.split():
        for start in range(0, 8, 2):
            items_of(name, frames, start, start + 2)
    assert sorted(calls) == ["displacement", "tvl1_flow_of_clip", "zncc_features"]


def test_an_unknown_one_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match="there is no modality 'optical-flow': choose from rgb, residual, flow, "):
        get_modality("optical-flow")
