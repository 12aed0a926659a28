"""Video clips for the tests, encoded by PyAV: small, moving, and the same bytes on every run."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

TIME_BASE = Fraction(1, 90_000)  # of clips with explicit times
COLOUR_MATRICES = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709}
COLOUR_MATRIX_TAGS = {"bt601": 6, "bt709": 1}  # AVCOL_SPC_SMPTE170M, AVCOL_SPC_BT709: what the stream says

# MPEG-4 Visual (ISO/IEC 14496-2): start codes, the type of a B-frame's VOP, and a P-VOP that is "not coded".
VISUAL_OBJECT_SEQUENCE, USER_DATA, VOP = b"\x00\x00\x01\xb0", b"\x00\x00\x01\xb2", b"\x00\x00\x01\xb6"
VOP_IS_B = 2
NOT_CODED = VOP + b"\x51\x80"  # decoders only look at its size
# What XviD signs with; FFmpeg takes the `p` to mean packed B-frames.
XVID_PACKED = USER_DATA + b"DivX503b1393p" + USER_DATA + b"XviD0050"


def moving_texture(
    num_frames: int, size: tuple[int, int], *, velocity: tuple[float, float] = (1.5, 0.75), seed: int = 0
) -> NDArray[np.uint8]:
    """Frames of a smooth coloured texture that moves evenly, with the falling spectrum of natural pictures.

    Parameters
    ----------
    num_frames, size
        How many frames, and their ``(height, width)``.
    velocity
        ``(x, y)`` in pixels a frame, right and down; need not be whole.
    seed
        Which texture.

    Returns
    -------
    ``(num_frames, H, W, 3)`` uint8 RGB, mean about 128, standard deviation about 45.
    """
    height, width = size
    rng = np.random.default_rng(seed)
    num_waves = 40
    wavelength = np.geomspace(8, 120, num_waves)  # pixels
    angle = rng.uniform(0, 2 * np.pi, num_waves)
    fx, fy = 2 * np.pi * np.cos(angle) / wavelength, 2 * np.pi * np.sin(angle) / wavelength
    phase = rng.uniform(size=num_waves) + 0.06 * rng.standard_normal((3, num_waves))  # more light than colour
    amplitude = wavelength**0.5 * np.exp(2j * np.pi * phase)
    across = np.exp(1j * fx[:, None] * np.arange(width))
    down = np.exp(1j * fy[:, None] * np.arange(height))
    deviation = np.linalg.norm(wavelength**0.5) / 2**0.5
    frames = np.empty((num_frames, height, width, 3), np.uint8)
    for t in range(num_frames):
        moved = amplitude * np.exp(-1j * t * (fx * velocity[0] + fy * velocity[1]))
        waves = np.einsum("ck,kh,kw->hwc", moved, down, across, optimize=True).real
        frames[t] = np.clip(127.5 + 45 * waves / deviation, 0, 255)
    return frames


def write_clip(
    path: Path,
    frames: NDArray[np.uint8] | None = None,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (48, 64),
    num_frames: int = 12,
    fps: Fraction | int = 25,
    times: Sequence[Fraction | float] | None = None,
    gop: int = 12,
    b_frames: int = 0,
    matrix: str | None = None,
    full_range: bool | None = None,
    rotation: int = 0,
    options: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Path:
    """Encode a clip and return its path; the suffix names the container.

    Parameters
    ----------
    path
        Where to; its folder must exist.
    frames
        ``(T, H, W, 3)`` uint8 RGB; by default a ``moving_texture`` of ``num_frames``, ``size`` and ``seed``.
    codec, pix_fmt, options
        FFmpeg's names, and options of the encoder.
    fps, times
        An even rate, or the presentation time of each frame in seconds, to 1/90000 s.
    gop, b_frames
        Most frames between two key frames, and exactly how many B-frames between two others.
    matrix, full_range
        ``"bt601"`` or ``"bt709"``, and whether luma spans 0..255: used for the conversion from RGB and written into the
        stream. ``None`` converts as BT.601, limited range, and writes nothing.
    rotation
        Degrees clockwise that a player must turn the picture, 0, 90, 180 or 270: the display matrix of an MP4 or MOV.
    """
    if frames is None:
        frames = moving_texture(num_frames, size, seed=seed)
    height, width = frames.shape[1:3]
    time_base = 1 / Fraction(fps) if times is None else TIME_BASE
    ticks = range(len(frames)) if times is None else [round(Fraction(time) / TIME_BASE) for time in times]
    assert len(ticks) == len(frames), f"{len(frames)} frames need as many times, got {len(ticks)}"

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps), options=_encoder_options(codec, options))
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        context = stream.codec_context
        context.time_base = time_base
        context.gop_size, context.max_b_frames, context.thread_count = gop, b_frames, 1
        if matrix is not None:
            context.colorspace = COLOUR_MATRIX_TAGS[matrix]
        if full_range is not None:
            context.color_range = ColorRange.JPEG if full_range else ColorRange.MPEG
        for tick, rgb in zip(ticks, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
                format=pix_fmt,
                dst_colorspace=COLOUR_MATRICES[matrix or "bt601"],
                dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
            )
            frame.pts, frame.time_base = tick, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if rotation:
        _rotate_mp4(path, rotation)
    return path


def write_packed_avi(path: Path, frames: NDArray[np.uint8] | None = None, *, b_frames: int = 2, **clip: Any) -> Path:
    """Encode an MPEG-4 AVI with packed B-frames, as XviD wrote the clips of UCF101.

    A packet holds a P-frame and the first of the B-frames shown before it; the next packets hold the other B-frames,
    and a "not coded" placeholder makes up for the one that came early, so a packet stands for every frame. FFmpeg's
    encoder cannot write this, so the packets of a plain stream are packed here. Parameters are those of ``write_clip``.
    """
    assert b_frames > 0, "without B-frames there is nothing to pack"
    plain = path.with_name(f"{path.stem}.plain.avi")
    write_clip(plain, frames, codec="mpeg4", b_frames=b_frames, **clip)
    with av.open(str(plain)) as source, av.open(str(path), "w") as packed:
        stream_in = source.streams.video[0]
        stream_out = packed.add_stream_from_template(stream_in)
        stream_out.codec_context.extradata = _sign_as_xvid(stream_in.codec_context.extradata)
        coded = [bytes(packet) for packet in source.demux(stream_in) if packet.size]
        for index, data in enumerate(_pack_b_frames(coded)):
            packet = av.Packet(data)
            packet.pts = packet.dts = index
            packet.time_base, packet.stream = 1 / stream_in.average_rate, stream_out
            packet.is_keyframe = VISUAL_OBJECT_SEQUENCE in data
            packed.mux(packet)
    plain.unlink()
    path.write_bytes(path.read_bytes().replace(b"FMP4", b"XVID"))
    return path


def write_audio(path: Path, *, seconds: float = 0.5) -> Path:
    """Write a file with one audio stream (AAC, a 440 Hz tone) and no video."""
    rate = 16_000
    tone = (8_000 * np.sin(2 * np.pi * 440 / rate * np.arange(round(seconds * rate)))).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def mutate(data: bytes, seed: int) -> bytes:
    """Damage a file's bytes: flip some, cut the end off, or splice a piece over another place. Never the same bytes."""
    rng = random.Random(seed)
    damaged = bytearray(data)
    kind = rng.choice(("flip", "cut", "splice"))
    if kind == "flip":
        for _ in range(rng.choice((1, 10, 100))):
            damaged[rng.randrange(len(damaged))] ^= rng.randrange(1, 256)
    elif kind == "cut":
        del damaged[rng.randrange(len(damaged)) :]
    else:
        length = rng.randrange(1, 1 + len(damaged) // 4)
        source, target = rng.randrange(len(damaged) - length), rng.randrange(len(damaged) - length)
        damaged[target : target + length] = data[source : source + length]
    if damaged == data:  # flips that undid each other, or a piece spliced over its like
        damaged[rng.randrange(len(damaged))] ^= 0xFF
    return bytes(damaged)


def _encoder_options(codec: str, options: Mapping[str, str] | None) -> dict[str, str]:
    """Defaults that make an encoder quick and obedient about B-frames and key frames, under the caller's options."""
    defaults = {
        "libx264": {"preset": "veryfast", "crf": "18", "b_strategy": "0", "sc_threshold": "0"},
        "libx265": {"preset": "ultrafast", "crf": "18", "x265-params": "log-level=error:scenecut=0:b-adapt=0"},
        "libsvtav1": {"preset": "12", "crf": "20"},
        "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "2M"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "2M"},
    }
    for name in ("mpeg4", "mpeg2video", "mjpeg"):
        defaults[name] = {"flags": "+qscale+bitexact", "global_quality": "236"}  # a quantiser of 2
    return {**defaults.get(codec, {}), **(options or {})}


def _rotate_mp4(path: Path, rotation: int) -> None:
    """Write a rotation into the ``tkhd`` box of the first track of an MP4 or MOV (ISO/IEC 14496-12, 8.3.2)."""
    a, b = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[rotation]
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4  # version and flags, the fields, then the 3x3 matrix in 16.16 and 2.30
    start += 40 if data[start] == 0 else 52
    struct.pack_into(">9i", data, start, a << 16, b << 16, 0, -b << 16, a << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def _pack_b_frames(coded: list[bytes]) -> Iterator[bytes]:
    """Packets ``I P B B P B B`` in coding order -> ``I PB B N PB B N`` with ``N`` a VOP that is "not coded"."""
    waiting: bytes | None = None  # an I- or P-frame that may yet get a B-frame
    for index, data in enumerate(coded):
        start = data.index(VOP)
        if data[start + len(VOP)] >> 6 == VOP_IS_B:
            yield data[start:] if waiting is None else waiting + data[start:]
            waiting = None
        else:
            if index > 0:
                yield waiting or NOT_CODED
            waiting = _sign_as_xvid(data)
    yield waiting or NOT_CODED


def _sign_as_xvid(data: bytes) -> bytes:
    """Put XviD's signature behind the headers of an MPEG-4 stream, if there are any, in place of FFmpeg's."""
    if VISUAL_OBJECT_SEQUENCE not in data:
        return data
    headers, start, frame = data.partition(VOP)
    return headers.partition(USER_DATA)[0] + XVID_PACKED + start + frame
