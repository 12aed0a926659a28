"""The errors a user can meet. Each message is one sentence: what was got, what is allowed, what to do next."""

from __future__ import annotations


class VidprepError(Exception):
    """Anything vidprep refuses or cannot do; ``str(error)`` is one sentence written for the user."""


class UsageError(VidprepError, ValueError):
    """The request itself is wrong (an option, a path, a config that does not match the cache). Exit status 2."""


class MissingExtraError(VidprepError, ImportError):
    """An optional dependency is needed and not installed; the message names the extra and the pip command."""


class CacheError(VidprepError):
    """A cache on disk is absent, of an unknown version, or damaged."""


class OutputError(VidprepError, OSError):
    """The cache cannot be written (read-only, disk full, locked by another run)."""


class DiskFullError(OutputError):
    """There is no room for the cache (disk, quota or file size limit)."""


class VideoError(VidprepError):
    """One video cannot be processed. Caught at the boundary of one video and recorded in ``failures.csv``.

    Parameters
    ----------
    stage
        Where it failed: ``open``, ``decode``, ``compute`` or ``worker``.
    reason
        One sentence, without the video's name.
    """

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(reason)
        self.stage = stage
        self.reason = reason

    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str]]:
        return type(self), (self.stage, self.reason)  # exceptions with two arguments do not pickle by themselves
