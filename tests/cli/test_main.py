"""The program around its commands: help, mistakes on the command line, exit statuses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from extraction import run_vidprep
from vidprep import __version__
from vidprep.cli.main import main

COMMANDS = ["extract", "info", "verify", "preview", "index", "doctor"]


def test_help_lists_all_commands(vidprep_command: Callable) -> None:
    result = vidprep_command("--help")
    assert result.exit_code == 0
    for name in COMMANDS:
        assert name in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_what_the_list_says(name: str, vidprep_command: Callable) -> None:
    result = vidprep_command(name, "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: vidprep {name} ")
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.get_short_help_str(200) in vidprep_command("--help").output


def test_help_imports_nothing_expensive() -> None:
    script = """
import sys
from vidprep.cli.main import main
try:
    main(["--help"])
except SystemExit:
    pass
expensive = {"numpy", "numba", "h5py", "pyarrow", "av", "cupy", "nvidia", "rich", "torch"}
print("imported:", *sorted(expensive & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == "imported:"


def test_version(vidprep_command: Callable) -> None:
    assert vidprep_command("--version").output == f"vidprep, version {__version__}\n"


def test_help_shows_exit_statuses_and_sizes_as_they_are(vidprep_command: Callable) -> None:
    assert "damage was found, or the run could not go on" in vidprep_command("--help").output
    text = vidprep_command("extract", "--help").output
    assert "--size WxH" in text
    assert "or the run could not go on" in text


def test_no_command_shows_the_help(vidprep_command: Callable) -> None:
    result = vidprep_command()
    assert result.exit_code == 2
    assert "Commands:" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--colour"], "No such option '--colour'"),
        (["extrakt"], "No such command 'extrakt'"),
        (["extract"], "Missing argument 'SOURCE'; see vidprep extract --help"),
        (["extract", "videos"], "Missing option '--out' / '-o'; see vidprep extract --help"),
        (["extract", "videos", "--out", "c", "--stpe", "4"], "No such option '--stpe'"),
        (["extract", "videos", "more", "--out", "c"], "unexpected extra argument"),
        (["extract", "videos", "--out"], "'--out' requires an argument"),
        (["info"], "Missing argument 'CACHE'"),
        (
            ["extract", "-src", "--out", "c"],
            "No such option '-s' (write -- before a name that begins with a dash); see",
        ),
    ],
)
def test_mistakes_are_one_sentence(arguments: list[str], sentence: str, refused: Callable) -> None:
    assert sentence in refused(*arguments)


def test_a_bug_is_one_sentence_too(
    refused: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, vidprep_command: Callable
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr("vidprep.cli.info.Cache", broken)
    sentence = refused("info", tmp_path, status=1)
    assert sentence == "unexpected ZeroDivisionError (division by zero); vidprep --debug info ... says where"


def test_debug_shows_where() -> None:
    result = run_vidprep("--debug", "info", "/nowhere/at/all")
    assert result.returncode == 1
    assert result.stderr.startswith("Traceback")
    assert result.stderr.splitlines()[-1].startswith("vidprep: /nowhere/at/all is not a cache")


def test_exit_statuses_of_the_real_program(tmp_path: Path) -> None:
    assert run_vidprep("--version").returncode == 0
    missing = run_vidprep("extract", tmp_path / "absent", "--out", tmp_path / "cache")
    assert missing.returncode == 2
    assert missing.stdout == ""
    assert missing.stderr.count("\n") == 1
