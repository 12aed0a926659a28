"""Every specialisation that production launches compiles for every architecture, in registers alone."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import vidprep.kernels.cuda
from vidprep.kernels.cuda.catalogue import SPECIALISATIONS
from vidprep.kernels.cuda.loader import source_text

if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
    if os.environ.get("CI") == "true":
        pytest.fail("the tests of the CUDA sources need cuda-bindings", pytrace=False)
    pytest.skip("cuda-bindings is not installed", allow_module_level=True)

from cuda_host.nvrtc import CompileError, compile_cubin

ARCHITECTURES = (75, 80, 90, 100, 120)
ROWS = [
    pytest.param(name, defines, id=f"{name}-{'-'.join(f'{key}={value}' for key, value in defines.items())}")
    for name, rows in SPECIALISATIONS.items()
    for defines in rows
]

# Sixty accumulators that are all alive at once.
HUNGRY = """
extern "C" __global__ void hungry(float* data) {
    float a[60];
    for (int i = 0; i < 60; ++i) a[i] = data[i * blockDim.x + threadIdx.x];
    for (int k = 0; k < 100; ++k) {
#pragma unroll
        for (int i = 0; i < 60; ++i) a[i] = a[i] * a[(i + 7) % 60] + data[k];
    }
    float sum = 0;
#pragma unroll
    for (int i = 0; i < 60; ++i) sum += a[i];
    data[threadIdx.x] = sum;
}
"""
# An array with an index that only a running kernel knows.
INDEXED = """
extern "C" __global__ void indexed(int* data) {
    int a[16];
    for (int i = 0; i < 16; ++i) a[i] = data[i];
    for (int i = 0; i < 16; ++i) a[data[i] & 15] += i;
    data[threadIdx.x] = a[threadIdx.x & 15];
}
"""


def test_the_catalogue_names_every_source() -> None:
    folder = Path(vidprep.kernels.cuda.__file__).parent
    assert sorted(SPECIALISATIONS) == sorted(path.stem for path in folder.glob("*.cu"))


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(("name", "defines"), ROWS)
def test_compiles_without_spills(name: str, defines: dict[str, str], arch: int) -> None:
    text = source_text(name, defines)
    compiled = compile_cubin(text, arch)
    assert compiled.cubin.startswith(b"\x7fELF")
    assert len(compiled.kernels) == len(re.findall(r"\b__global__\b", text))
    for kernel, usage in compiled.kernels.items():
        assert not usage.uses_local_memory, f"{kernel} on sm_{arch}: {usage}"


@pytest.mark.parametrize("defines", SPECIALISATIONS["residual"], ids=str)
def test_residual_moves_16_bytes_at_once(defines: dict[str, str]) -> None:
    ptx = compile_cubin(source_text("residual", defines), 80).ptx
    assert len(re.findall(r"ld\.global\S*\.v4\.", ptx)) >= 2
    assert re.search(r"st\.global\S*\.v4\.", ptx)


def test_a_spill_is_seen() -> None:
    assert not compile_cubin(HUNGRY, 80).kernels["hungry"].uses_local_memory
    starved = compile_cubin(HUNGRY, 80, "--maxrregcount=32").kernels["hungry"]
    assert starved.registers <= 32
    assert starved.spill_stores > 0
    assert starved.spill_loads > 0
    assert starved.uses_local_memory


def test_a_stack_frame_is_seen() -> None:
    usage = compile_cubin(INDEXED, 80).kernels["indexed"]
    assert usage.stack_frame >= 64
    assert usage.spill_stores == 0
    assert usage.uses_local_memory


def test_an_error_names_the_file_and_line() -> None:
    text = source_text("residual", {"SAMPLE": "uint8", "RESULT": "no_such_type"})
    with pytest.raises(CompileError, match=r'residual\.cu\(\d+\): error: identifier "no_such_type" is undefined'):
        compile_cubin(text, 80)
