"""The size that frames are resized to: fixed, or following each video's shape."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError, VideoError
from ..numbers import whole_number
from ..option_names import option

_LARGEST = 16384
_MOST_PIXELS = 1 << 26  # 8192x8192: a chunk of such frames is 1.6 GB


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSize:
    """Either a fixed ``height`` and ``width``, or a ``short_side`` that keeps the picture's shape.

    Integers may be of any kind, NumPy's included; plain ones are kept.

    Raises
    ------
    UsageError
        If neither or both are given, a number is no integer between 1 and 16384, or the frames would have over
        2**26 pixels.
    """

    height: int | None = None
    width: int | None = None
    short_side: int | None = None

    def __post_init__(self) -> None:
        fixed = self.height is not None and self.width is not None
        if fixed == (self.short_side is not None) or (self.height is None) != (self.width is None):
            raise UsageError("a size is either a height and a width or a short side")
        for name in ("height", "width", "short_side"):
            value = getattr(self, name)
            if value is not None:
                demand = f"sizes must be between 1 and {_LARGEST} whole pixels"
                object.__setattr__(self, name, whole_number(value, 1, _LARGEST, demand))
        if self.height is not None and self.width is not None and self.height * self.width > _MOST_PIXELS:
            raise UsageError(
                f"frames of {self.width}x{self.height} are too large: 8192x8192 is the most; choose a smaller "
                f"{option('size')}"
            )

    def resolve(self, height: int, width: int) -> tuple[int, int]:
        """Return the ``(height, width)`` of frames made from pictures of ``height`` x ``width``.

        Raises
        ------
        VideoError
            If a video so long and narrow gives frames that are too large.
        """
        if self.short_side is None:
            assert self.height is not None
            assert self.width is not None
            return self.height, self.width
        scale = self.short_side / min(height, width)
        resized = max(1, round(height * scale)), max(1, round(width * scale))
        if max(resized) > _LARGEST or resized[0] * resized[1] > _MOST_PIXELS:
            raise VideoError(
                "open",
                f"its {width}x{height} pixels would grow to {resized[1]}x{resized[0]} with a short side of "
                f"{self.short_side}, and 8192x8192 is the most; --size gives a fixed shape",
            )
        return resized

    @property
    def about_pixels(self) -> int:
        """Pixels of a frame; with a short side alone, of one of 16:9."""
        if self.short_side is not None:
            return self.short_side**2 * 16 // 9
        assert self.height is not None
        assert self.width is not None
        return self.height * self.width

    def __str__(self) -> str:
        return f"short side {self.short_side}" if self.short_side is not None else f"{self.width}x{self.height}"
