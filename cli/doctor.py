"""``vidprep doctor``."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..pipeline.doctor import Finding, examine, is_sound
from .rendering import echo_json

_COLOURS = {"ok": "green", "warn": "yellow", "missing": "cyan", "broken": "bold red"}


@click.command("doctor", short_help="Say what this machine can do, and what to install.")
@click.option(
    "--cache",
    type=click.Path(),
    default=".",
    metavar="DIR",
    help="Where a cache would be written: measure that disk.  [default: this folder]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(cache: str, as_json: bool) -> None:
    """Look at this machine: cores, FFmpeg's codecs, GPU and its video decoder, libraries, disk.

    What is optional and not there is called missing, with the command that installs it. 64 MB are written to measure
    the disk, and removed again.

    \b
    Exit status: 0 the CPU path works (all that vidprep needs), 1 a core part is broken.
    """
    findings = examine(cache)
    sound = is_sound(findings)
    if as_json:
        echo_json({"sound": sound, "findings": [asdict(finding) for finding in findings]})
    elif sys.stdout.isatty():
        _show_table(findings)
    else:
        _show_plain(findings)
    if not as_json:
        click.echo(_verdict(findings, sound))
    sys.exit(0 if sound else 1)


def _show_table(findings: list[Finding]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    for heading in ("what", "found", "to do"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "what")
    for finding in findings:
        status = Text(finding.status, style=_COLOURS[finding.status])
        table.add_row(status, finding.what, Text(finding.value), Text(finding.advice, style="dim"))
    Console().print(table)


def _show_plain(findings: list[Finding]) -> None:
    widths = [max(len(getattr(finding, field)) for finding in findings) for field in ("status", "what")]
    for finding in findings:
        advice = f"  -> {finding.advice}" if finding.advice else ""
        click.echo(f"{finding.status:{widths[0]}}  {finding.what:{widths[1]}}  {finding.value}{advice}")


def _verdict(findings: list[Finding], sound: bool) -> str:
    if not sound:
        broken = ", ".join(finding.what for finding in findings if finding.status == "broken")
        return f"\nvidprep cannot work here until this is mended: {broken}"
    by_name = {finding.what: finding.status for finding in findings}
    on_gpu = all(by_name.get(what) == "ok" for what in ("GPU 0", "CuPy"))
    decoded = on_gpu and all(by_name.get(what) == "ok" for what in ("NVDEC", "DALI"))
    if decoded:
        return "\nReady: decoding and kernels run on the GPU (--device auto)."
    if on_gpu:
        return "\nReady: kernels run on the GPU, decoding on the CPU."
    return "\nReady: everything runs on the CPU."
