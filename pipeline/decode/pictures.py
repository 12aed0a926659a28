"""From a decoded FFmpeg picture to planes and the format that the conversion kernel understands."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from ...kernels.yuv_tables import YuvFormat

# FFmpeg's AVCOL_SPC_*, by number. Unspecified (2) is BT.601, as in FFmpeg, OpenCV and decord.
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
_LIMITED_RANGE, _FULL_RANGE = 1, 2  # AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG
_SHIFTS = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 1), "411": (2, 0), "410": (2, 2)}
_PLANAR = re.compile(r"(?:yuva?(?P<jpeg>j?)(?P<sampling>\d{3})|(?P<rgb>gbra?)|(?P<gray>gray))p?(?P<depth>\d+)?(?:le)?")
# Packed and semi-planar formats are taken apart by swscale first, without any change of samples.
_UNPACKED = {
    "nv12": "yuv420p", "nv21": "yuv420p", "nv16": "yuv422p", "nv24": "yuv444p", "p010le": "yuv420p10le",
    "p012le": "yuv420p12le", "p016le": "yuv420p16le", "p210le": "yuv422p10le", "yuyv422": "yuv422p",
    "uyvy422": "yuv422p", "yvyu422": "yuv422p", "y210le": "yuv422p10le", "ya8": "gray",
}  # fmt: skip


@lru_cache(maxsize=64)
def planar_format(name: str, colorspace: int, color_range: int, mpeg1_siting: bool) -> YuvFormat | None:
    """Return how to read pictures of FFmpeg's pixel format ``name``, or ``None`` if they are not planar.

    Parameters
    ----------
    name
        ``yuv420p``, ``yuvj422p``, ``yuv444p10le``, ``gbrp``, ``gray``, ...
    colorspace, color_range
        FFmpeg's ``AVCOL_SPC`` and ``AVCOL_RANGE`` numbers of the frame.
    mpeg1_siting
        Chroma lies between luma samples, as in JPEG and MPEG-1, and not on the even ones.
    """
    match = _PLANAR.fullmatch(name)
    if match is None:
        return None
    depth = int(match["depth"] or 8)
    if not 8 <= depth <= 16:
        return None
    if match["rgb"]:
        return YuvFormat(matrix="rgb", full_range=True, depth=depth, chroma_shift=(0, 0))
    full_range = bool(match["jpeg"]) or color_range == _FULL_RANGE
    if match["gray"]:  # unlike colour, full range unless the stream says otherwise: FFmpeg's rule
        return YuvFormat(matrix="gray", full_range=color_range != _LIMITED_RANGE, depth=depth, chroma_shift=(0, 0))
    if match["sampling"] not in _SHIFTS:
        return None
    return YuvFormat(
        matrix=_MATRICES.get(colorspace, "bt601"),
        full_range=full_range,
        depth=depth,
        chroma_shift=_SHIFTS[match["sampling"]],
        siting="center" if mpeg1_siting else "left",
    )


def to_planar(frame: Any) -> Any:
    """Return ``frame`` (an ``av.VideoFrame``) in a planar format, converted by swscale if it is not."""
    name = frame.format.name
    if name in _UNPACKED:
        return frame.reformat(format=_UNPACKED[name])
    little_endian = f"{name.removesuffix('be')}le"
    if name.endswith("be") and _PLANAR.fullmatch(little_endian):
        return frame.reformat(format=little_endian)
    if frame.format.is_rgb or "pal" in name:
        if frame.format.components[0].bits < 8:  # RGB555 and the like: only on the way to rgb24 does white become 255
            frame = frame.reformat(format="rgb24")
        return frame.reformat(format="gbrp")
    return frame.reformat(format="yuv444p")


def plane_addresses(frame: Any, fmt: YuvFormat) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return address and row distance in bytes of the three planes, as ``FrameConverter`` takes them.

    R, G, B for planar RGB (FFmpeg stores G, B, R); the luma plane three times for a grey picture. Valid while ``frame``
    lives.
    """
    stored = frame.planes
    first = stored[0].buffer_ptr, stored[0].line_size
    if fmt.matrix == "gray":
        return first, first, first
    second = stored[1].buffer_ptr, stored[1].line_size
    third = stored[2].buffer_ptr, stored[2].line_size
    return (third, first, second) if fmt.matrix == "rgb" else (first, second, third)
