"""Accuracy of motion estimates on sequences whose motion is known, and how long a pair takes, beside peers.

End-point error and angular error for both presets of ``tvl1_flow``, for ``displacement`` on ``zncc_features``, and
for OpenCV's ``DualTVL1`` (opencv-contrib-python) and scikit-image's ``optical_flow_tvl1`` with their defaults, where
they are installed. All get the same gray frames and the same cores.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from middlebury import BESIDE, Sequence, read_sequences
from numpy.typing import NDArray
from report import cores, option_parser, publish, table

from vidprep.kernels import displacement, tvl1_flow, zncc_features
from vidprep.kernels.displacement import DEFAULT_TEMPERATURE
from vidprep.kernels.features import DEFAULT_PATCH

Estimate = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]

OURS = ("tvl1_flow fast", "tvl1_flow accurate")
RADII = (4, 7, 15)
TEMPERATURES = sorted({0.01, DEFAULT_TEMPERATURE, 0.05})


def our_estimates() -> Iterator[tuple[str, Estimate]]:
    """Presets of TV-L1."""
    for name in OURS:
        yield name, partial(_tvl1, preset=name.split()[1])


def peer_estimates() -> Iterator[tuple[str, Estimate]]:
    """TV-L1 of others, with their defaults."""
    if find_spec("cv2"):
        import cv2

        cv2.setNumThreads(cores())
        if hasattr(cv2, "optflow"):  # only in the builds named contrib
            yield "OpenCV DualTVL1", partial(_opencv, cv2.optflow.DualTVL1OpticalFlow_create())
    if find_spec("skimage"):
        yield "scikit-image tvl1", _skimage


def displacement_estimates() -> Iterator[tuple[str, Estimate]]:
    """Displacement by radius, and by temperature or winner-take-all."""
    for radius in RADII:
        for temperature in TEMPERATURES:
            name = f"displacement, radius {radius}, temperature {temperature}"
            yield name, partial(_displacement, radius=radius, temperature=temperature)
        yield f"displacement, radius {radius}, wta", partial(_displacement, radius=radius, assignment="wta")


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help=f"NAME/frame10.png, frame11.png, flow10.flo [{BESIDE}]")
    parser.add_argument("--rounds", type=int, help="rounds of the timing, of which the median is shown [5; quick: 1]")
    options = parser.parse_args()
    if options.folder is None and not BESIDE.is_dir():
        print(f"no sequences in {BESIDE}: give a folder of the Middlebury set", file=sys.stderr)
        return
    sequences = list(read_sequences(options.folder or BESIDE))
    if options.quick:
        sequences = sequences[:1]
    flows, others = [*our_estimates(), *peer_estimates()], list(displacement_estimates())
    estimates = {name: [_estimate(find, s) for s in sequences] for name, find in [*flows, *others]}
    names = [s.name for s in sequences]
    body = []
    for title, error, form in (
        ("End-point error, pixels", Sequence.end_point_error, ".3f"),
        ("Angular error, degrees", Sequence.angular_error, ".2f"),
    ):
        rows = [
            [name, *(format(error(s, flow), form) for s, flow in zip(sequences, found, strict=True))]
            for name, found in estimates.items()
        ]
        body += [f"## {title}\n", table(["", *names], rows), ""]
    body += [f"Displacement compares patches of {DEFAULT_PATCH}x{DEFAULT_PATCH} pixels at every pixel.\n"]
    largest = max(sequences, key=lambda s: s.frame0.size)
    body += _timing(flows, largest, options.rounds or (1 if options.quick else 5))
    publish("flow_accuracy", "Motion estimates beside the truth and beside peers", "\n".join(body), write=options.write)


def _timing(flows: list[tuple[str, Estimate]], sequence: Sequence, rounds: int) -> list[str]:
    """Time one pair; contenders take turns, and ratios are taken within a round."""
    times: dict[str, list[float]] = {name: [] for name, _ in flows}
    for i in range(rounds):
        for name, find in flows[i % len(flows) :] + flows[: i % len(flows)]:
            begin = time.perf_counter()
            _estimate(find, sequence)
            times[name].append(time.perf_counter() - begin)
    rows = [
        [
            name,
            f"{statistics.median(taken) * 1e3:,.0f} ({min(taken) * 1e3:,.0f} to {max(taken) * 1e3:,.0f})",
            *(
                f"{statistics.median(mine / theirs for mine, theirs in zip(taken, times[ours], strict=True)):,.1f}"
                for ours in OURS
            ),
        ]
        for name, taken in times.items()
    ]
    height, width = sequence.frame0.shape
    size = f"{width}x{height}"
    return [
        "## Time of one pair\n",
        f"{sequence.name}, {size}, {cores()} cores: median (least to most) of {rounds} rounds, and the median "
        "ratio within a round. scikit-image's is NumPy, which uses one core.\n",
        table(["", "ms", *(f"times {name.split()[1]}" for name in OURS)], rows),
    ]


def _estimate(find: Estimate, sequence: Sequence) -> NDArray[np.float32]:
    return find(sequence.frame0, sequence.frame1)


def _tvl1(frame0: NDArray[np.uint8], frame1: NDArray[np.uint8], preset: str) -> NDArray[np.float32]:
    flow: NDArray[np.float32] = tvl1_flow(frame0[None], frame1[None], preset)[0]
    return flow


def _opencv(method: Any, frame0: NDArray[np.uint8], frame1: NDArray[np.uint8]) -> NDArray[np.float32]:
    flow: NDArray[np.float32] = method.calc(frame0, frame1, None)
    return flow


def _skimage(frame0: NDArray[np.uint8], frame1: NDArray[np.uint8]) -> NDArray[np.float32]:
    from skimage.registration import optical_flow_tvl1

    rows, columns = optical_flow_tvl1(frame0, frame1)  # converts to 0..1 by itself
    return np.stack([columns, rows], axis=-1).astype(np.float32)


def _displacement(frame0: NDArray[np.uint8], frame1: NDArray[np.uint8], **options: Any) -> NDArray[np.float32]:
    features = zncc_features(np.stack([frame0, frame1])[..., None])
    found: NDArray[np.float32] = displacement(features[:1], features[1:], **options)[0]
    return found


if __name__ == "__main__":
    main()
