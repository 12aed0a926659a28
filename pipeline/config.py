"""The configuration of an extraction: everything that decides the bytes of a cache, and nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from typing import Any

from .cache.codecs import CODECS
from .cache.format import DEFAULT_CHUNK_FRAMES, without_places
from .decode.size import FrameSize
from .errors import UsageError
from .layer_file import LayerFile
from .modalities import get_modality
from .motion import OPTION_NAMES, MotionOptions
from .numbers import frame_rate, whole_number
from .option_names import option

DEFAULT_SIZE = FrameSize(height=128, width=170)
DECODERS = ("auto", "dali", "pyav")
_MAX_STEP = 1024
_MAX_CHUNK_FRAMES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractConfig:
    """What is computed and how it is stored. Numbers may be of any kind, NumPy's included; plain ones are kept.

    Parameters
    ----------
    modalities
        Names of ``pipeline.modalities``, in any order; kept sorted, without doubles.
    size
        Of the frames.
    fps
        Frames per second picked by timestamp, ``None`` for all frames.
    step
        Distance in frames between the two pictures of a motion modality, 1 to 1024.
    codec
        Name of ``pipeline.cache.codecs``.
    chunk_frames
        Frames of an HDF5 chunk.
    shard_videos
        Videos of a shard, ``None`` to choose by their number (see ``pipeline.plan``).
    motion
        Options of the motion modalities; kept with defaults where they apply, so an option that does not is no part of
        the configuration.

    Raises
    ------
    UsageError
        If an option of ``motion`` is of no use to the modalities, or a value is not allowed; the message says
        which are.
    """

    modalities: tuple[str, ...] = ("residual",)
    size: FrameSize = DEFAULT_SIZE
    fps: Fraction | None = None
    step: int = 1
    codec: str = "lz4"
    chunk_frames: int = DEFAULT_CHUNK_FRAMES
    shard_videos: int | None = None
    motion: MotionOptions = field(default_factory=MotionOptions)

    def __post_init__(self) -> None:
        if not self.modalities:
            raise UsageError(f"at least one {option('modalities', 'modality')} is needed, for example residual")
        for name in self.modalities:
            get_modality(name)
        if not isinstance(self.codec, str) or self.codec not in CODECS:
            raise UsageError(f"there is no {option('codec')} {self.codec!r}: choose from {', '.join(CODECS)}")
        step = whole_number(self.step, 1, _MAX_STEP, f"{option('step')} must be 1 to {_MAX_STEP} frames")
        chunk_frames = whole_number(
            self.chunk_frames, 1, _MAX_CHUNK_FRAMES, f"chunks must hold 1 to {_MAX_CHUNK_FRAMES} frames"
        )
        object.__setattr__(self, "modalities", tuple(sorted(set(self.modalities))))
        object.__setattr__(self, "motion", self.motion.for_modalities(self.modalities))
        object.__setattr__(self, "step", step)
        object.__setattr__(self, "chunk_frames", chunk_frames)
        if self.fps is not None:
            object.__setattr__(self, "fps", frame_rate(self.fps))
        if self.shard_videos is not None:
            shard_videos = whole_number(self.shard_videos, 1, None, "a shard must hold at least 1 video")
            object.__setattr__(self, "shard_videos", shard_videos)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, nested as the fields are; but options of ``motion`` that apply stand beside."""
        values = asdict(self)
        del values["motion"]
        values.update(self.motion.to_json())
        values["modalities"] = list(self.modalities)
        values["fps"] = None if self.fps is None else str(self.fps)
        values["size"] = {key: value for key, value in values["size"].items() if value is not None}
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ExtractConfig:
        """Undo ``to_json``."""
        motion = {name: values[name] for name in OPTION_NAMES if name in values}
        rest = {name: value for name, value in values.items() if name not in motion}
        known = {field.name for field in fields(cls)} - {"motion"}
        if set(rest) != known:
            raise UsageError(f"a config must have the keys {', '.join(sorted(known))}, got {', '.join(sorted(rest))}")
        config = cls(
            **{
                **rest,
                "modalities": tuple(rest["modalities"]),
                "size": FrameSize(**rest["size"]),
                "fps": None if rest["fps"] is None else Fraction(rest["fps"]),
                "motion": MotionOptions.from_json(motion),
            }
        )
        lacking = set(config.to_json()) - set(values)
        if lacking:
            raise UsageError(f"a config of these modalities must have the keys {', '.join(sorted(lacking))} too")
        return config

    def differences(self, other: ExtractConfig) -> list[str]:
        """Say in words how ``other`` differs: ``step is 1 there and 4 here``.

        An option that applies to one of them alone follows from a difference that is said.
        """
        mine, theirs = self.to_json(), other.to_json()
        return [
            f"{option(key)} is {_show(key, theirs[key])} there and {_show(key, mine[key])} here"
            for key in mine
            if key in theirs and without_places(mine[key]) != without_places(theirs[key])
        ]


def _show(key: str, value: Any) -> str:
    if value is None:
        return "not given"
    if key == "size":
        return str(FrameSize(**value))
    if key == "modalities":
        return "+".join(value)
    if key == "radius":
        return f"{value[0]} down, {value[1]} across"
    if key == "features" and isinstance(value, dict):
        return str(LayerFile(**value))
    return str(value)
