"""``vidprep info``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import click
from rich.console import Console
from rich.table import Table

from ..pipeline.cache import Cache
from .rendering import counted, echo_json, readable_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalitySummary:
    """One modality of a cache, summed over its videos."""

    name: str
    frames: int
    raw_bytes: int
    stored_bytes: int
    sizes: tuple[str, ...]  # WIDTHxHEIGHT, most frequent first
    dtype: str
    codec: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSummary:
    """What ``vidprep info`` says."""

    path: str
    format_version: int
    source: str
    videos: int
    shards: int
    source_frames: int
    classes: int
    labelled: int
    failures: int
    decoders: dict[str, int]
    modalities: tuple[ModalitySummary, ...]
    config: dict[str, object]
    tools: dict[str, str]


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


def summarise(cache: Cache) -> CacheSummary:
    """Add a cache up."""
    frames: Counter[str] = Counter()
    raw: Counter[str] = Counter()
    stored: Counter[str] = Counter()
    sizes: dict[str, Counter[str]] = {}
    kinds: dict[str, tuple[str, str]] = {}
    decoders: Counter[str] = Counter()
    shards = set()
    source_frames = labelled = 0
    for video in cache.videos.values():
        shards.add(video.shard)
        source_frames += video.num_frames
        labelled += bool(video.label)
        decoders[video.decoder] += 1
        for name, data in video.modalities.items():
            frames[name] += data.num_frames
            item_bytes = data.height * data.width * data.channels * _ITEM_BYTES[data.dtype]
            raw[name] += data.num_frames * item_bytes
            stored[name] += data.stored_bytes
            sizes.setdefault(name, Counter())[f"{data.width}x{data.height}"] += 1
            kinds[name] = (data.dtype, data.codec)
    return CacheSummary(
        path=str(cache.path),
        format_version=cache.header.format_version,
        source=cache.header.source,
        videos=len(cache),
        shards=len(shards),
        source_frames=source_frames,
        classes=len(cache.classes),
        labelled=labelled,
        failures=len(cache.failures),
        decoders=dict(decoders),
        modalities=tuple(
            ModalitySummary(
                name=name,
                frames=frames[name],
                raw_bytes=raw[name],
                stored_bytes=stored[name],
                sizes=tuple(size for size, _ in sizes[name].most_common()),
                dtype=kinds[name][0],
                codec=kinds[name][1],
            )
            for name in cache.modalities
            if name in kinds
        ),
        config=dict(cache.header.config),
        tools=dict(cache.header.tools),
    )


_ITEM_BYTES = {"uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "float16": 2, "float32": 4}


def _show(summary: CacheSummary) -> None:
    click.echo(f"{summary.path} (format {summary.format_version}, from {summary.source})")
    decoders = ", ".join(f"{count:,} by {name}" for name, count in summary.decoders.items())
    click.echo(
        f"{counted(summary.videos, 'video')} in {counted(summary.shards, 'shard')}, "
        f"{counted(summary.source_frames, 'source frame')}, decoded {decoders or 'by nobody'}"
    )
    classes = "1 class" if summary.classes == 1 else f"{summary.classes:,} classes"
    click.echo(f"{classes}, {counted(summary.labelled, 'labelled video')}, {counted(summary.failures, 'failure')}")
    table = Table(box=None, pad_edge=False)
    table.add_column("modality")
    for heading in ("frames", "size", "stored as", "raw", "on disk", "ratio"):
        table.add_column(heading, justify="right")
    for modality in summary.modalities:
        table.add_row(
            modality.name,
            f"{modality.frames:,}",
            modality.sizes[0] + (" and others" if len(modality.sizes) > 1 else ""),
            f"{modality.dtype}, {modality.codec}",
            readable_bytes(modality.raw_bytes),
            readable_bytes(modality.stored_bytes),
            f"{modality.raw_bytes / max(1, modality.stored_bytes):.2f}",
        )
    Console().print(table)
    if summary.failures:
        click.echo(f"failures are listed in {summary.path}/failures.csv")
