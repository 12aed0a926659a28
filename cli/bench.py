"""``vidprep bench``: this machine's own numbers."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from ..models.loader_speed import NETWORKS, LoadingPlan, LoadingSpeed, codec_of, measure_loading
from ..pipeline.cache import CODECS, Cache
from ..pipeline.run import num_cores
from .options import SIZE
from .rendering import echo_json, readable_bytes


@click.group("bench", short_help="Measure what this machine does.")
def command() -> None:
    """Measure what this machine does with a cache."""


@command.command("loader", short_help="Random clips a second out of a cache.")
@click.argument("cache", type=click.Path())
@click.option("--modality", "-m", help="Which to read.  [default: the cache's first]")
@click.option("--length", type=click.IntRange(1), default=16, show_default=True, metavar="N", help="Frames of a clip.")
@click.option("--crop", type=SIZE, default="112x112", show_default=True, help="Part of a frame, at random places.")
@click.option("--whole-frames", is_flag=True, help="Read whole frames instead of a crop.")
@click.option(
    "--batch-size", "batch_sizes", type=click.IntRange(1), multiple=True, default=(8, 32), show_default=True,
    metavar="N", help="Clips of a batch; may be repeated.",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1), multiple=True, metavar="N",
    help="Threads that read; may be repeated.  [default: 1 and all cores]",
)  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(1), multiple=True, metavar="N",
    help="Worker processes of torch's DataLoader instead; may be repeated.",
)  # fmt: skip
@click.option(
    "--codec", "codecs", type=click.Choice(CODECS), multiple=True, default=CODECS, show_default=True,
    help="May be repeated; those that the cache does not have are measured on a copy of the sample.",
)  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0.05), default=1.0, show_default=True, help="Of each measurement.")
@click.option(
    "--sample-mb", type=click.IntRange(1), default=256, show_default=True, metavar="MB",
    help="Decoded frames to read from: whole videos, at random.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def loader(
    cache: str, modality: str | None, length: int, crop: tuple[int, int], whole_frames: bool,
    batch_sizes: tuple[int, ...], threads: tuple[int, ...], workers: tuple[int, ...], codecs: tuple[str, ...],
    seconds: float, sample_mb: int, as_json: bool,
) -> None:  # fmt: skip
    """Read random clips of CACHE for a while, and say how many a second there are.

    By codec, batch size, and who reads: threads of one process, as ClipLoader does, or worker processes of torch's
    DataLoader. All clips are in the page cache: a disk that is slower is not measured.
    """
    opened = Cache(cache)
    plan = LoadingPlan(
        modality=modality or opened.modalities[0],
        length=length,
        crop=None if whole_frames else crop,
        batch_sizes=batch_sizes,
        threads=threads or (() if workers else tuple(sorted({1, num_cores()}))),
        workers=workers,
        codecs=codecs,
        seconds=seconds,
        sample_bytes=sample_mb << 20,
    )
    speeds = list(measure_loading(opened, plan))
    if as_json:
        echo_json(
            {"modality": plan.modality, "length": length, "crop": plan.crop, "measurements": list(map(asdict, speeds))}
        )
    else:
        _show(speeds, plan, codec_of(opened, plan.modality))


def _show(speeds: list[LoadingSpeed], plan: LoadingPlan, own: str | None) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("codec")
    for heading in ("batch", "read by", "clips/s", "delivered"):
        table.add_column(heading, justify="right")
    for speed in speeds:
        table.add_row(
            speed.codec,
            str(speed.batch_size),
            f"{speed.count} {speed.readers if speed.count > 1 else speed.readers[:-1]}",
            f"{speed.clips_per_second:,.0f}",
            f"{readable_bytes(int(speed.bytes_per_second))}/s",
        )
    Console().print(table)
    best = max([speed for speed in speeds if speed.codec == own] or speeds, key=lambda speed: speed.clips_per_second)
    for network in NETWORKS:
        if plan.length == network.length and plan.crop == (network.size, network.size):
            rate = network.training_rate(best.clips_per_second)
            click.echo(
                f"{best.codec}: {best.clips_per_second:,.0f} clips/s feed {network.name} in training at "
                f"{rate / 1e12:,.3g} TFLOP/s ({network.multiply_adds / 1e9:.1f} G multiply-adds a clip forward, three "
                "times that to train); the peak in half precision is 312 of an A100, 989 of an H100"
            )
