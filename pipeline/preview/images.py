"""A picture as the bytes of an image file, by FFmpeg's encoders."""

from __future__ import annotations

from fractions import Fraction

import av
from av.video.codeccontext import VideoCodecContext

from .canvas import Picture

_JPEG_QUANTISER = 4  # of 2 (best) to 31


def encode_png(picture: Picture) -> bytes:
    """Encode ``(H, W, 3)`` uint8 RGB without loss."""
    return _encode(picture, "png", "rgb24", {"pred": "mixed"})


def encode_jpeg(picture: Picture) -> bytes:
    """Encode ``(H, W, 3)`` uint8 RGB with a little loss, colours at full resolution; at most 65535 pixels a side."""
    scale = 118  # FF_QP2LAMBDA: quantisers are given to FFmpeg in these units
    return _encode(picture, "mjpeg", "yuvj444p", {"flags": "+qscale", "global_quality": str(_JPEG_QUANTISER * scale)})


def _encode(picture: Picture, codec: str, pixel_format: str, options: dict[str, str]) -> bytes:
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.height, context.width = picture.shape[:2]
    context.pix_fmt = pixel_format
    context.time_base = Fraction(1)
    context.thread_count = 1  # the same bytes on every machine
    context.options = options
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    if pixel_format != "rgb24":
        frame = frame.reformat(format=pixel_format)
    return b"".join(bytes(packet) for frames in (frame, None) for packet in context.encode(frames))
