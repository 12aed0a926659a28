"""Compiles a CUDA source with the C++ compiler and launches its kernels on NumPy arrays: test code.

The text is the one that production compiles; ``cuda_shim.h`` gives it CUDA's words, ``fibers.h`` its threads.
Every launch checks what a GPU would not: the types of all arguments, barriers that part of a block never reaches,
misaligned and out-of-bounds accesses, signed overflow, and writes outside the arrays.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from vidprep.kernels.cuda.loader import source_text

GARBAGE = 0xCD
GUARD_BYTES = 4096
MAX_SHARED_BYTES = 48 * 1024  # what a launch may ask for without opting in to more

_HERE = Path(__file__).parent
_FLAGS = (
    *("-std=c++17", "-O2", "-fPIC", "-fno-strict-aliasing", "-ffp-contract=off", "-fno-exceptions"),
    *("-fsanitize=alignment,bounds,signed-integer-overflow", "-fvisibility=default", "-Wno-unknown-pragmas"),
)
_KERNEL = re.compile(r"__global__(?:\s|void\b|__launch_bounds__\([^)]*\))+(\w+)\s*\(")
# C++ has no `extern static`: dynamic shared memory becomes a pointer to what the launch was given.
_DYNAMIC_SHARED = re.compile(r"extern\s+__shared__\s+((?:__align__\(\d+\)\s+)?)([\w ]+?)\s+(\w+)\s*\[\s*\]\s*;")


class KernelFault(RuntimeError):
    """A kernel did what is wrong on a GPU, or was launched with arguments that do not fit."""


def compiler() -> str | None:
    """Return the C++ compiler, or ``None`` where there is none."""
    return os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")


@cache
def compile_text(text: str, *flags: str) -> HostModule:
    """Compile CUDA source text; the library is kept in a per-user folder and compiled once per text."""
    cxx = compiler()
    assert cxx is not None, "no C++ compiler: ask compiler() first"
    kernels = _KERNEL.findall(text)
    text = _DYNAMIC_SHARED.sub(r"\2* \3 = reinterpret_cast<\2*>(host::dynamic_shared);", text)
    entries = "\n".join(f"HOST_KERNEL({name})" for name in kernels)
    text = f'#include "cuda_shim.h"\n{text}\n{entries}\n'

    headers = [(_HERE / name).read_text(encoding="utf-8") for name in ("cuda_shim.h", "fibers.h", "contexts.h")]
    key = hashlib.sha256("\0".join([cxx, *_FLAGS, *flags, *headers, text]).encode()).hexdigest()[:24]
    library = _cache_folder() / f"{key}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            source, unit, linked = (Path(folder) / name for name in ("kernel.cpp", "kernel.o", "kernel.so"))
            source.write_text(text, encoding="utf-8")
            # Two steps: linking with the flags would pull in the sanitizer's own runtime, and the shim has its own.
            for command in (
                [cxx, *_FLAGS, *flags, f"-I{_HERE}", "-c", str(source), "-o", str(unit)],
                [cxx, "-shared", str(unit), "-o", str(linked)],
            ):
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode:
                    raise KernelFault(f"{' '.join(command)} failed:\n{done.stderr}")
            linked.replace(library)  # atomic: another process may be doing the same
    return HostModule(library, kernels)


def compile_host(name: str, defines: Mapping[str, str]) -> HostModule:
    """Compile ``kernels/cuda/<name>.cu`` with these defines for the CPU."""
    return compile_text(source_text(name, defines))


def _cache_folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"vidprep-host-kernels-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    assert folder.stat().st_uid == os.getuid(), f"{folder} belongs to somebody else"
    return folder


class HostModule:
    """The kernels of one compiled source."""

    def __init__(self, library: Path, kernels: Sequence[str]) -> None:
        self.library = ctypes.CDLL(str(library))
        self.signatures = {name: self._signature(name) for name in kernels}

    def _signature(self, kernel: str) -> list[str]:
        text = ctypes.create_string_buffer(4096)
        getattr(self.library, f"{kernel}__signature")(text)
        return text.value.decode().rstrip(",").split(",")

    def launch(
        self, kernel: str, grid: Sequence[int], block: Sequence[int], args: Sequence[Any], shared_bytes: int = 0
    ) -> None:
        """Run a kernel over a grid.

        Parameters
        ----------
        kernel
            Its name.
        grid, block
            One to three sizes each, within CUDA's limits.
        args
            C-contiguous NumPy arrays and NumPy scalars, of exactly the types of the kernel's parameters.
        shared_bytes
            Dynamic shared memory of a block.

        Raises
        ------
        KernelFault
            If arguments do not fit, threads diverge at a barrier, or the kernel does anything undefined.
        """
        dims = _dimensions(grid, block)
        if not 0 <= shared_bytes <= MAX_SHARED_BYTES:
            raise KernelFault(f"{kernel}: {shared_bytes} bytes of dynamic shared memory, at most {MAX_SHARED_BYTES}")
        signature = self.signatures[kernel]
        if len(args) != len(signature):
            raise KernelFault(f"{kernel} takes {len(signature)} arguments ({', '.join(signature)}), got {len(args)}")
        for index, (value, parameter) in enumerate(zip(args, signature, strict=True)):
            _check_argument(f"{kernel}, argument {index}", value, parameter)

        guarded: dict[tuple[int, int], _Guarded] = {}  # an array passed twice is one array
        for value, parameter in zip(args, signature, strict=True):
            if isinstance(value, np.ndarray):
                copy = guarded.setdefault((value.ctypes.data, value.nbytes), _Guarded(value))
                copy.written |= parameter[0] == "*"
        _check_overlap(kernel, list(guarded))

        values = [_as_c(value, guarded) for value in args]
        addresses = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        shared = _Guarded(np.empty(shared_bytes, np.uint8), alignment=128)
        function = getattr(self.library, f"{kernel}__launch")
        function.restype = ctypes.c_char_p
        message = function(addresses, *dims, ctypes.c_void_p(shared.address), ctypes.c_size_t(shared_bytes))
        if message is not None:
            raise KernelFault(f"{kernel}, {message.decode()}")
        for index, value in enumerate(args):
            if isinstance(value, np.ndarray):
                guarded[value.ctypes.data, value.nbytes].finish(f"{kernel}, argument {index}")
        shared.finish(f"{kernel}, dynamic shared memory")


class _Guarded:
    """A copy of an array between zones that no kernel may write to, at the same alignment as the array."""

    def __init__(self, array: np.ndarray, alignment: int = 256) -> None:
        self.array = array
        self.written = False
        self._buffer = np.full(array.nbytes + 2 * GUARD_BYTES + 2 * alignment, GARBAGE, np.uint8)
        begin = self._buffer.ctypes.data + GUARD_BYTES
        wanted = array.ctypes.data % alignment if array.size else 0
        self._begin = GUARD_BYTES + (wanted - begin) % alignment
        self.address = self._buffer.ctypes.data + self._begin
        self._inside[...] = array.reshape(-1).view(np.uint8)

    @property
    def _inside(self) -> np.ndarray:
        return self._buffer[self._begin : self._begin + self.array.nbytes]

    def finish(self, what: str) -> None:
        """Check the zones and hand back what the kernel wrote."""
        for zone, side in (
            (self._buffer[: self._begin], "before"),
            (self._buffer[self._begin + self.array.nbytes :], "after"),
        ):
            touched = np.flatnonzero(zone != GARBAGE)
            if touched.size:
                distance = len(zone) - touched[-1] if side == "before" else touched[0] + 1
                raise KernelFault(f"{what}: a write {distance} bytes {side} the array")
        if self.written:
            self.array.reshape(-1).view(np.uint8)[...] = self._inside


def _dimensions(grid: Sequence[int], block: Sequence[int]) -> tuple[Any, Any]:
    """Return both as three C numbers, after CUDA's limits."""
    whole_grid, whole_block = (tuple(int(size) for size in dims) + (1,) * (3 - len(dims)) for dims in (grid, block))
    limits = ((whole_grid, (2**31 - 1, 65535, 65535)), (whole_block, (1024, 1024, 64)))
    for sizes, limit in limits:
        if any(not 1 <= size <= most for size, most in zip(sizes, limit, strict=True)):
            raise KernelFault(f"grid {whole_grid} of blocks {whole_block} is outside CUDA's limits {limit}")
    if np.prod(whole_block) > 1024:
        raise KernelFault(f"a block of {whole_block} has more than 1024 threads")
    return (ctypes.c_uint * 3)(*whole_grid), (ctypes.c_uint * 3)(*whole_block)


