"""The file of ``--features conv1:FILE``: what a cache remembers of it, and how it is read."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import CacheError, MissingExtraError, UsageError
from .first_layer import FirstLayer, UnsuitableError, find_first_layer
from .option_names import option

PREFIX = "conv1:"
_WITHIN = ("state_dict", "model", "model_state_dict")  # where training scripts put the state of the network
_ADVICE = "give a file that torch.save(model.state_dict(), FILE) wrote of a network with conv1, such as a ResNet"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFile:
    """What decides features of a trained network: the content of its file, wherever that lies.

    Parameters
    ----------
    file
        Its absolute path when the extraction began; no part of what the cache is known by.
    sha256
        Of its bytes.
    channels
        Features of a pixel.
    """

    file: str
    sha256: str
    channels: int

    def __str__(self) -> str:
        return f"{PREFIX}{self.file} (SHA-256 {self.sha256[:12]})"


def read_layer_file(features: str, devices: Sequence[str] = ("cpu",)) -> tuple[LayerFile, FirstLayer]:
    """Read ``conv1:FILE``, a checkpoint of torch.

    Parameters
    ----------
    features
        With the prefix, as the user wrote it.
    devices
        Where the layer is to run.

    Raises
    ------
    UsageError
        If there is no such file, it is no checkpoint, or has no first layer for colour frames.
    MissingExtraError
        If torch is not installed, or has no CUDA where that is needed.
    """
    name = features.removeprefix(PREFIX)
    if not name:
        raise UsageError(f"{option('features')} {PREFIX} names no file: {_ADVICE}, as {PREFIX}FILE, or take zncc")
    path = Path(os.path.abspath(os.path.expanduser(name)))
    try:
        if path.exists() and not path.is_file():
            raise OSError("it is not a file")  # a pipe or a device could be read for ever
        data = path.read_bytes()
        str(path).encode()  # a cache names it
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        file = f"the file of {option('features')} {features!r}"
        raise UsageError(f"{file} cannot be read ({reason}): {_ADVICE}, or zncc") from None
    _require_torch(devices)
    try:
        layer = find_first_layer(_state(data))
    except UnsuitableError as error:
        raise UsageError(f"{option('features')} cannot be computed with {path}, {error}: {_ADVICE}") from None
    return LayerFile(file=str(path), sha256=hashlib.sha256(data).hexdigest(), channels=layer.channels), layer


def read_layer_again(known: LayerFile, devices: Sequence[str] = ("cpu",)) -> FirstLayer:
    """Read the file that a cache was begun with.

    Raises
    ------
    CacheError
        If it is gone or has changed.
    MissingExtraError
        As ``read_layer_file``.
    """
    remedy = "bring it back, or run the `vidprep extract` that made this cache again with --features and its new place"
    if not Path(known.file).is_file():
        raise CacheError(f"the features of this cache need {known.file}, which is gone: {remedy}")
    try:
        found, layer = read_layer_file(PREFIX + known.file, devices)
    except UsageError as error:
        raise CacheError(f"the features of this cache need {known.file} as it was: {error}") from None
    if found.sha256 != known.sha256:
        raise CacheError(
            f"the features of this cache need {known.file}, which has changed (its SHA-256 is {found.sha256[:12]}..., "
            f"it was {known.sha256[:12]}...): {remedy}"
        )
    return layer


def _require_torch(devices: Sequence[str]) -> None:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(
            'features conv1 need torch, which is not installed: pip install "vidprep[train]", or take --features zncc'
        ) from error
    if any(device != "cpu" for device in devices) and not torch.cuda.is_available():
        raise MissingExtraError(
            f"features conv1 on a GPU need torch with CUDA, and torch {torch.__version__} sees no GPU: install torch "
            "for this machine's CUDA (https://pytorch.org/get-started/locally), or use --device cpu"
        )


def _state(data: bytes) -> dict[str, Any]:
    """Return the tensors of a checkpoint by name. Nothing but plain data is unpickled: no code of the file runs."""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript archives, which are refused below
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # what is no checkpoint raises whatever its bytes lead to
        raise UnsuitableError(f"which is no checkpoint of plain tensors ({type(error).__name__})") from error
    for key in _WITHIN:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = {**_tensors(content), **content[key]}
            break
    tensors = _tensors(content) if isinstance(content, Mapping) else {}
    if not tensors:
        raise UnsuitableError("which holds no tensors by name")
    return tensors


def _tensors(content: Mapping[Any, Any]) -> dict[str, Any]:
    import torch

    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, torch.Tensor)}
