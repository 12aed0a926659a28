"""``vidprep.models`` as a package: its names need no torch, and the README's example runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_names_need_no_torch() -> None:
    code = """
import sys
import vidprep.models
assert not {"torch", "numpy", "pyarrow", "numba"} & set(sys.modules)
sys.modules["torch"] = None
for name in vidprep.models.__all__:
    getattr(vidprep.models, name)
assert set(vidprep.models.__all__) <= set(dir(vidprep.models))
"""
    run_python(code)


def test_there_is_no_other_name() -> None:
    import vidprep.models

    with pytest.raises(AttributeError, match="no attribute 'Clips'"):
        _ = vidprep.models.Clips


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_the_examples_of_the_readme(repository_root: Path, tmp_path, clip_cache, monkeypatch) -> None:
    pytest.importorskip("torch")
    examples = re.findall(r"```python\n(.*?)```", _section(repository_root, "Train from it"), re.DOTALL)
    videos = {f"{name}/{i}.avi": 20 for name in "AB" for i in range(2)}
    options = {"modalities": ["residual"], "splits": dict.fromkeys(videos, "train")}
    clip_cache(tmp_path / "cache", videos, sizes={"residual": (128, 170)}, **options)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for number, example in enumerate(examples):
        exec(compile(example, f"README.md, example {number}", "exec"), names)
        assert ("clips" in names) == (number > 0)
        if number != 1:
            assert names["inputs"].shape == (4, 3, 16, 112, 112)
    assert names["clips"].shape == (4, 16, 112, 112, 3)
    assert sorted(names["labels"].tolist()) == [0, 0, 1, 1]


def _section(repository_root: Path, title: str) -> str:
    text = (repository_root / "README.md").read_text()
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]
