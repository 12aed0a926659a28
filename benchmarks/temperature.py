"""What the temperature of displacement does on sequences whose motion is known: how its default was chosen.

End-point error of soft assignment by temperature, and of winner-take-all, on ``zncc`` patches and, where torch is
installed, on the features of a network's first layer. Without ``--features`` that layer is one of Gabor filters, as
first layers tend to become in training: 64 of 7x7, three quarters of them grey and the others of a random colour.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from middlebury import BESIDE, Sequence, read_sequences
from numpy.typing import NDArray
from report import option_parser, publish, table

from vidprep.kernels import displacement, zncc_features
from vidprep.kernels.displacement import DEFAULT_TEMPERATURE
from vidprep.kernels.features import DEFAULT_PATCH
from vidprep.pipeline.first_layer import FirstLayer

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]

TEMPERATURES = sorted({0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, DEFAULT_TEMPERATURE})
_FILTERS, _SIDE = 64, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """How displacement is used: on frames of one ``scale``-th of their size, within a radius.

    ``features`` describes a pixel of a sequence's frames, and ``name`` says how.
    """

    name: str
    features: Callable[[Sequence], Pair]
    scale: int
    radius: int

    def __str__(self) -> str:
        size = f"1/{self.scale} size" if self.scale > 1 else "full size"
        return f"{size}, {self.name}, radius {self.radius}"


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help=f"NAME/frame10.png, frame11.png, flow10.flo [{BESIDE}]")
    parser.add_argument("--features", metavar="conv1:FILE", help="a trained network's first layer [Gabor filters]")
    options = parser.parse_args()
    if options.folder is None and not BESIDE.is_dir():
        print(f"no sequences in {BESIDE}: give a folder of the Middlebury set", file=sys.stderr)
        return
    sequences = list(read_sequences(options.folder or BESIDE))[: 1 if options.quick else None]
    still = ", ".join(
        f"{statistics.mean(s.end_point_error(np.zeros_like(s.flow)) for s in reduced):.2f} at {name}"
        for name, reduced in (("1/4 size", [s.reduced(4) for s in sequences]), ("full size", sequences))
    )
    body = [
        f"End-point error in pixels of the size that is matched, mean over {', '.join(s.name for s in sequences)}; if "
        f"nothing moved it would be {still}. The last column: what the default, {DEFAULT_TEMPERATURE}, costs beside "
        "the best temperature.",
        "",
    ]
    # A quarter of the size is what extraction works on: there, most of the motion stays within small windows.
    for title, matchings in (
        ("Patches, zncc", _of_patches()),
        ("A network's first layer, conv1", _of_layer(options.features) if find_spec("torch") else []),
    ):
        if matchings:
            rows = [_row(matching, sequences) for matching in matchings[: 1 if options.quick else None]]
            body += [f"## {title}\n", table(["", *map(str, TEMPERATURES), "wta", "default"], rows), ""]
    publish("temperature", "End-point error of displacement by temperature", "\n".join(body), write=options.write)


def _of_patches() -> list[Matching]:
    return [
        Matching(name=f"patch {patch}", features=lambda s, patch=patch: _patches(s, patch), scale=scale, radius=radius)
        for scale, patches, radii in ((4, (5, 7, 9), (2, 4, 7)), (1, (DEFAULT_PATCH,), (4, 7, 15)))
        for patch in patches
        for radius in radii
    ]


def _of_layer(features: str | None) -> list[Matching]:
    if features is None:
        name, layer = "Gabor", gabor_layer()
    else:
        from vidprep.pipeline.layer_file import read_layer_file

        file, layer = read_layer_file(features)
        name = Path(file.file).name
    return [
        Matching(name=name, features=lambda s: _convolved(s, layer), scale=scale, radius=radius)
        for scale, radii in ((4, (2, 4, 7)), (1, (4, 7)))
        for radius in radii
    ]


def _row(matching: Matching, sequences: list[Sequence]) -> list[str]:
    reduced = [s.reduced(matching.scale) if matching.scale > 1 else s for s in sequences]
    features = [matching.features(s) for s in reduced]
    choices: list[dict[str, Any]] = [{"temperature": temperature} for temperature in TEMPERATURES]
    errors = [
        statistics.mean(
            s.end_point_error(displacement(*pair, matching.radius, **choice)[0])
            for s, pair in zip(reduced, features, strict=True)
        )
        for choice in [*choices, {"assignment": "wta"}]
    ]
    default, least = errors[TEMPERATURES.index(DEFAULT_TEMPERATURE)], min(errors[:-1])
    return [str(matching), *(f"{error:.3f}" for error in errors), f"{default / least - 1:.1%}"]


def _patches(sequence: Sequence, patch: int) -> Pair:
    features: NDArray[np.float32] = zncc_features(np.stack([sequence.frame0, sequence.frame1])[..., None], patch)
    return features[:1], features[1:]


def _convolved(sequence: Sequence, layer: FirstLayer) -> Pair:
    from vidprep.pipeline.conv_features import conv_features

    features: NDArray[np.float32] = conv_features(np.stack([sequence.colours0, sequence.colours1]), layer)
    return features[:1], features[1:]


def gabor_layer(seed: int = 0) -> FirstLayer:
    """Return a layer of random Gabor filters of unit length, most of them grey, some of a random colour."""
    rng = np.random.default_rng(seed)
    axis = np.arange(_SIDE) - _SIDE // 2
    weight = np.empty((_FILTERS, 3, _SIDE, _SIDE))
    for number in range(_FILTERS):
        angle, phase, wavelength = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi), rng.uniform(3, 10)
        along = axis * np.cos(angle) + axis[:, None] * np.sin(angle)
        wave = np.cos(2 * np.pi / wavelength * along + phase)
        wave *= np.exp(-(axis**2 + axis[:, None] ** 2) / (2 * rng.uniform(1.2, 2.5) ** 2))
        colour = np.ones(3) + rng.normal(0, 0.1, 3) if number % 4 else rng.normal(0, 1, 3)
        weight[number] = colour[:, None, None] * wave
        weight[number] /= np.linalg.norm(weight[number])
    return FirstLayer(weight=weight.astype(np.float32), bias=rng.normal(0, 0.1, _FILTERS).astype(np.float32))


if __name__ == "__main__":
    main()
