"""Ctrl-C and SIGTERM at moments when a run has not begun, or already ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from extraction import command_line
from interruption import interruptible
from media import write_clip

# Sends a signal to itself when the given module is about to be imported.
INTERRUPTED_IMPORT = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Finder())
sys.argv[1:] = ["info", "nowhere"]
from vidprep.cli.entry import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["vidprep.cli.main", "click", "vidprep.cli.info", "numpy"])
def test_interrupted_in_its_imports(module: str, number: signal.Signals) -> None:
    script = INTERRUPTED_IMPORT.format(module=module, number=int(number))
    command = interruptible([sys.executable, "-c", script])
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "vidprep: interrupted\n")


def test_what_was_told_to_ignore_signals_does() -> None:
    script = INTERRUPTED_IMPORT.format(module="click", number=int(signal.SIGINT))
    script = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + script
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert result.stderr.startswith("vidprep: nowhere is not a cache")


def test_impatience_leaves_no_traceback(tmp_path: Path) -> None:
    """Ctrl-C again and again, while workers get the time to end."""
    source = tmp_path / "videos"
    source.mkdir()
    for number in range(3):
        write_clip(source / f"{number}.avi", codec="mpeg4", num_frames=60, size=(120, 160), seed=number)
    options = ["--workers", "2", "--shard-videos", "1", "--size", "640x480", "--codec", "zstd"]
    command = interruptible(command_line("extract", source, "--out", tmp_path / "cache", *options))
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("cache/shards/.*.tmp")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    while process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.01)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "vidprep: interrupted" in errors
