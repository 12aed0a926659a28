"""``vidprep info``."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from ..pipeline.cache import Cache
from ..pipeline.summary import CacheSummary, summarise
from .rendering import counted, echo_json, readable_bytes


@click.command("info", short_help="Say what is in a cache.")
@click.argument("cache", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(cache: str, as_json: bool) -> None:
    """Say what is in CACHE: videos, frames, modalities, bytes, compression ratio, failures."""
    summary = summarise(Cache(cache))
    if as_json:
        echo_json(summary)
    else:
        _show(summary)


def _show(summary: CacheSummary) -> None:
    click.echo(f"{summary.path} (format {summary.format_version}, from {summary.source})")
    decoders = ", ".join(f"{count:,} by {name}" for name, count in summary.decoders.items())
    click.echo(
        f"{counted(summary.videos, 'video')} in {counted(summary.shards, 'shard')}, "
        f"{counted(summary.source_frames, 'source frame')}, decoded {decoders or 'by nobody'}"
    )
    click.echo(f"{_labels(summary)}, {counted(summary.failures, 'failure')}")
    table = Table(box=None, pad_edge=False)
    table.add_column("modality")
    for heading in ("frames", "size", "stored as", "raw", "on disk", "ratio"):
        table.add_column(heading, justify="right")
    for modality in summary.modalities:
        table.add_row(
            modality.name,
            f"{modality.frames:,}",
            modality.sizes[0] + (" and others" if len(modality.sizes) > 1 else ""),
            f"{modality.channels} x {modality.dtype}, {modality.codec}",
            readable_bytes(modality.raw_bytes),
            readable_bytes(modality.stored_bytes),
            f"{modality.ratio:.2f}",
        )
    Console().print(table)
    if summary.failures:
        click.echo(f"failures are listed in {summary.path}/failures.csv")


def _labels(summary: CacheSummary) -> str:
    if not summary.classes:
        return "no labels"
    classes = "1 class" if summary.classes == 1 else f"{summary.classes:,} classes"
    return f"{classes}, {counted(summary.labelled, 'labelled video')}"
