"""``vidprep extract`` and ``info`` of motion modalities: their options, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import vidprep
from vidprep.pipeline.modalities import MODALITIES


def test_options_of_motion(dataset: Path, vidprep_command: Callable, tmp_path: Path) -> None:
    run = vidprep_command
    config = tmp_path / "config.toml"
    config.write_text('modality = ["flow", "warped-difference"]\nradius = 3\nflow_preset = "accurate"\n')
    out = tmp_path / "cache"
    result = run(
        "extract", dataset, "--out", out, "--config", config, "--radius", "2x3", "--temperature", "0.1", "--workers",
        "1", "--size", "32x24", "--flow-dtype", "float16", "--difference-dtype", "float16", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    stored = vidprep.Cache(out).header.config
    assert (stored["radius"], stored["temperature"], stored["flow_preset"]) == ([3, 2], 0.1, "accurate")
    info = json.loads(run("info", out, "--json").stdout)
    assert [(modality["name"], modality["channels"], modality["dtype"]) for modality in info["modalities"]] == [
        ("flow", 2, "float16"),
        ("warped-difference", 3, "float16"),
    ]
    assert "32x24" in run("info", out).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--flow-preset", "slow"], ["'slow'", "'fast', 'accurate'"]),
        (["--flow-dtype", "int8"], ["'int8'", "'uint8', 'float16'"]),
        (["--features", "conv1:x.pt"], ["'conv1:x.pt'", "zncc"]),
        (["--assignment", "hard"], ["'hard'", "'soft', 'wta'"]),
        (["--radius", "0"], ["'0' is not a radius", "1 to 15"]),
        (["--radius", "16"], ["'16' is not a radius", "1 to 15"]),
        (["--radius", "4x"], ["'4x' is not a radius", "7x4"]),
        (["--temperature", "-1"], ["at least 1e-06", "got -1.0"]),
        (["--temperature", "warm"], ["'warm'"]),
        (["--warp-by", "rgb"], ["'rgb'", "'displacement', 'flow'"]),
        (["--difference-dtype", "uint8"], ["'uint8'", "'int8', 'float16'"]),
        (["--modality", "residual", "--radius", "3"], ["radius is an option of cost-volume, displacement"]),
    ],
)
def test_what_is_refused(
    arguments: list[str], words: list[str], dataset: Path, refused: Callable, tmp_path: Path
) -> None:
    if "--modality" not in arguments:
        arguments = [*arguments, *(part for name in MODALITIES for part in ("--modality", name))]
    sentence = refused("extract", dataset, "--out", tmp_path / "cache", *arguments)
    for word in words:
        assert word in sentence
    assert not (tmp_path / "cache").exists()
