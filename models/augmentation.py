"""From stored clips to the input of a network, on the device where they are: crop, resize, flip, normalise, transpose.

One kernel does it all, once for each modality (``kernels.resized_crop``). What is random is drawn on the CPU, as a
function of seed, epoch and sample; so a clip comes out the same to the bit on every device and in every batch. ::

    augment = Augmentation((112, 112), formats=dataset.cache, mean=128, std=64)
    for batch in loader:
        frames = {"residual": batch["residual"].to("cuda", non_blocking=True)}
        inputs = augment(frames, batch["index"], epoch)["residual"]  # (N, 3, 16, 112, 112) float32

What the papers do:

- A, section 4.3: ``crop="random"``, from frames of 128 x 170 to 112 x 112.
- B, section 3, "random scaling and corner cropping", and Wang et al., "Temporal Segment Networks", section 3.2:
  ``crop="corners", scales=(1, 0.875, 0.75, 0.66)``.
- D, section 3.4: the same for flow, from frames of a short side of 256 to 224; for frames ``crop="random",
  aspect_jitter=0.25``.
- For testing: ``crop="center", flip=False``; or ``crop=None``, whole frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..pipeline.errors import UsageError
from .crop_boxes import CropRule, Integers, Place, flips
from .samplers import check_seed
from .tensor_crop import crop_tensor

if TYPE_CHECKING:
    from ..pipeline.cache import Cache
    from ..pipeline.cache.index_table import FrameFormat

_VECTORS = ("flow", "displacement")  # their channels are x, y, x, y, ...
_UNMIRRORED = ("cost-volume",)  # a mirror exchanges their channels
_DTYPES = ("float32", "float16")

Numbers = float | Sequence[float] | NDArray[Any]


class Augmentation:
    """Boxes of clips, resized, flipped and normalised; the same box and flip for all modalities of a clip.

    Values are ``(physical - mean) / std``. Physical values are those of ``cache.read(decode=True)``: grey levels from
    0 to 255 for ``rgb`` and ``residual``; for ``flow`` and ``displacement`` pixels of the stored frames, which a resize
    does not change. A flip changes the sign of horizontal motion: of the even channels of these two.

    Parameters
    ----------
    size
        ``(height, width)`` of the network's input.
    crop
        Where the boxes are: ``"random"``, ``"corners"`` or ``"center"``; None for whole frames. See ``CropRule``.
    scales, aspect_jitter
        How large they are; of ``size`` by default. See ``CropRule``.
    flip
        Whether half of the clips are mirrored, left to right.
    mean, std
        In physical units: a number, one for each channel, or either by modality. Numbers for 0..1, such as those of
        ImageNet, are to be multiplied by 255.
    formats
        How frames are stored: the cache, or what its ``frame_format`` gives, by modality. Without it, or for
        modalities that are not in it, stored values are taken for physical ones.
    seed
        0 to 2**64 - 1.
    dtype
        ``"float32"`` or ``"float16"``, or torch's.

    Raises
    ------
    UsageError
        If a value is none of these.
    """

    def __init__(
        self,
        size: tuple[int, int],
        *,
        crop: Place | None = "random",
        scales: Sequence[float] | None = None,
        aspect_jitter: float = 0.0,
        flip: bool = True,
        mean: Numbers | Mapping[str, Numbers] = 0.0,
        std: Numbers | Mapping[str, Numbers] = 1.0,
        formats: Cache | Mapping[str, FrameFormat] | None = None,
        seed: int = 0,
        dtype: Any = "float32",
    ) -> None:
        self.rule = CropRule(size=size, place=crop, scales=scales, aspect_jitter=aspect_jitter)  # type: ignore[arg-type]
        if not isinstance(flip, (bool, np.bool_)):
            raise UsageError(f"flip must be True or False, got {flip!r}")
        self.flip = bool(flip)
        self.mean = _by_modality("mean", mean)
        self.std = _by_modality("std", std)
        for modality, numbers in self.std.items():
            if not (numbers > 0).all():
                raise UsageError(f"std must be above 0, got {numbers.tolist()}{_of(modality)}")
        self.formats = formats
        self.seed = check_seed(seed)
        self.dtype = str(dtype).removeprefix("torch.")
        if self.dtype not in _DTYPES:
            raise UsageError(f"dtype must be float32 or float16, got {dtype!r}")

    @property
    def random(self) -> bool:
        """Whether anything is."""
        return self.flip or self.rule.random

    def __call__(
        self,
        frames: Mapping[str, Any],
        samples: Any = None,
        epochs: Any = 0,
        *,
        out: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Augment a batch.

        Parameters
        ----------
        frames
            Tensors ``(N, T, H, W, C)`` as stored, by modality: uint8, int8, float16 or float32, on the CPU (pinned,
            too) or a CUDA device, with any strides. On a GPU the work is queued on torch's current stream.
        samples
            ``(N,)`` integers: which sample of its dataset each clip is, ``batch["index"]``. Needed where anything is
            random. In memory of the CPU; a tensor on a GPU is fetched, which waits for the GPU.
        epochs
            One, or ``(N,)``.
        out
            Where to write, by modality: contiguous tensors of the result's shape and type. New ones by default.

        Returns
        -------
        dict
            ``(N, C, T, *size)`` on the device of ``frames``, by modality.

        Raises
        ------
        UsageError
            If frames are smaller than the box, shapes or types do not fit, or a modality has no mirror image.
        MissingExtraError
            If torch is not installed.
        """
        if not isinstance(frames, Mapping):
            raise UsageError(f"frames must be tensors by modality, {{'residual': ...}}, got {type(frames).__name__}")
        results = {}
        for modality, clips in frames.items():
            if getattr(clips, "ndim", 0) != 5:
                shape = f"shape {tuple(clips.shape)}" if hasattr(clips, "shape") else type(clips).__name__
                raise UsageError(f"frames of {modality} must be a tensor (N, T, H, W, C), got {shape}")
            count, _, height, width, channels = clips.shape
            boxes, flip = self.draw(samples, epochs, (height, width), count=count)
            scale, offset = self._affine(modality, channels, str(clips.dtype).removeprefix("torch."))
            results[modality] = crop_tensor(
                clips,
                boxes,
                self.rule.size,
                flip=flip,
                scale=scale,
                offset=offset,
                dtype=self.dtype,
                out=None if out is None else out.get(modality),
            )
        return results

    def draw(
        self, samples: Any, epochs: Any, frame_size: tuple[int, int], *, count: int | None = None
    ) -> tuple[Integers, NDArray[np.bool_]]:
        """Choose boxes ``(N, 4)``, as y, x, height, width, and ``(N,)`` flips.

        Parameters
        ----------
        samples, epochs
            As for a call.
        frame_size
            Height and width.
        count
            N, if that is known.
        """
        if samples is None and self.random:
            raise UsageError('what is random depends on the samples\' numbers: give samples=batch["index"]')
        numbers = np.zeros(count or 0, np.int64) if samples is None else _integers("samples", samples)
        if count is not None and numbers.shape != (count,):
            raise UsageError(f"samples must be {count} integers, one for each clip, got shape {numbers.shape}")
        when = _integers("epochs", epochs)
        if when.shape not in ((), numbers.shape):
            raise UsageError(f"epochs must be one integer or one for each clip, got shape {when.shape}")
        when = np.broadcast_to(when, numbers.shape)
        boxes = self.rule.boxes(self.seed, when, numbers, frame_size)
        return boxes, flips(self.seed, when, numbers) if self.flip else np.zeros(len(numbers), np.bool_)

    def _affine(self, modality: str, channels: int, dtype: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return factor and summand, ``(2, C)``, from what is stored to normalised values, as it is and flipped."""
        stored = self._format(modality)
        factor, summand = 1.0, 0.0
        if stored is not None and stored.scale_factor is not None and stored.add_offset is not None:
            factor, summand = stored.scale_factor, stored.add_offset
        signs = np.ones((2, channels))
        if self.flip and modality in _UNMIRRORED:
            raise UsageError(f"the channels of {modality} are displacements, which a mirror exchanges: give flip=False")
        if modality in _VECTORS:
            if stored is None and dtype.endswith("int8"):
                raise UsageError(f"{modality} is stored as {dtype}, whose zero is not 0: give formats=dataset.cache")
            signs[1, ::2] = -1
        mean, std = (_per_channel(name, self, modality, channels) for name in ("mean", "std"))
        return signs * factor / std, (signs * summand - mean) / std

    def _format(self, modality: str) -> FrameFormat | None:
        if self.formats is None:
            return None
        if isinstance(self.formats, Mapping):
            return self.formats.get(modality)
        return self.formats.frame_format(modality)


def _of(modality: str) -> str:
    return f" for {modality}" if modality else ""


def _by_modality(name: str, numbers: Any) -> dict[str, NDArray[np.float64]]:
    """Return the numbers of each modality; those of all others under an empty name."""
    given = numbers if isinstance(numbers, Mapping) else {"": numbers}
    arrays = {}
    for modality, values in given.items():
        try:
            array = np.asarray(values, np.float64)
        except (TypeError, ValueError):
            array = np.array(np.nan)
        if array.ndim > 1 or not np.isfinite(array).all():
            raise UsageError(f"{name} must be a number or one for each channel, got {values!r}{_of(modality)}")
        arrays[modality] = array
    return arrays


def _per_channel(name: str, augmentation: Augmentation, modality: str, channels: int) -> NDArray[np.float64]:
    numbers: dict[str, NDArray[np.float64]] = getattr(augmentation, name)
    found = numbers.get(modality, numbers.get(""))
    if found is None:
        raise UsageError(f"{name} is given for {', '.join(numbers)}, and there is none for {modality}: add it")
    if found.shape not in ((), (1,), (channels,)):
        raise UsageError(
            f"{name} has {len(found)} numbers, and {modality} has {channels} channels: give one or as many"
        )
    return found


def _integers(name: str, values: ArrayLike | Any) -> Integers:
    array = np.asarray(values.cpu() if hasattr(values, "cpu") else values)
    if array.dtype.kind not in "iu" or (array.size and array.min() < 0):
        raise UsageError(f"{name} must be integers from 0, got {array.dtype} {np.array2string(array, threshold=8)}")
    return array.astype(np.int64)
