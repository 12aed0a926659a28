"""What DALI 2.4 decodes exactly as FFmpeg does. Everything else goes to the CPU decoder: exact frames beat speed.

How DALI's video decoders behave, from their sources and documentation:

- They show a frame per packet, in the order of the packets' times. Edit lists are not applied; a packet that decodes to
  no picture, or to one that is for reference only (VP9 and AV1 superframes, VP8 alternate references, pictures shown
  again), shifts or replaces frames without a word. So do packets without times, and both fields of interlaced pictures.
- On the GPU pictures leave NVDEC as 8-bit NV12, and at most 8 are held back for reordering. RGB is made with the BT.601
  matrix whatever the stream says; the range is the bitstream's flag alone (on the CPU: the pixel format). Odd sizes are
  written past the end of a row. Rotation is ignored.
- Damage is not reported: NVDEC conceals it. What the packets show of it is refused here.
- NVDEC decoders are kept and used again for any stream of the same coded size, also if it is cropped differently.

Rotation and the matrix are mended on the device, and times are ours (see ``dali_feed``), so a variable rate, a rotation
or BT.709 are no reason to refuse.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from ...kernels.yuv_tables import YuvFormat, colour_matrix
from .demux import StreamScan

_CODECS = {"cpu": ("vp8", "vp9", "mjpeg"), "cuda": ("h264", "hevc", "mpeg4", "vp8", "vp9")}
_YUV_MATRICES = ("bt601", "bt709", "bt2020", "smpte240m", "fcc")
_DEEPEST_REORDERING = 6  # frames; NVDEC's 8 pictures less the one being decoded and the one shown

_whole_pictures: set[tuple[str, tuple[int, int]]] = set()  # codec and coded size of uncropped streams of this process
_whole_pictures_lock = threading.Lock()


def refusal(scan: StreamScan, device: str) -> str | None:
    """Return why DALI must not decode a video in this process: ``can_take``, or on a GPU ``shares_decoder``."""
    reason = can_take(scan, device)
    if reason is None and device != "cpu":
        reason = shares_decoder(scan)
    return reason


def can_take(scan: StreamScan, device: str) -> str | None:
    """Return why DALI must not decode a video, in a few words; ``None`` if it gives the frames that FFmpeg gives.

    Parameters
    ----------
    scan
        The video's.
    device
        ``cpu``, ``cuda`` or ``cuda:N``.
    """
    kind = device.partition(":")[0]
    return _codec_reason(scan, kind) or _frames_reason(scan) or _picture_reason(scan, kind)


def shares_decoder(scan: StreamScan) -> str | None:
    """Return why NVDEC's decoder for this video would be one made for another crop; ``None`` if it would not.

    Remembers what it was asked about: call it before decoding the video on the GPU in this process.
    """
    key = (scan.info.codec, scan.coded)
    with _whole_pictures_lock:
        if scan.stored == scan.coded:
            _whole_pictures.add(key)
        elif key in _whole_pictures:
            return "DALI would reuse the decoder of another video, of the same coded size but not cropped"
    return None


def matrix_correction(fmt: YuvFormat) -> NDArray[np.float32] | None:
    """Return the ``(3, 3)`` float32 matrix from RGB made with BT.601 to the RGB that ``fmt`` means; ``None`` if equal.

    Both conversions are linear and map grey to grey, so one 3x3 matrix leads from one to the other. What the first one
    clipped (only very saturated colours) is lost.
    """
    assumed = YuvFormat(matrix="bt601", full_range=fmt.full_range)
    if fmt.matrix == assumed.matrix:
        return None
    true, wrong = colour_matrix(fmt), colour_matrix(assumed)
    return np.asarray(true @ np.linalg.inv(wrong), np.float32)


def _codec_reason(scan: StreamScan, kind: str) -> str | None:
    codec = scan.info.codec
    if codec not in _CODECS[kind]:
        return (
            f"DALI decodes {', '.join(_CODECS[kind])} on the {'GPU' if kind == 'cuda' else 'CPU'} exactly, not {codec}"
        )
    if codec in ("h264", "hevc") and not scan.parameters_in_header:
        return "its parameter sets stand between the pictures and could change"
    return None


def _frames_reason(scan: StreamScan) -> str | None:
    """Where a packet is not exactly one shown frame."""
    if scan.incomplete:
        return "packets are damaged or missing"
    if not scan.ordered:
        return "packets lack times of their own, so their display order is uncertain"
    if scan.trimmed:
        return "an edit list hides frames"
    if scan.hidden_frames:
        return "it has pictures that are not shown"
    if scan.packed_b_frames:
        return "its B-frames are packed"
    if scan.interlaced:
        return "it is interlaced"
    if scan.parameters_change:
        return "its parameters change on the way"
    if scan.ranks[0] != 0 or 0 not in scan.keyframes:
        return "it does not begin with a key frame"
    return None


def _picture_reason(scan: StreamScan, kind: str) -> str | None:
    fmt, name = scan.format, scan.info.pixel_format
    if fmt is None or fmt.matrix not in _YUV_MATRICES or fmt.chroma_shift != (1, 1):
        return f"DALI converts 4:2:0 pictures only, not {name}"
    if fmt.depth != 8:
        return f"DALI cuts {fmt.depth} bits to 8"
    if fmt.full_range and not (kind == "cpu" and name.startswith("yuvj")):
        return "DALI may not see that its luma spans the full range"
    if kind == "cuda" and (scan.stored[0] % 2 or scan.stored[1] % 2):
        return f"DALI mixes up rows of odd sizes ({scan.stored[1]}x{scan.stored[0]})"
    if kind == "cuda" and scan.reorder_depth > _DEEPEST_REORDERING:
        return (
            f"its frames are coded up to {scan.reorder_depth} places after their turn, DALI holds {_DEEPEST_REORDERING}"
        )
    return None
