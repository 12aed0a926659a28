"""Where decode and kernels run, with and without GPUs."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from vidprep.pipeline import devices
from vidprep.pipeline.devices import count_gpus, resolve_devices, to_host
from vidprep.pipeline.errors import MissingExtraError, UsageError
from vidprep.pipeline.run import check_workers, num_cores


@pytest.mark.parametrize(
    ("wanted", "num_gpus", "expected"),
    [
        ("cpu", 2, ("cpu",)),
        ("auto", 0, ("cpu",)),
        ("auto", 2, ("cuda:0", "cuda:1")),
        ("cuda", 3, ("cuda:0", "cuda:1", "cuda:2")),
        ("cuda:1", 2, ("cuda:1",)),
    ],
)
def test_devices(wanted: str, num_gpus: int, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "count_gpus", lambda: (num_gpus, "" if num_gpus else "no driver"))
    assert resolve_devices(wanted) == expected


@pytest.mark.parametrize("wanted", ["gpu", "cuda:", "cuda:-1", "cuda:0,1", "CPU", "", "mps"])
def test_what_is_no_device(wanted: str) -> None:
    with pytest.raises(UsageError, match="must be auto, cpu, cuda or cuda:N"):
        resolve_devices(wanted)


@pytest.mark.parametrize(
    ("wanted", "found", "error", "sentence"),
    [
        ("cuda:2", (2, ""), UsageError, "there is no GPU 2: this machine has 2"),
        ("cuda", (0, "no driver"), UsageError, r"no GPU can be used \(no driver\): use --device cpu"),
        ("cuda", (0, "CuPy is not installed"), MissingExtraError, r'pip install "vidprep\[cuda13\]"'),
    ],
)
def test_gpus_that_are_not_there(
    wanted: str, found: tuple[int, str], error: type[Exception], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "count_gpus", lambda: found)
    with pytest.raises(error, match=sentence):
        resolve_devices(wanted)


def test_no_cupy_means_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert count_gpus() == (0, "CuPy is not installed")


def test_arrays_on_the_host_are_contiguous() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(4, 6)[:, ::2]
    copy = to_host(array)
    assert copy.flags.c_contiguous
    np.testing.assert_array_equal(copy, array)


def test_workers() -> None:
    assert check_workers(None, ("cpu",)) == num_cores() >= 1
    assert check_workers(None, ("cuda:0", "cuda:1")) == 2
    assert check_workers(5, ("cpu",)) == 5
    with pytest.raises(UsageError, match="at least 1 worker is needed, got 0"):
        check_workers(0, ("cpu",))
