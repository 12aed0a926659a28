"""Compiles CUDA source for a real architecture with NVRTC, which needs no driver and no GPU: test code."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from cuda.bindings import nvrtc  # wheels cuda-bindings and nvidia-cuda-nvrtc

_KERNEL = re.compile(r"Compiling entry function '(\w+)' for 'sm_\d+'(.*?)(?=Compiling entry function|\Z)", re.DOTALL)
_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")


class CompileError(RuntimeError):
    """NVRTC refused the source; the message is its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelUsage:
    """What ``ptxas -v`` says of one kernel, in bytes but for the registers of a thread."""

    registers: int
    stack_frame: int
    spill_stores: int
    spill_loads: int

    @property
    def uses_local_memory(self) -> bool:
        """Whether anything of a thread lives outside its registers."""
        return bool(self.stack_frame or self.spill_stores or self.spill_loads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A source compiled for one architecture."""

    cubin: bytes
    ptx: str
    kernels: dict[str, KernelUsage]


@cache
def compile_cubin(text: str, arch: int, *options: str) -> Compiled:
    """Compile for compute capability ``arch`` (90 for 9.0).

    Raises
    ------
    CompileError
        If the source is refused, or the compiler did not report on a kernel.
    """
    program = _checked(nvrtc.nvrtcCreateProgram(text.encode(), b"kernel.cu", 0, [], []))
    try:
        flags = [f"--gpu-architecture=sm_{arch}", "--std=c++17", "--ptxas-options=-v", *options]
        (status,) = nvrtc.nvrtcCompileProgram(program, len(flags), [flag.encode() for flag in flags])
        log = _read(program, nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog).decode(errors="replace")
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise CompileError(log)
        return Compiled(
            cubin=_read(program, nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN),
            ptx=_read(program, nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX).decode(),
            kernels={name: _usage(report) for name, report in _KERNEL.findall(log)},
        )
    finally:
        _checked(nvrtc.nvrtcDestroyProgram(program))


def _usage(report: str) -> KernelUsage:
    frame, registers = _FRAME.search(report), _REGISTERS.search(report)
    if frame is None or registers is None:
        raise CompileError(f"the compiler's report on a kernel has changed its form:\n{report}")
    stack, stores, loads = map(int, frame.groups())
    return KernelUsage(registers=int(registers[1]), stack_frame=stack, spill_stores=stores, spill_loads=loads)


def _checked(answer: tuple) -> object:
    status, *values = answer
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise CompileError(str(status))
    return values[0] if values else None


def _read(program: object, get_size: Callable[..., tuple], get: Callable[..., tuple]) -> bytes:
    text = bytes(_checked(get_size(program)))
    _checked(get(program, text))
    return text
