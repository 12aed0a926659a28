"""The loader: source text, memoisation, and what it says without CuPy."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from cuda_host.cupy_standin import cupy_on_the_cpu
from executors import need_compiler
from vidprep.kernels import YuvFormat, residual
from vidprep.kernels.cuda import loader, yuv
from vidprep.kernels.cuda.catalogue import SPECIALISATIONS

ABSOLUTE, SIGNED = SPECIALISATIONS["residual"][:2]


def test_source_text_is_complete_and_names_its_files() -> None:
    lines = loader.source_text("residual", {"SAMPLE": "uint8", "RESULT": "int16", "SIGNED": "1"}).splitlines()
    assert lines[:4] == ["#define RESULT int16", "#define SAMPLE uint8", "#define SIGNED 1", '#line 1 "residual.cu"']
    assert '#line 1 "common.cuh"' in lines
    assert not any(line.startswith("#include") for line in lines)
    original = (loader._FOLDER / "residual.cu").read_text(encoding="utf-8").splitlines()
    include = original.index('#include "common.cuh"')
    after = lines.index(f'#line {include + 2} "residual.cu"')
    assert lines[after + 1 :] == original[include + 1 :]


def test_without_cupy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ImportError, match=r'pip install "vidprep\[cuda13\]"'):
        loader.require_cupy()


def test_a_module_is_compiled_once_per_device_and_defines() -> None:
    need_compiler()
    with cupy_on_the_cpu() as cupy:
        first = loader.load("residual", ABSOLUTE)
        assert loader.load("residual", dict(reversed(ABSOLUTE.items()))) is first
        assert loader.load("residual", SIGNED) is not first
        cupy.cuda.Device.id = -2
        try:
            assert loader.load("residual", ABSOLUTE) is not first
        finally:
            cupy.cuda.Device.id = -1


def test_what_the_catalogue_lacks_is_not_launched() -> None:
    with pytest.raises(AssertionError, match="not in the catalogue"):
        loader.load("residual", {"SAMPLE": "double", "RESULT": "double"})


def test_tables_are_uploaded_once_per_format() -> None:
    fmt = YuvFormat()
    with cupy_on_the_cpu():
        first = yuv._tables(-1, (8, 10), (4, 5), fmt)
        assert yuv._tables(-1, (8, 10), (4, 5), YuvFormat()) is first
        assert yuv._tables(-1, (8, 10), (4, 6), fmt) is not first


def test_no_frames_of_no_pixels() -> None:
    with cupy_on_the_cpu() as cupy:
        assert residual(cupy.asarray(np.zeros((3, 0, 4, 3), np.uint8))).shape == (2, 0, 4, 3)
