"""Time a kernel beside its peers and its floor, on the CPU and on a GPU."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
from kernel_cases.case import OURS, Case

from vidprep.kernels.cpu._threads import set_num_threads

_PATIENCE = 1.0  # seconds that a contender may take over all rounds, unless one needs more
_GPU_CALLS = 20
_PAUSE = 0.01  # seconds until the threads of other libraries have gone to sleep after a call
# In a process of its own: OpenBLAS's threads go on spinning after a product, on the cores of whatever comes next.
_PRODUCT = """
import time
import numpy as np
a, b = np.random.default_rng(0).standard_normal((2, 2048, 2048), np.float32)
out, best = np.empty_like(a), 1e9
for _ in range(4):
    start = time.perf_counter()
    np.matmul(a, b, out=out)
    best = min(best, time.perf_counter() - start)
print(2 * 2048**3 / best)
"""


_rates: dict[str, list[float]] = {}  # of matrix products, operations a second, by where they were made


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table.

    Parameters
    ----------
    label, count, num_ops
        Of the case.
    where
        ``1`` or more threads, or ``GPU``.
    seconds
        Of each round, by column.
    copying
        Least seconds of a copy that reads and writes ``num_bytes`` together.
    """

    label: str
    count: int
    num_ops: int
    where: str
    seconds: dict[str, list[float]]
    copying: float

    @property
    def computing(self) -> float:
        """Seconds for ``num_ops`` at the best rate of a float32 matrix product that this run has seen."""
        return self.num_ops / max(_rates[self.where]) if self.num_ops else 0.0

    def with_more(self, other: Row) -> Row:
        """Return the row with what was measured of it at another time."""
        assert (other.label, other.where) == (self.label, self.where)
        seconds = {name: [*values, *other.seconds[name]] for name, values in self.seconds.items()}
        return replace(self, seconds=seconds, copying=min(self.copying, other.copying))

    @property
    def floor(self) -> float:
        """The larger of both floors, seconds."""
        return max(self.copying, self.computing)


def cpu_row(case: Case, threads: int, rounds: int, *, peers: bool) -> Row:
    """Time a case on the CPU; contenders take turns. Without ``peers`` vidprep runs alone."""
    _set_threads(threads)
    if case.num_ops:
        _rates.setdefault(str(threads), []).append(product_rate(threads))
    calls = case.cpu if peers else {name: call for name, call in case.cpu.items() if name.startswith(OURS)}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    limits = {name: _rounds_within_patience(_seconds(call), rounds) for name, call in calls.items()}
    copy = _copy(case.num_bytes, threads)
    copies = [_seconds(copy)]
    names = list(calls)
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            if i < limits[name]:
                seconds[name].append(_seconds(calls[name]))
                if threads > 1 and not name.startswith(OURS):
                    time.sleep(_PAUSE)
                    copy()  # wakes the cores
        copies.append(_seconds(copy))
    return _row(case, str(threads), seconds, min(copies[1:]))


def _row(case: Case, where: str, seconds: dict[str, list[float]], copying: float) -> Row:
    """Leave the case's arrays behind."""
    return Row(label=case.label, count=case.count, num_ops=case.num_ops, where=where, seconds=seconds, copying=copying)


def gpu_row(case: Case, rounds: int) -> Row:
    """Time a case on the GPU: several calls in a row, from an idle device to an idle device."""
    import cupy

    source = cupy.ones(max(1, case.num_bytes // 2), cupy.uint8)
    target = cupy.empty_like(source)
    seconds = {name: _device_seconds(call, rounds) for name, call in case.gpu.items()}
    copying = min(_device_seconds(lambda: cupy.copyto(target, source), rounds))
    if case.num_ops and "GPU" not in _rates:
        _rates["GPU"] = [_device_product_rate()]
    return _row(case, "GPU", seconds, copying)


def product_rate(threads: int) -> float:
    """Return additions and multiplications a second of NumPy's float32 matrix product of 2048x2048."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads))}
    command = [sys.executable, "-c", _PRODUCT]
    return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


def format_rows(rows: list[Row], per_second: float) -> tuple[list[str], list[list[str]]]:
    """Return the header and the lines of a table; ``per_second`` units of time make a second."""
    peers = list(dict.fromkeys(name for row in rows for name in row.seconds if name != OURS))
    bounded = any(row.num_ops for row in rows)
    header = ["input", "on", "of floor", "copy", *(["product"] if bounded else []), OURS, *peers]
    lines = []
    for row in rows:
        scale = per_second / row.count
        ours = min(row.seconds[OURS])
        line = [row.label, row.where, f"{row.floor / ours:.0%}", _number(row.copying * scale)]
        if bounded:
            line.append(_number(row.computing * scale))
        line.append(f"{_number(ours * scale)} ({_number(statistics.median(row.seconds[OURS]) * scale)})")
        for name in peers:
            least = min(row.seconds[name]) if name in row.seconds else None
            line.append("" if least is None else f"{_number(least * scale)}, {_number(least / ours)}x")
        lines.append(line)
    return header, lines


def _number(value: float) -> str:
    """Write a positive number with about three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _rounds_within_patience(seconds: float, rounds: int) -> int:
    return min(rounds, max(1, int(_PATIENCE / seconds)))


def _set_threads(count: int) -> None:
    """Have this many threads used by vidprep and by the peers that are installed."""
    set_num_threads(count)
    if find_spec("cv2"):
        import cv2

        cv2.setNumThreads(count)
    if find_spec("torch"):
        import torch

        torch.set_num_threads(count)


def _copy(num_bytes: int, threads: int) -> Callable[[], Any]:
    """Return a call that reads half the bytes and writes the other half, on some threads."""
    source = np.ones(max(1, num_bytes // 2), np.uint8)
    target = np.zeros_like(source)
    if threads == 1:
        return lambda: np.copyto(target, source)
    bounds = [len(source) * i // threads for i in range(threads + 1)]
    parts = [(target[begin:end], source[begin:end]) for begin, end in pairwise(bounds)]
    pool = ThreadPoolExecutor(threads - 1)

    def call() -> None:
        others = [pool.submit(np.copyto, *part) for part in parts[1:]]
        np.copyto(*parts[0])
        for other in others:
            other.result()

    return call


def _device_seconds(call: Callable[[], Any], rounds: int) -> list[float]:
    """Time ``call``, whichever stream it launches on."""
    import cupy

    device = cupy.cuda.Device()
    call()
    seconds = []
    for _ in range(rounds):
        device.synchronize()
        start = time.perf_counter()
        for _ in range(_GPU_CALLS):
            call()
        device.synchronize()
        seconds.append((time.perf_counter() - start) / _GPU_CALLS)
    return seconds


def _device_product_rate() -> float:
    import cupy

    a, b = cupy.random.standard_normal((2, 8192, 8192), dtype=cupy.float32)
    out = cupy.empty_like(a)
    return float(2 * 8192**3 / min(_device_seconds(lambda: cupy.matmul(a, b, out=out), 5)))
