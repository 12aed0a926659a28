"""Collecting what is wrong with many things, to say it at once instead of one at a time."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import UsageError


def counted(names: Sequence[str], one: str, many: str, limit: int = 3) -> str:
    """Count things and name the first few: ``2 are missing ('a.mp4', 'b.mp4')``.

    Parameters
    ----------
    names
        At least one. They are quoted, so control characters and undecodable bytes show as escapes.
    one, many
        What follows the number 1, and what follows any other.
    """
    shown = ", ".join(repr(name) for name in names[:limit])
    more = f" and {len(names) - limit:,} more" if len(names) > limit else ""
    return f"{len(names):,} {one if len(names) == 1 else many} ({shown}{more})"


class Problems:
    """Problems by kind, in the order in which the kinds first turned up."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[str]] = {}

    def add(self, one: str, many: str, name: str) -> None:
        """Record that ``name`` is, or has, what ``one`` says; ``many`` says it of several."""
        self._found.setdefault((one, many), []).append(name)

    def __bool__(self) -> bool:
        return bool(self._found)

    def raise_any(self, subject: str, advice: str) -> None:
        """Raise one ``UsageError`` about everything recorded; do nothing if nothing was."""
        if not self._found:
            return
        kinds = [counted(names, one, many) for (one, many), names in self._found.items()]
        listed = " and ".join(kinds) if len(kinds) < 3 else f"{', '.join(kinds[:-1])} and {kinds[-1]}"
        raise UsageError(f"{subject}: {listed}; {advice}")
