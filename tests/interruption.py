"""Killing runs of ``vidprep extract`` at random moments, and resuming them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from extraction import cache_bytes, command_line

_LONGEST_RUN = 120  # seconds


@dataclass(frozen=True, kw_only=True)
class Killing:
    """How a series of kills went."""

    kills: int
    resumed: int  # of them, those after which an earlier run's finished shards were there
    caches: int  # that were killed and resumed until they were complete


def run_and_time(arguments: Sequence[str | os.PathLike[str]]) -> float:
    """Run ``vidprep`` undisturbed; return the seconds it took."""
    began = time.monotonic()
    result = subprocess.run(command_line(*arguments), check=False, capture_output=True, text=True, timeout=_LONGEST_RUN)
    assert result.returncode == 0, result.stderr
    return time.monotonic() - began


def kill_and_resume(
    source: Path, folder: Path, options: Sequence[str], *, kills: int, seed: int, start_up: float = 0.4
) -> Killing:
    """Kill an extraction, and all of its workers, at random moments; resume it; compare every byte in the end.

    Parameters
    ----------
    source
        The videos.
    folder
        Where caches are made.
    options
        Of ``vidprep extract``.
    kills
        How often to kill. A cache that is complete before is compared, and another one begun.
    seed
        Of the moments.
    start_up
        Part of a run in which nothing is written yet: few kills shall fall there.

    Raises
    ------
    AssertionError
        A shard that counts as finished, or a whole cache, has other bytes than those of an undisturbed run.
    """
    rng = random.Random(seed)
    duration = run_and_time(["extract", source, "--out", folder / "undisturbed", *options])
    expected = cache_bytes(folder / "undisturbed")
    done = resumed = caches = 0
    while done < kills:
        cache = folder / f"killed-{caches}"
        arguments = ["extract", source, "--out", cache, *options]
        while done < kills:
            moment = duration * (rng.uniform(start_up, 1) if rng.random() < 0.9 else rng.uniform(0, start_up))
            if _run_and_kill(arguments, moment):
                break
            done += 1
            resumed += _check_finished_shards(cache, expected) > 0
        run_and_time(arguments)
        assert_same_bytes(cache_bytes(cache), expected)
        caches += 1
    return Killing(kills=done, resumed=resumed, caches=caches)


def assert_same_bytes(actual: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """Compare two ``cache_bytes``, and name what differs instead of showing it."""
    assert sorted(actual) == sorted(expected)
    assert [name for name in expected if actual[name] != expected[name]] == []


def interruptible(command: Sequence[str]) -> list[str]:
    """Return the command such that Ctrl-C ends it, even if the tests run with SIGINT ignored (nohup, ``&``)."""
    start = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-c", start, *command]


def _run_and_kill(arguments: Sequence[str | os.PathLike[str]], seconds: float) -> bool:
    """Kill a run with its workers after ``seconds``; return whether it had ended before."""
    process = subprocess.Popen(
        command_line(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return False
    assert process.returncode == 0, errors
    return True


def _check_finished_shards(cache: Path, expected: dict[str, bytes]) -> int:
    """Check that whatever has its final name has its final bytes; return how many shards are finished."""
    finished = sorted((cache / "shards").glob("shard-*.parquet"))
    for sidecar in finished:
        for path in (sidecar, sidecar.with_suffix(".h5")):
            name = str(path.relative_to(cache))
            assert path.read_bytes() == expected[name], f"{name} looks finished and is not"
    return len(finished)
