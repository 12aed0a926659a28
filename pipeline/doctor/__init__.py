"""What this machine can do, and what to install: one probe a thing, none of which can stop the others."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from . import disk, gpu, machine, software
from .findings import Finding, Probe, Status

__all__ = ["Finding", "Probe", "Status", "examine", "is_sound"]


def probes(folder: Path) -> tuple[Probe, ...]:
    """Everything that is looked at, in the order of the report."""
    return (
        Probe(what="vidprep", look=machine.vidprep),
        Probe(what="Python", look=machine.python, core=True),
        Probe(what="CPU cores", look=machine.cores),
        Probe(what="memory", look=machine.memory),
        Probe(what="SIMD", look=machine.simd),
        Probe(what="FFmpeg", look=software.ffmpeg, core=True),
        Probe(what="CPU kernels", look=software.numba, core=True),
        Probe(what="compression", look=software.compression, core=True),
        Probe(what="HDF5", look=software.hdf5, core=True),
        Probe(what="GPU", look=gpu.cards),
        Probe(what="NVDEC", look=gpu.nvdec),
        Probe(what="CuPy", look=gpu.cupy),
        Probe(what="DALI", look=gpu.dali),
        Probe(what="torch", look=software.torch),
        Probe(what="Ray", look=software.ray),
        Probe(what="disk space", look=partial(disk.space, folder)),
        Probe(what="write speed", look=partial(disk.write_speed, folder)),
    )


def examine(folder: str | os.PathLike[str] = ".") -> list[Finding]:
    """Look at everything; takes a few seconds.

    Parameters
    ----------
    folder
        Where a cache would be written: its disk is measured with 64 MB, which are removed again.
    """
    return [finding for probe in probes(Path(folder)) for finding in probe.run()]


def is_sound(findings: list[Finding]) -> bool:
    """Whether the CPU path works, all that vidprep needs."""
    return all(finding.status != "broken" for finding in findings)
