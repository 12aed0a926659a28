"""The size that frames are resized to: fixed, or following each video's shape."""

from __future__ import annotations

from dataclasses import dataclass

_LARGEST = 16384


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSize:
    """Either a fixed ``height`` and ``width``, or a ``short_side`` that keeps the picture's shape.

    Raises
    ------
    ValueError
        If neither or both are given, or a number is not between 1 and 16384.
    """

    height: int | None = None
    width: int | None = None
    short_side: int | None = None

    def __post_init__(self) -> None:
        fixed = self.height is not None and self.width is not None
        if fixed == (self.short_side is not None) or (self.height is None) != (self.width is None):
            raise ValueError("a size is either a height and a width or a short side")
        for value in (self.height, self.width, self.short_side):
            if value is not None and not 1 <= value <= _LARGEST:
                raise ValueError(f"sizes must be between 1 and {_LARGEST} pixels, got {value}")

    def resolve(self, height: int, width: int) -> tuple[int, int]:
        """Return the ``(height, width)`` of frames made from pictures of ``height`` x ``width``."""
        if self.short_side is None:
            assert self.height is not None
            assert self.width is not None
            return self.height, self.width
        scale = self.short_side / min(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))

    def __str__(self) -> str:
        return f"short side {self.short_side}" if self.short_side is not None else f"{self.width}x{self.height}"
