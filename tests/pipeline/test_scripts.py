"""Programs of a user that extract: workers run nothing of them, however they are written and started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GUARDED = """
import vidprep
print("started")
if __name__ == "__main__":
    vidprep.extract("videos/", "cache/", size=(24, 32), workers=2)
cache = vidprep.Cache("cache/")
print(len(cache), "videos")
"""
UNGUARDED = GUARDED.replace('__name__ == "__main__"', "True")


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        pytest.param(GUARDED, ["script.py"], id="with a guard"),
        pytest.param(UNGUARDED, ["script.py"], id="without a guard"),
        pytest.param(UNGUARDED, ["-W", "error::ResourceWarning", "-"], id="from stdin"),
        pytest.param(UNGUARDED, ["-c", UNGUARDED], id="in the command line"),
    ],
)
def test_a_script_runs_once(script: str, arguments: list[str], dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").symlink_to(dataset)
    (tmp_path / "script.py").write_text(script)
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "started\n4 videos\n"
