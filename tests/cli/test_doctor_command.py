"""``vidprep doctor``: table, JSON, exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from vidprep.cli import doctor
from vidprep.cli.main import main
from vidprep.pipeline.doctor import Finding

OK = Finding(what="Python", value="3.12")
MISSING = Finding(what="torch", value="not installed", status="missing", advice='pip install "vidprep[train]"')
BROKEN = Finding(what="HDF5", value="no", status="broken", advice="reinstall")
ON_GPU = [Finding(what=what, value="yes") for what in ("GPU 0", "CuPy")]


def given(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    monkeypatch.setattr(doctor, "examine", lambda folder: list(findings))


def test_a_real_run_says_that_the_cpu_path_works(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", "--cache", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert f"in {tmp_path}" in result.stdout
    assert "\nReady: " in result.stdout
    assert "\x1b" not in result.stdout


def test_plain_lines_are_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, OK, MISSING)
    lines = CliRunner().invoke(main, ["doctor"]).stdout.splitlines()
    assert lines[:2] == [
        "ok       Python  3.12",
        'missing  torch   not installed  -> pip install "vidprep[train]"',
    ]
    assert lines[-1] == "Ready: everything runs on the CPU."


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    doctor._show_table([OK, MISSING])
    shown = capsys.readouterr().out
    assert "to do" in shown
    assert "vidprep[train]" in shown  # and not taken for markup


def test_a_broken_core_gives_exit_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, OK, BROKEN)
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert result.stdout.endswith("vidprep cannot work here until this is mended: HDF5\n")


def test_json_has_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, OK, MISSING, BROKEN)
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert answer["sound"] is False
    assert answer["findings"][1] == {
        "what": "torch", "value": "not installed", "status": "missing", "advice": 'pip install "vidprep[train]"',
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ([], "kernels run on the GPU, decoding on the CPU"),
        ([Finding(what=what, value="yes") for what in ("NVDEC", "DALI")], "decoding and kernels run on the GPU"),
    ],
)
def test_the_verdict_says_what_runs_where(monkeypatch: pytest.MonkeyPatch, more: list[Finding], verdict: str) -> None:
    given(monkeypatch, OK, *ON_GPU, *more)
    assert verdict in CliRunner().invoke(main, ["doctor"]).stdout
