"""Asks the NVIDIA driver what its video decoder takes. Runs as a program, in a process of its own: ``python nvdec.py``.

Prints JSON: ``{"engines": 7, "formats": ["h264", "hevc", "hevc 10 bit", ...]}``, or ``{"problem": "..."}``. The calls
and structures are those of ``cuda.h`` and ``cuviddec.h`` of NVIDIA's Video Codec SDK.
"""

from __future__ import annotations

import ctypes
import json

# Name, cudaVideoCodec, cudaVideoChromaFormat (1 is 4:2:0, 3 is 4:4:4), bits above 8.
FORMATS = (
    ("h264", 4, 1, 0),
    ("h264 10 bit", 4, 1, 2),
    ("hevc", 8, 1, 0),
    ("hevc 10 bit", 8, 1, 2),
    ("hevc 4:4:4", 8, 3, 0),
    ("av1", 11, 1, 0),
    ("av1 10 bit", 11, 1, 2),
    ("vp9", 10, 1, 0),
    ("vp9 10 bit", 10, 1, 2),
    ("vp8", 9, 1, 0),
    ("mpeg4", 2, 1, 0),
    ("mpeg2", 1, 1, 0),
    ("mjpeg", 5, 1, 0),
)


class DecodeCaps(ctypes.Structure):
    """``CUVIDDECODECAPS``."""

    _fields_ = (
        ("codec", ctypes.c_int),
        ("chroma", ctypes.c_int),
        ("bits_above_8", ctypes.c_uint),
        ("reserved1", ctypes.c_uint * 3),
        ("is_supported", ctypes.c_ubyte),
        ("num_engines", ctypes.c_ubyte),
        ("output_formats", ctypes.c_ushort),
        ("max_width", ctypes.c_uint),
        ("max_height", ctypes.c_uint),
        ("max_macroblocks", ctypes.c_uint),
        ("min_width", ctypes.c_ushort),
        ("min_height", ctypes.c_ushort),
        ("histogram_supported", ctypes.c_ubyte),
        ("counter_bits", ctypes.c_ubyte),
        ("max_histogram_bins", ctypes.c_ushort),
        ("reserved3", ctypes.c_uint * 10),
    )


class NvdecError(Exception):
    """The driver said no."""


def query() -> dict[str, object]:
    """Ask about the first GPU."""
    cuda = ctypes.CDLL("libcuda.so.1")
    decoder = ctypes.CDLL("libnvcuvid.so.1")
    device, context = ctypes.c_int(), ctypes.c_void_p()
    _call(cuda, "cuInit", ctypes.c_uint(0))
    _call(cuda, "cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
    _call(cuda, "cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    _call(cuda, "cuCtxSetCurrent", context)
    engines = 0
    formats = []
    for name, codec, chroma, bits_above_8 in FORMATS:
        caps = DecodeCaps(codec=codec, chroma=chroma, bits_above_8=bits_above_8)
        _call(decoder, "cuvidGetDecoderCaps", ctypes.byref(caps))
        if caps.is_supported:
            formats.append(name)
            engines = max(engines, caps.num_engines)
    return {"engines": engines, "formats": formats}


def _call(library: ctypes.CDLL, name: str, *arguments: object) -> None:
    function = getattr(library, name)
    function.restype = ctypes.c_int
    status = function(*arguments)
    if status:
        raise NvdecError(f"{name} failed with CUDA error {status}")


def main() -> None:
    try:
        answer = query()
    except (OSError, AttributeError, NvdecError) as error:
        answer = {"problem": str(error)}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
