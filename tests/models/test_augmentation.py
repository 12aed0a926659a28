"""Augmentation of tensors: the kernel's numbers, decoded and normalised, the same for every batch; flow in a mirror."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from cuda_host.cupy_standin import cupy_on_the_cpu, ndarray
from executors import need_compiler, need_gpu
from tolerances import atol
from vidprep.kernels import resized_crop, warp
from vidprep.models import Augmentation, tensor_crop
from vidprep.pipeline.cache.index_table import FrameFormat
from vidprep.pipeline.errors import UsageError

torch = pytest.importorskip("torch")

FLOW = FrameFormat(dtype=np.dtype(np.uint8), channels=2, scale_factor=20 / 127, add_offset=-128 * 20 / 127)
GREY = FrameFormat(dtype=np.dtype(np.uint8), channels=3, scale_factor=None, add_offset=None)


def clips(shape: tuple[int, ...], dtype: type = np.uint8, seed: int = 0) -> Any:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 120, shape).astype(dtype))


def decoded(stored: Any, stored_as: FrameFormat) -> np.ndarray:
    return stored.numpy().astype(np.float64) * stored_as.scale_factor + stored_as.add_offset


RULES: dict[str, dict[str, Any]] = {
    "random": {},
    "random, jitter": {"aspect_jitter": 0.25},
    "corners, scales": {"crop": "corners", "scales": (1, 0.875, 0.75, 0.66)},
    "centre": {"crop": "center", "flip": False},
    "whole": {"crop": None},
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_is_the_kernel_in_the_boxes_drawn(rule: dict[str, Any]) -> None:
    frames = clips((5, 4, 24, 33, 3))
    augment = Augmentation((16, 16), mean=(100, 110, 120), std=(50, 60, 70), seed=7, **rule)
    result = augment({"residual": frames}, np.arange(5), 3)["residual"]
    boxes, flip = augment.draw(np.arange(5), 3, (24, 33))
    mean, std = np.array([100, 110, 120]), np.array([50, 60, 70])
    expected = resized_crop(frames.numpy(), boxes, (16, 16), flip=flip, scale=1 / std, offset=-mean / std)
    assert result.dtype == torch.float32
    assert result.shape == (5, 3, 4, 16, 16)
    np.testing.assert_array_equal(result.numpy(), expected)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_the_same_numbers_however_batches_are_divided(rule: dict[str, Any]) -> None:
    frames, numbers = clips((6, 2, 24, 33, 3)), np.array([5, 900, 2, 7, 31, 4])
    epochs = np.array([0, 1, 0, 0, 2, 1])
    augment = Augmentation((16, 16), seed=1, **rule)
    whole = augment({"rgb": frames}, torch.from_numpy(numbers), torch.from_numpy(epochs))["rgb"]
    again = Augmentation((16, 16), seed=1, **rule)
    for i in reversed(range(6)):
        alone = again({"rgb": frames[i : i + 1]}, numbers[i : i + 1], int(epochs[i]))["rgb"]
        assert torch.equal(alone[0], whole[i])
    if augment.random:
        assert not torch.equal(Augmentation((16, 16), seed=2, **rule)({"rgb": frames}, numbers, epochs)["rgb"], whole)


def test_all_modalities_of_a_clip_share_box_and_flip() -> None:
    frames = clips((8, 2, 24, 33, 3))
    formats = {"rgb": GREY, "residual": GREY}
    results = Augmentation((16, 16), formats=formats)({"rgb": frames, "residual": frames}, np.arange(8))
    assert torch.equal(results["rgb"], results["residual"])


def test_flow_is_decoded_and_a_flip_turns_its_horizontal_part() -> None:
    stored = clips((16, 3, 20, 20, 2))
    augment = Augmentation((20, 20), crop=None, formats={"flow": FLOW}, mean={"flow": (1, -1)}, std=4)
    result = augment({"flow": stored}, np.arange(16))["flow"].numpy()
    _, flip = augment.draw(np.arange(16), 0, (20, 20))
    assert 0 < flip.sum() < 16
    pixels = np.moveaxis(decoded(stored, FLOW), -1, 1)
    pixels[flip] = pixels[flip, ..., ::-1] * np.array([-1, 1]).reshape(1, 2, 1, 1, 1)
    expected = (pixels - np.array([1, -1]).reshape(1, 2, 1, 1, 1)) / 4
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_stacks_of_flow_turn_their_even_channels() -> None:
    stored = clips((16, 1, 12, 12, 20))
    augment = Augmentation((12, 12), crop=None, formats={"flow": FLOW})
    stacks = augment({"flow": stored}, np.arange(16))["flow"]
    for k in range(10):
        pair = augment({"flow": stored[..., 2 * k : 2 * k + 2]}, np.arange(16))["flow"]
        assert torch.equal(stacks[:, 2 * k : 2 * k + 2], pair)


def test_displacement_turns_and_frames_do_not() -> None:
    stored = clips((16, 2, 9, 9, 2), np.float16)
    augment = Augmentation((9, 9), crop=None)
    _, flip = augment.draw(np.arange(16), 0, (9, 9))
    results = augment({"displacement": stored, "warped-difference": stored}, np.arange(16))
    displacement, difference = results["displacement"], results["warped-difference"]
    assert torch.equal(displacement[:, 1], difference[:, 1])
    signs = torch.from_numpy(np.where(flip, -1.0, 1.0).astype(np.float32)).reshape(-1, 1, 1, 1)
    assert torch.equal(displacement[:, 0], signs * difference[:, 0])


def test_flow_of_a_mirrored_pair_is_the_mirrored_flow() -> None:
    motion = np.float32((3, -2))
    texture = np.random.default_rng(0).integers(0, 256, (60, 70, 3)).astype(np.uint8)
    frames = np.stack([texture[10:50, 10:60], texture[12:52, 7:57]])  # the second is the first, moved by `motion`
    flow = np.rint((motion - FLOW.add_offset) / FLOW.scale_factor).astype(np.uint8)
    flow_clip = np.broadcast_to(flow, (1, 40, 50, 2))
    augment = Augmentation((40, 50), crop=None, formats={"flow": FLOW})
    samples = np.arange(16)
    batch = {"rgb": np.tile(frames[None], (16, 1, 1, 1, 1)), "flow": np.tile(flow_clip[None], (16, 1, 1, 1, 1))}
    result = augment({name: torch.from_numpy(array) for name, array in batch.items()}, samples)
    for n, flipped in enumerate(augment.draw(samples, 0, (40, 50))[1]):
        first, second = (np.moveaxis(result["rgb"][n, :, t].numpy(), 0, -1).copy() for t in (0, 1))
        vectors = np.moveaxis(result["flow"][n, :, 0].numpy(), 0, -1)
        np.testing.assert_allclose(vectors[0, 0], (-3 if flipped else 3, -2), atol=0.1)
        back = warp(second, np.rint(vectors).copy())
        np.testing.assert_array_equal(back[5:-5, 5:-5], first[5:-5, 5:-5])


@pytest.mark.parametrize("size", [(24, 33), (12, 40), (31, 17), (70, 90)])
def test_whole_frames_are_resized_as_by_torch(size: tuple[int, int]) -> None:
    frames = clips((2, 3, 24, 33, 3))
    result = Augmentation(size, crop=None, flip=False)({"rgb": frames})["rgb"]
    pictures = frames.flatten(0, 1).permute(0, 3, 1, 2).double()
    expected = torch.nn.functional.interpolate(pictures, size, mode="bilinear").unflatten(0, (2, 3)).transpose(1, 2)
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=atol("resized_crop", np.float32))


def test_half_precision() -> None:
    frames = clips((3, 2, 24, 33, 3))
    single = Augmentation((16, 16), mean=100, std=50)({"rgb": frames}, np.arange(3))["rgb"]
    for name in ("float16", torch.float16):
        half = Augmentation((16, 16), mean=100, std=50, dtype=name)({"rgb": frames}, np.arange(3))["rgb"]
        assert half.dtype == torch.float16
        assert torch.equal(half, single.half())


def test_any_strides_and_gradients() -> None:
    frames = clips((3, 4, 24, 33, 3))
    augment = Augmentation((16, 16), flip=False)
    for view in (
        frames[:, ::2],
        frames[:, :, 2:, 3:],
        frames.permute(0, 1, 3, 2, 4),
        frames[:1].expand(3, 4, 24, 33, 3),
    ):
        result = augment({"rgb": view}, np.arange(3))["rgb"]
        assert torch.equal(result, augment({"rgb": view.contiguous()}, np.arange(3))["rgb"])
    wanted = frames.float().requires_grad_()
    assert not augment({"rgb": wanted}, np.arange(3))["rgb"].requires_grad


def test_writes_where_it_is_told() -> None:
    frames = clips((3, 4, 24, 33, 3))
    augment = Augmentation((16, 16))
    out = torch.full((3, 3, 4, 16, 16), 7.0)
    result = augment({"rgb": frames}, np.arange(3), out={"rgb": out})["rgb"]
    assert result is out
    assert torch.equal(out, augment({"rgb": frames}, np.arange(3))["rgb"])


def test_nothing_random_needs_no_samples() -> None:
    frames = clips((2, 1, 20, 20, 3))
    result = Augmentation((8, 10), crop="center", flip=False)({"rgb": frames})["rgb"]
    np.testing.assert_array_equal(result[:, :, 0].numpy(), np.moveaxis(frames.numpy()[:, 0, 6:14, 5:15], -1, 1))


def test_the_cache_says_how_frames_are_stored(make_clips: Any) -> None:
    cache = make_clips({"a": 9}, modalities=("flow", "rgb"))
    stored = cache.read("a", "flow", 0, 4)
    augment = Augmentation((12, 16), crop=None, flip=False, formats=cache)
    result = augment({"flow": torch.from_numpy(stored[None].copy())})["flow"]
    expected = np.moveaxis(cache.read("a", "flow", 0, 4, decode=True), -1, 0)[None]
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-5)


FRAMES = {"rgb": clips((2, 1, 20, 20, 3))}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"std": 0}, "std must be above 0, got 0.0"),
        ({"std": {"flow": (1, -1)}}, r"std must be above 0, got \[1.0, -1.0\] for flow"),
        ({"std": "one"}, "std must be a number or one for each channel, got 'one'"),
        ({"mean": float("nan")}, "mean must be a number or one for each channel, got nan"),
        ({"mean": [[1, 2]]}, r"got \[\[1, 2\]\]"),
        ({"dtype": "float64"}, "dtype must be float32 or float16, got 'float64'"),
        ({"crop": "middle"}, "crop must be one of"),
        ({"scales": (2,)}, "scales must be numbers above 0"),
        ({"flip": "no"}, "flip must be True or False, got 'no'"),
        ({"seed": -1}, "seed must be 0 to"),
        ({"seed": 0.5}, "seed must be 0 to"),
    ],
)
def test_refuses_bad_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Augmentation((16, 16), **options)


@pytest.mark.parametrize(
    ("options", "frames", "arguments", "words"),
    [
        ({}, FRAMES, (), 'what is random depends on the samples\' numbers: give samples=batch\\["index"\\]'),
        ({}, FRAMES, ([1],), r"samples must be 2 integers, one for each clip, got shape \(1,\)"),
        ({}, FRAMES, ([1, -1],), r"samples must be integers from 0, got int64 \[ 1 -1\]"),
        ({}, FRAMES, ([0.5, 1],), "samples must be integers from 0, got float64"),
        ({}, FRAMES, ([1, 2], [1, 2, 3]), r"epochs must be one integer or one for each clip, got shape \(3,\)"),
        ({}, FRAMES["rgb"], ([1, 2],), r"frames must be tensors by modality, .* got Tensor"),
        ({}, {"rgb": FRAMES["rgb"][0]}, ([1],), r"frames of rgb must be a tensor .*, got shape \(1, 20, 20, 3\)"),
        ({}, {"rgb": [1]}, ([1],), "frames of rgb must be a tensor .*, got list"),
        ({}, {"rgb": FRAMES["rgb"].numpy()}, ([1, 2],), "frames must be a tensor, got ndarray: torch.from_numpy"),
        ({}, {"rgb": FRAMES["rgb"].int()}, ([1, 2],), "frames must be uint8, .* as caches store them, got int32"),
        ({}, {"rgb": FRAMES["rgb"].bfloat16()}, ([1, 2],), "got bfloat16"),
        ({}, {"rgb": FRAMES["rgb"].to("meta")}, ([1, 2],), "frames must be on the CPU or a CUDA device, got meta"),
        ({}, {"flow": FRAMES["rgb"][..., :2]}, ([1, 2],), "flow is stored as uint8, whose zero is not 0: give formats"),
        ({}, {"cost-volume": FRAMES["rgb"]}, ([1, 2],), "which a mirror exchanges: give flip=False"),
        ({"mean": (1, 2)}, FRAMES, ([1, 2],), "mean has 2 numbers, and rgb has 3 channels: give one or as many"),
        ({"std": {"flow": 1}}, FRAMES, ([1, 2],), "std is given for flow, and there is none for rgb: add it"),
    ],
)  # fmt: skip
def test_refuses_bad_batches(options: dict[str, Any], frames: Any, arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        Augmentation((16, 16), **options)(frames, *arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "out",
    [torch.zeros(2, 3, 1, 16, 15), torch.zeros(2, 3, 1, 16, 16).half(), torch.zeros(2, 3, 1, 16, 32)[..., ::2]],
    ids=["shape", "type", "strides"],
)
def test_refuses_an_output_that_does_not_fit(out: Any) -> None:
    with pytest.raises(UsageError, match=r"out must be a contiguous \(2, 3, 1, 16, 16\) float32 tensor on cpu, got"):
        Augmentation((16, 16))(FRAMES, [1, 2], out={"rgb": out})


def test_a_gpu_gives_the_same_numbers() -> None:
    need_gpu()
    if not torch.cuda.is_available():
        pytest.skip("torch has no CUDA")
    frames = {"rgb": clips((5, 4, 24, 33, 3)), "flow": clips((5, 4, 24, 33, 2))}
    for rule in RULES.values():
        augment = Augmentation((16, 16), mean=100, std=50, formats={"flow": FLOW}, **rule)
        expected = augment(frames, np.arange(5))
        with torch.cuda.stream(torch.cuda.Stream()):
            on_gpu = augment({name: tensor.cuda() for name, tensor in frames.items()}, np.arange(5))
            for name, tensor in on_gpu.items():
                assert torch.equal(tensor.cpu(), expected[name])


@pytest.mark.parametrize("pointer", [0, 4711])
def test_the_gpu_path_runs_on_the_stream_of_torch(monkeypatch: pytest.MonkeyPatch, pointer: int) -> None:
    """The path of CUDA tensors with CuPy's stand-in, on tensors of the CPU."""
    need_compiler()
    entered: list[int] = []

    class Stream:
        def __init__(self, address: int) -> None:
            self.cuda_stream = address

        def __enter__(self) -> None:
            entered.append(self.cuda_stream)

        def __exit__(self, *_: object) -> None:
            pass

    @contextmanager
    def cupy_with_tensors() -> Iterator[None]:
        with cupy_on_the_cpu() as cupy, monkeypatch.context() as patch:
            patch.setattr(cupy, "from_dlpack", lambda tensor: tensor.numpy().view(ndarray), raising=False)
            patch.setattr(cupy.cuda, "ExternalStream", Stream, raising=False)
            patch.setattr(cupy.cuda.Stream, "null", Stream(0), raising=False)
            patch.setattr(torch.cuda, "current_stream", lambda device: Stream(pointer))
            yield

    frames = clips((2, 3, 20, 24, 3)).permute(0, 1, 3, 2, 4)
    boxes, flip = np.array([[0, 0, 24, 20], [3, 1, 16, 15]]), np.array([True, False])
    arguments = {"flip": flip, "scale": np.ones((2, 3)), "offset": np.zeros((2, 3)), "dtype": "float32"}
    out = torch.zeros(2, 3, 3, 16, 15)
    with cupy_with_tensors():
        tensor_crop._crop_on_gpu(frames, boxes, (16, 15), arguments, out)
    assert entered == [pointer]
    np.testing.assert_array_equal(out.numpy(), resized_crop(frames.numpy(), boxes, (16, 15), **arguments))
