"""What the make targets say on a machine that cannot run them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

if shutil.which("make") is None:
    pytest.skip("make is not installed", allow_module_level=True)


@pytest.fixture
def checkout(tmp_path: Path, repository_root: Path) -> Path:
    """As much of a fresh checkout as the set-up looks at, in a folder with a space in its name."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("Makefile", "setup.cfg", "setup.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(repository_root / name, folder)
    return folder


def make_with(checkout: Path, interpreter: str) -> str:
    """Run ``make test`` with a stand-in for Python, a shell script; it must fail in one line, and make no .venv."""
    python = checkout / "python"
    python.write_text(f"#!/bin/sh\n{interpreter}\n")
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "test", "PYTHON=./python"], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert not (checkout / ".venv").exists()
    sentence, *rest = done.stderr.splitlines()
    assert all(line.startswith("make") for line in rest)
    return sentence


def test_old_python_is_refused(checkout: Path) -> None:
    sentence = make_with(checkout, 'if [ "$1" = --version ]; then echo Python 3.8.2; else exit 1; fi')
    assert "3.10 or newer" in sentence
    assert "Python 3.8.2" in sentence
    assert "make PYTHON=" in sentence


def test_missing_venv_module_is_named(checkout: Path) -> None:
    sentence = make_with(checkout, 'case "$2" in *ensurepip*) exit 1;; esac')
    assert "python3-venv" in sentence
