"""Decoding behind one interface: ``open_frames`` chooses who decodes, and falls back to the CPU decoder."""

from __future__ import annotations

from .choose import open_frames
from .frames import FrameChunk, FrameSource, StreamInfo
from .size import FrameSize

__all__ = ["FrameChunk", "FrameSize", "FrameSource", "StreamInfo", "open_frames"]
