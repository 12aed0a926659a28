"""The libraries of the CPU path, tried out, and the optional ones, looked up.

Imports stand inside the probes: one that fails is a finding.
"""

from __future__ import annotations

import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .findings import Finding

# Codec -> decoders that will do, any of them.
_DECODERS = {
    "h264": ("h264",),
    "hevc": ("hevc",),
    "av1": ("libdav1d", "libaom-av1", "av1"),
    "vp9": ("vp9", "libvpx-vp9"),
    "vp8": ("vp8", "libvpx"),
    "mpeg4": ("mpeg4",),
    "mjpeg": ("mjpeg",),
}
_MOST_VIDEOS = ("h264", "mpeg4")  # a build without these cannot read the usual datasets


def installed(*distributions: str) -> str | None:
    """Version of the first of these packages that is installed, without importing it."""
    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def ffmpeg() -> list[Finding]:
    import av

    available = av.codec.codecs_available
    there = [codec for codec, names in _DECODERS.items() if any(name in available for name in names)]
    absent = [codec for codec in _DECODERS if codec not in there]
    library = Finding(what="FFmpeg", value=f"{av.ffmpeg_version_info} in PyAV {av.__version__}")
    value = ", ".join(there) + (f"; not {', '.join(absent)}" if absent else "")
    advice = "install PyAV from PyPI's wheels: pip install --force-reinstall --only-binary=av av"
    if any(codec in absent for codec in _MOST_VIDEOS):
        return [library, Finding(what="FFmpeg decoders", value=value, status="broken", advice=advice)]
    if absent:
        return [library, Finding(what="FFmpeg decoders", value=value, status="warn", advice=advice)]
    return [library, Finding(what="FFmpeg decoders", value=value)]


def compression() -> Finding:
    """A round trip of each codec."""
    import numpy as np

    from ..cache.codecs import CODECS, make_codec

    source = np.arange(100_000, dtype=np.uint32).view(np.uint8) // 3
    for name in CODECS:
        codec = make_codec(name, itemsize=1, frame_items=source.size)
        compressed = np.empty(codec.bound(source.size), np.uint8)
        size = codec.encode(source, compressed)
        back = np.zeros_like(source)
        codec.decode(compressed[:size], back)
        if not np.array_equal(back, source):
            return Finding(
                what="compression", value=f"{name} does not give back what it was given", status="broken",
                advice="pip install --force-reinstall hdf5plugin",
            )  # fmt: skip
    return Finding(what="compression", value=f"{', '.join(CODECS)} work (hdf5plugin {installed('hdf5plugin')})")


def hdf5() -> Finding:
    """Write LZ4 and Zstandard chunks as the cache does, and read them through HDF5 and its plug-ins as anyone would."""
    import h5py
    import hdf5plugin  # noqa: F401 (registers the filters)
    import numpy as np

    from ..cache.codecs import make_codec
    from ..cache.hdf5 import creation_properties

    frames = np.arange(4096, dtype=np.uint8).reshape(1, 64, 64) // 5
    with tempfile.TemporaryDirectory(prefix="vidprep-doctor-") as folder, h5py.File(f"{folder}/probe.h5", "w") as file:
        for name in ("lz4", "zstd"):
            codec = make_codec(name, itemsize=1, frame_items=frames.size)
            compressed = np.empty(codec.bound(frames.size), np.uint8)
            size = codec.encode(frames.reshape(-1), compressed)
            space = h5py.h5s.create_simple(frames.shape)
            creation = creation_properties(frames.shape, codec.hdf5_filters)
            created = h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_UINT8, space, dcpl=creation)
            created.write_direct_chunk((0, 0, 0), compressed[:size].tobytes())
            dataset = h5py.Dataset(created)
            if not np.array_equal(dataset[:], frames):
                return Finding(
                    what="HDF5", value=f"the {name} filter reads something else than was written", status="broken",
                    advice="pip install --force-reinstall h5py hdf5plugin",
                )  # fmt: skip
    return Finding(
        what="HDF5", value=f"{h5py.version.hdf5_version} in h5py {h5py.__version__}, reads our LZ4 and Zstandard"
    )


def numba() -> list[Finding]:
    """Run the residual kernel, and say where Numba keeps what it compiled for the next start."""
    import numpy as np
    from numba.core.dispatcher import Dispatcher

    try:
        from ...kernels.cpu import residual as kernels
    except RuntimeError as error:  # Numba refuses to cache a function if it finds no folder to keep it in
        return [
            Finding(
                what="kernel cache", value=" ".join(str(error).split())[:120], status="broken",
                advice="set NUMBA_CACHE_DIR to a folder that you may write to",
            )
        ]  # fmt: skip
    from ...kernels import residual

    frames = np.array([[[[7]]], [[[3]]]], np.uint8)
    if int(residual(frames)[0, 0, 0, 0]) != 4:
        return [
            Finding(
                what="CPU kernels", value="the residual of a known pair of frames is wrong", status="broken",
                advice="pip install --force-reinstall numba llvmlite",
            )
        ]  # fmt: skip
    works = Finding(what="CPU kernels", value=f"residual works (Numba {installed('numba')})")
    function = next(value for value in vars(kernels).values() if isinstance(value, Dispatcher))
    place = str(function.stats.cache_path)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return [
            works,
            Finding(
                what="kernel cache",
                value=f"not writable: {place} ({(error.strerror or str(error)).lower()})",
                status="warn",
                advice="set NUMBA_CACHE_DIR to a folder of yours, or each start compiles anew",
            ),
        ]
    return [works, Finding(what="kernel cache", value=f"writable: {_short(place)}")]


def _short(place: str) -> str:
    home = str(Path.home())
    return "~" + place[len(home) :] if home != "/" and place.startswith(home + "/") else place


def torch() -> Finding:
    return _optional("torch", "training and --features conv1", "train", "torch")


def ray() -> Finding:
    return _optional("Ray", "extraction on a cluster", "cluster", "ray")


def _optional(what: str, purpose: str, extra: str, distribution: str) -> Finding:
    found = installed(distribution)
    if found is None:
        advice = f'for {purpose}: pip install "vidprep[{extra}]"'
        return Finding(what=what, value="not installed", status="missing", advice=advice)
    return Finding(what=what, value=found)
