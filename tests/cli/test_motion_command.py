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
        (["--flow-preset", "slow"], ["--flow-preset", "'slow'", "'fast', 'accurate'"]),
        (["--flow-dtype", "int8"], ["--flow-dtype", "'int8'", "'uint8', 'float16'"]),
        (["--features", "conv1:x.pt"], ["the file of --features 'conv1:x.pt' cannot be read", "zncc"]),
        (["--features", "conv1:"], ["--features conv1: names no file"]),
        (["--features", "sift"], ["there is no --features 'sift': choose from zncc, conv1:FILE"]),
        (["--assignment", "hard"], ["--assignment", "'hard'", "'soft', 'wta'"]),
        (["--radius", "0"], ["--radius", "'0' is not a radius", "1 to 15"]),
        (["--radius", "16"], ["'16' is not a radius", "1 to 15"]),
        (["--radius", "4x"], ["'4x' is not a radius", "7x4"]),
        (["--temperature", "-1"], ["--temperature must be a number of at least 1e-06", "got -1.0"]),
        (["--temperature", "warm"], ["--temperature", "'warm'"]),
        (["--warp-by", "rgb"], ["--warp-by", "'rgb'", "'displacement', 'flow'"]),
        (["--difference-dtype", "uint8"], ["--difference-dtype", "'uint8'", "'int8', 'float16'"]),
    ],
)
def test_what_is_refused(
    arguments: list[str], words: list[str], dataset: Path, refused: Callable, tmp_path: Path
) -> None:
    arguments = [*arguments, *(part for name in MODALITIES for part in ("--modality", name))]
    sentence = refused("extract", dataset, "--out", tmp_path / "cache", *arguments)
    for word in words:
        assert word in sentence
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("arguments", "users"),
    [
        (["--flow-preset", "fast"], "flow, or of warped-difference with --warp-by flow"),
        (["--flow-dtype", "uint8"], "flow"),
        (["--features", "zncc"], "cost-volume, displacement, or of warped-difference with --warp-by displacement"),
        (["--radius", "3"], "cost-volume, displacement, or of warped-difference with --warp-by displacement"),
        (["--assignment", "soft"], "displacement, or of warped-difference with --warp-by displacement"),
        (["--temperature", "0.1"], "displacement, or of warped-difference with --warp-by displacement"),
        (["--warp-by", "flow"], "warped-difference"),
        (["--difference-dtype", "int8"], "warped-difference"),
    ],
)
def test_options_of_no_use_are_named_as_typed(
    arguments: list[str], users: str, dataset: Path, refused: Callable, tmp_path: Path
) -> None:
    option = arguments[0]
    sentence = refused("extract", dataset, "--out", tmp_path / "cache", *arguments)
    assert sentence == (
        f"{option} is an option of {users}, and what is extracted is residual: add the modality, or leave {option} out"
    )


def test_options_that_contradict_each_other(dataset: Path, refused: Callable, tmp_path: Path) -> None:
    out = ["extract", dataset, "--out", tmp_path / "cache", "-m", "displacement"]
    sentence = refused(*out, "--assignment", "wta", "--temperature", "0.1")
    assert sentence == "--temperature is of soft assignment, and --assignment is wta: leave one of them out"


def test_another_configuration_is_told_in_options(
    dataset: Path, refused: Callable, vidprep_command: Callable, tmp_path: Path
) -> None:
    out = ["extract", dataset, "--out", tmp_path / "cache", "-m", "flow", "--size", "32x24", "--workers", "1"]
    assert vidprep_command(*out).exit_code == 0
    sentence = refused(*out, "--flow-preset", "accurate", "-m", "rgb", "--shard-videos", "2")
    for words in (
        "--modality is flow there and flow+rgb here",
        "--flow-preset is fast there and accurate here",
        "--shard-videos is not given there and 2 here",
    ):
        assert words in sentence
