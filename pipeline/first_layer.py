"""The first layer of a trained network, found by its names in the network's state, for features of colour frames."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_EPSILON = 1e-5  # of torch.nn.BatchNorm2d, unless somebody changed it
_COLOURS = 3
_NAMED = 3


class UnsuitableError(ValueError):
    """A state has no first layer for colour frames; the message is a clause that says why."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FirstLayer:
    """``max(0, convolution of (colours / 255 - mean) / std, with weight, plus bias)``.

    Parameters
    ----------
    weight
        ``(channels, 3, height, width)`` float32, times what batch normalisation scales by.
    bias
        ``(channels,)`` float32, with what batch normalisation adds.
    mean, std
        Of the colours, red, green and blue, 0 to 1.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        assert self.weight.ndim == 4
        assert self.weight.shape[1] == _COLOURS
        assert self.bias.shape == self.weight.shape[:1]

    @property
    def channels(self) -> int:
        """How many features a pixel gets."""
        return len(self.bias)


def find_first_layer(state: Mapping[str, Any]) -> FirstLayer:
    """Find the first layer in the state of a network, under any prefix such as ``module.``.

    It is the outermost ``conv1.weight`` or ``conv1.0.weight``, as in torchvision's ResNets, or else the only
    two-dimensional convolution of three channels. Its ``bias`` and the batch normalisation that belongs to it (``bn1``,
    or the next of a sequence) count if they are there. So does a ``mean`` with a ``std`` of the colours; ImageNet's
    otherwise.

    Parameters
    ----------
    state
        Name to tensor.

    Raises
    ------
    UnsuitableError
        If there is no such layer, or it does not fit.
    """
    name = _name_of_weight(state)
    stem = name.removesuffix(".weight")
    weight = _numbers(state, name)
    channels = len(weight)
    bias = np.zeros(channels) if f"{stem}.bias" not in state else _numbers(state, f"{stem}.bias", channels)
    scale, shift = _normalisation(state, stem, channels)
    mean, std = _colours(state, stem)
    return FirstLayer(
        weight=np.ascontiguousarray(weight * scale[:, None, None, None], np.float32),
        bias=(bias * scale + shift).astype(np.float32),
        mean=mean,
        std=std,
    )


def _name_of_weight(state: Mapping[str, Any]) -> str:
    convolutions = [name for name, tensor in state.items() if name.endswith("weight") and tensor.ndim == 4]
    of_colours = [name for name in convolutions if state[name].shape[1] == _COLOURS]
    named = [name for name in convolutions if re.search(r"(^|\.)conv1(\.0)?\.weight$", name)]
    if named:
        depth = min(name.count(".") - name.endswith(".0.weight") for name in named)
        outermost = [name for name in named if name.count(".") - name.endswith(".0.weight") == depth]
        fitting = [name for name in outermost if name in of_colours] or outermost
        if len(fitting) == 1:
            channels = state[fitting[0]].shape[1]
            if channels != _COLOURS:
                raise UnsuitableError(f"its {fitting[0]} takes {channels} channels, and frames have {_COLOURS}")
            return fitting[0]
        raise UnsuitableError(f"it has several first layers ({_listed(fitting)})")
    if len(of_colours) == 1:
        return of_colours[0]
    if of_colours:
        raise UnsuitableError(f"it has no conv1.weight, but several others of 3 channels ({_listed(of_colours)})")
    raise UnsuitableError("it has no conv1.weight of shape (channels, 3, height, width)")


def _normalisation(state: Mapping[str, Any], stem: str, channels: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return what batch normalisation multiplies by and then adds."""
    prefix, _, last = stem.rpartition(".")
    if last.isdecimal():
        norm = f"{prefix}.{int(last) + 1}" if prefix else str(int(last) + 1)
        there = f"{norm}.running_mean" in state
        outer, _, conv = prefix.rpartition(".")
        if not there and last == "0" and conv == "conv1":  # a sequence of one, beside its normalisation
            norm = f"{outer}.bn1" if outer else "bn1"
    else:
        norm = ".".join(filter(None, (prefix, last.replace("conv", "bn")))) if "conv" in last else ""
    if not norm or not any(f"{norm}.{part}" in state for part in ("running_mean", "running_var")):
        if norm and re.search(r"bn\d*$", norm) and f"{norm}.weight" in state:
            raise UnsuitableError(f"its {norm} has no running_mean and running_var")
        return np.ones(channels), np.zeros(channels)
    mean, variance = (_numbers(state, f"{norm}.{part}", channels) for part in ("running_mean", "running_var"))
    if (variance < 0).any():
        raise UnsuitableError(f"its {norm}.running_var has negative numbers")
    gain, offset = (
        _numbers(state, f"{norm}.{part}", channels) if f"{norm}.{part}" in state else usual
        for part, usual in (("weight", np.ones(channels)), ("bias", np.zeros(channels)))
    )
    scale = gain / np.sqrt(variance + _EPSILON)
    return scale, offset - mean * scale


def _colours(state: Mapping[str, Any], stem: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of the colours: those beside the layer or outermost, or ImageNet's."""
    parts = stem.split(".")[:-1]
    for depth in range(len(parts), -1, -1):
        names = [".".join([*parts[:depth], name]) for name in ("mean", "std")]
        if not any(name in state for name in names):
            continue
        mean, std = (_numbers(state, name).ravel() for name in names)
        if mean.size != _COLOURS or std.size != _COLOURS:
            raise UnsuitableError(f"its mean and std have {mean.size} and {std.size} numbers instead of 3")
        if (mean < 0).any() or (mean > 1).any() or (std <= 0).any():
            raise UnsuitableError("its mean and std are not those of colours from 0 to 1")
        return tuple(mean.tolist()), tuple(std.tolist())
    return IMAGENET_MEAN, IMAGENET_STD


def _numbers(state: Mapping[str, Any], name: str, count: int | None = None) -> NDArray[np.float64]:
    """Return a tensor of the state as finite numbers; with ``count``, as many."""
    if name not in state:
        raise UnsuitableError(f"it has no {name}")
    tensor = state[name]
    plain = tensor.is_floating_point() and not (tensor.is_sparse or tensor.is_quantized or tensor.is_meta)
    if not plain or tensor.numel() == 0:
        raise UnsuitableError(f"its {name} is no plain array of floating point numbers")
    if count is not None and tuple(tensor.shape) != (count,):
        raise UnsuitableError(f"its {name} has shape {tuple(tensor.shape)} instead of ({count},)")
    numbers: NDArray[np.float64] = tensor.detach().double().numpy()
    if not np.isfinite(numbers).all():
        raise UnsuitableError(f"its {name} has numbers that are not finite")
    return numbers


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
