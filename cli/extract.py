"""``vidprep extract``."""

from __future__ import annotations

import sys
from fractions import Fraction
from typing import Any

import click

from ..pipeline.modalities import MODALITIES
from ..pipeline.motion import (
    ASSIGNMENTS,
    DEFAULT_RADIUS,
    DEFAULT_TEMPERATURE,
    DIFFERENCE_DTYPES,
    FLOW_DTYPES,
    FLOW_PRESETS,
    MAX_RADIUS,
    MIN_TEMPERATURE,
    WARPS,
)
from ..pipeline.run import ExtractReport, extract
from .config_file import read_config
from .options import FPS, RADIUS, SIZE
from .progress import ProgressDisplay
from .rendering import counted, echo_json, readable_bytes

_SHOWN_FAILURES = 5


@click.command("extract", short_help="Turn videos into a cache of motion modalities.")
@click.argument("source", type=click.Path())
@click.option("--out", "-o", required=True, type=click.Path(), metavar="CACHE", help="Folder of the cache.")
@click.option(
    "--modality",
    "-m",
    "modalities",
    multiple=True,
    default=("residual",),
    show_default=True,
    metavar="M",
    help=f"What to compute; may be repeated: {', '.join(MODALITIES)}.",
)
@click.option("--size", type=SIZE, metavar="WxH", help="Size of the frames, width first.  [default: 170x128]")
@click.option("--short-side", type=click.IntRange(1, 16384), metavar="N", help="Instead: keep the shape, short side N.")
@click.option("--fps", type=FPS, help="Pick F frames per second by timestamp.  [default: every frame]")
@click.option(
    "--step",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    metavar="S",
    help="Distance in frames of the two pictures that motion is computed from.",
)
@click.option(
    "--flow-preset",
    type=click.Choice(FLOW_PRESETS),
    help="How TV-L1 flow is estimated.  [default: fast]",
)
@click.option(
    "--flow-dtype",
    type=click.Choice(FLOW_DTYPES),
    help="How flow is stored: uint8 is clipped to 20 pixels.  [default: uint8]",
)
@click.option(
    "--features",
    metavar="zncc|conv1:FILE",
    help="What displacement and cost-volume match: grey patches by their correlation, or the first layer of the "
    "network in a torch checkpoint, of which warped-difference is then, too.  [default: zncc]",
)
@click.option(
    "--radius",
    type=RADIUS,
    metavar="N|XxY",
    help=f"How far they look, 1 to {MAX_RADIUS} pixels; 7x4 is 7 across and 4 down.  [default: {DEFAULT_RADIUS}]",
)
@click.option(
    "--assignment",
    type=click.Choice(ASSIGNMENTS),
    help="Displacement as an expectation, or winner-take-all.  [default: soft]",
)
@click.option(
    "--temperature",
    type=float,
    metavar="T",
    help=f"Of soft assignment, at least {MIN_TEMPERATURE:g}; chosen for zncc, and conv1 features may want less.  "
    f"[default: {DEFAULT_TEMPERATURE:g}]",
)
@click.option(
    "--warp-by",
    type=click.Choice(WARPS),
    help="What a warped-difference is warped by.  [default: displacement]",
)
@click.option(
    "--difference-dtype",
    type=click.Choice(DIFFERENCE_DTYPES),
    help="How a warped-difference is stored: int8 is in steps of 2 grey levels.  [default: int8]",
)
@click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N", help="Where to decode and compute."
)
@click.option(
    "--decoder", type=click.Choice(["auto", "dali", "pyav"]), default="auto", show_default=True, help="Who decodes."
)
@click.option(
    "--codec",
    default="lz4",
    show_default=True,
    metavar="lz4|zstd|none",
    help="How frames are compressed.",
)
@click.option(
    "--shard-videos",
    type=click.IntRange(1),
    metavar="N",
    help="Videos of a shard file.  [default: by their number, 1 to 32]",
)
@click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="Worker processes.  [default: one per core, or per GPU]"
)
@click.option("--engine", type=click.Choice(["local"]), default="local", show_default=True, help="Who schedules.")
@click.option(
    "--labels", metavar="FILE", help="ucf101:DIR, hmdb51:DIR, kinetics:FILE.csv, or a CSV path,label[,split]."
)
@click.option(
    "--on-error",
    type=click.Choice(["skip", "fail"]),
    default="skip",
    show_default=True,
    help="Record a broken video and go on, or stop at the first.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=1),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Give a video up that shows no progress for this long.",
)
@click.option("--overwrite", is_flag=True, help="Remove a cache that is there and start anew.")
@click.option(
    "--config",
    type=click.Path(dir_okay=False),
    is_eager=True,
    expose_value=False,
    callback=read_config,
    metavar="FILE",
    help='Read options from a TOML file (step = 4, size = "170x128", ...).',
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(source: str, out: str, as_json: bool, engine: str, size: tuple[int, int] | None, fps: Fraction | None,
            **options: Any) -> None:  # fmt: skip
    """Decode every video of SOURCE once, compute modalities, and write them into CACHE.

    SOURCE is a folder (class = first sub-folder), a single video, or a list (.txt or .csv). A run that was
    interrupted is resumed by the same command. Broken videos are listed with their reason in CACHE/failures.csv.

    \b
    Exit status: 0 all done; 1 some videos failed, or the run could not go on;
    2 wrong usage; 130 interrupted.
    """
    with ProgressDisplay(quiet=as_json) as display:
        try:
            report = extract(source, out, size=size, fps=fps, on_progress=display.update, **options)
        except KeyboardInterrupt:
            display.close()
            again = "the same command without --overwrite" if options["overwrite"] else "the same command"
            click.echo(f"vidprep: interrupted; {again} goes on where this run stopped", err=True)
            sys.exit(130)
    if as_json:
        echo_json(report)
    else:
        for warning in report.warnings:
            click.echo(f"note: {warning}", err=True)
        _summarise(report)
    sys.exit(1 if report.failures else 0)


def _summarise(report: ExtractReport) -> None:
    new = counted(report.frames, "frame")
    speed = (
        f"{counted(round(report.frames / report.seconds), 'frame')}/s" if report.frames else "nothing was left to do"
    )
    click.echo(
        f"{report.cache}: {counted(report.num_videos, 'video')} in the cache; this run decoded {new} and wrote "
        f"{readable_bytes(report.num_bytes)} in {report.seconds:.1f} s ({speed})"
    )
    if report.videos_before:
        click.echo(f"{counted(report.videos_before, 'video')} had been finished by an earlier run")
    if report.failures:
        click.echo(f"{counted(len(report.failures), 'video')} failed, listed in {report.cache / 'failures.csv'}:")
        for failure in report.failures[:_SHOWN_FAILURES]:
            click.echo(f"  {failure.video}: {failure.reason} ({failure.stage})")
        if len(report.failures) > _SHOWN_FAILURES:
            click.echo(f"  ... and {len(report.failures) - _SHOWN_FAILURES} more")