def _check_argument(what: str, value: Any, parameter: str) -> None:
    if not isinstance(value, (np.ndarray, np.generic)):
        raise KernelFault(f"{what}: {type(value).__name__} {value!r} has no fixed size; pass a NumPy scalar or array")
    pointer, element = (parameter[0], parameter[1:]) if parameter[0] in "*&" else ("", parameter)
    if isinstance(value, np.ndarray) != bool(pointer):
        raise KernelFault(f"{what}: the kernel wants {parameter}, got {type(value).__name__} of {value.dtype}")
    # a pointer to a struct or vector type ("V16") may be given any array
    if not element.startswith("V") and value.dtype.str[1:].replace("b", "u") != element:
        raise KernelFault(f"{what}: the kernel wants {parameter}, got {value.dtype}")
    if pointer and not value.flags.c_contiguous:
        raise KernelFault(f"{what}: the array is not C-contiguous")
    if pointer == "*" and not value.flags.writeable:
        raise KernelFault(f"{what}: the kernel may write to it, and the array is read-only")


def _check_overlap(kernel: str, ranges: list[tuple[int, int]]) -> None:
    """Refuse arrays that overlap in part: each is copied by itself, so the kernel would not see it."""
    ranges = sorted(ranges)
    for (begin, size), (next_begin, next_size) in pairwise(ranges):
        if size and next_size and begin + size > next_begin:
            raise KernelFault(f"{kernel}: two arguments overlap in part")


def _as_c(value: Any, guarded: Mapping[tuple[int, int], _Guarded]) -> Any:
    """Return an argument as an object whose address can be handed over."""
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(guarded[value.ctypes.data, value.nbytes].address)
    return (ctypes.c_char * value.nbytes).from_buffer_copy(value.tobytes())
