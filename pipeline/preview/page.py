"""The page: one HTML file that needs nothing else, with frames to scrub through and tables of what the cache holds."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from itertools import islice
from string import Template
from typing import TYPE_CHECKING

import numpy as np

from ... import __version__
from ..cache.atomic import readable_bytes
from ..summary import CacheSummary, ModalitySummary, summarise
from .canvas import Picture, fit
from .colour_wheel import wheel_picture
from .evenly import evenly
from .images import encode_jpeg, encode_png
from .render import ON_THE_WHEEL, Look, get_renderer
from .selection import View

if TYPE_CHECKING:
    from ..cache import Cache, VideoInfo

_STRIP_FRAMES = 32
_STRIP_COLUMNS = 8
_WHEEL = 144  # pixels of the picture, shown at half of it: sharp on fine screens too
_LONGEST_SIDE = 240  # of a strip's pictures, in pixels
_LISTED_VIDEOS = 500  # more would make the page slow; the totals count all of them
_LISTED_FAILURES = 500
_TIMES = "\N{MULTIPLICATION SIGN}"


def page(cache: Cache, views: list[View]) -> str:
    """Return the page as HTML5. Whatever comes out of the cache is escaped, and only the page's own script may run."""
    summary = summarise(cache)
    script = _part("page.js")
    modalities = dict.fromkeys(name for view in views for name in view.modalities)
    return Template(_part("page.html")).substitute(
        title=escape(f"{cache.path.resolve().name} \N{MIDDLE DOT} vidprep"),
        name=escape(cache.path.resolve().name),
        source=escape(f"from {cache.header.source}"),
        facts="\n".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in _facts(summary)),
        notes="\n".join(
            f'<p class="quiet">{escape(name)}: {escape(get_renderer(name, views[0].look).caption)}.</p>'
            for name in modalities
        ),
        wheel=_wheel(views[0].look) if not modalities.keys().isdisjoint(ON_THE_WHEEL) else "",
        cards="\n".join(_card(cache, view, number) for number, view in enumerate(views)),
        tables="\n".join(_tables(cache, summary)),
        version=escape(__version__),
        format=str(cache.header.format_version),
        style=_part("page.css"),
        script=script,
        # The hash covers all that stands between the tags, line breaks included.
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode(),
    )


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8").rstrip("\n")


def _wheel(look: Look) -> str:
    data = base64.b64encode(encode_png(wheel_picture(_WHEEL))).decode()
    return (
        f'<p class="quiet wheel"><img width="{_WHEEL // 2}" height="{_WHEEL // 2}" alt="The colours of motion" '
        f'src="data:image/png;base64,{data}"> right is right, down is down; the rim is {look.motion_scale:g} px</p>'
    )


def _facts(summary: CacheSummary) -> Iterable[tuple[str, str]]:
    yield "videos", f"{summary.videos:,}"
    yield "source frames", f"{summary.source_frames:,}"
    if summary.classes:
        yield "classes", f"{summary.classes:,}"
    yield "on disk", readable_bytes(summary.stored_bytes)
    yield "compression", f"{summary.ratio:.2f}{_TIMES}"
    yield "failed", f"{summary.failures:,}"


def _card(cache: Cache, view: View, number: int) -> str:
    frames = evenly(view.frames, _STRIP_FRAMES)
    columns = min(_STRIP_COLUMNS, len(frames))
    chip = f' <span class="chip">{escape(view.video.label)}</span>' if view.video.label else ""
    shown = "" if len(frames) == len(view.frames) else f"; {len(frames)} of them shown"
    moments = escape(json.dumps([view.moment(frame) for frame in frames]))
    figures = "\n".join(_figure(cache, view, modality, frames, columns) for modality in view.modalities)
    label = escape(f"Frame of {view.video.id}")
    return (
        f'<article class="card" data-columns="{columns}" data-moments="{moments}">\n'
        f"<h3>{escape(view.video.id)}{chip}</h3>\n"
        f'<p class="quiet">{escape(view.description() + shown)}</p>\n'
        f'<div class="pictures">\n{figures}\n</div>\n'
        f'<div class="controls"><button type="button" aria-label="Play">\N{BLACK RIGHT-POINTING TRIANGLE}</button>'
        f'<input id="frame-{number}" type="range" min="0" max="{len(frames) - 1}" value="0" aria-label="{label}">'
        f'<output for="frame-{number}">{escape(view.moment(frames[0]))}</output></div>\n'
        "</article>"
    )


def _figure(cache: Cache, view: View, modality: str, frames: list[int], columns: int) -> str:
    strip = _strip(cache, view, modality, frames, columns)
    rows = -(-len(frames) // columns)
    height, width = strip.shape[0] // rows, strip.shape[1] // columns
    data = base64.b64encode(encode_jpeg(strip)).decode()
    style = (
        f"aspect-ratio:{width}/{height};background-size:{100 * columns}% {100 * rows}%;"
        f"background-image:url(data:image/jpeg;base64,{data})"
    )
    label = escape(f"{modality} of {view.video.id}")
    return (
        f'<figure><div class="strip" role="img" aria-label="{label}" style="{style}"></div>'
        f"<figcaption>{escape(get_renderer(modality, view.look).title)}</figcaption></figure>"
    )


def _strip(cache: Cache, view: View, modality: str, frames: list[int], columns: int) -> Picture:
    """Pictures of one modality in rows of ``columns``, black where the last row ends early."""
    full_height, full_width = view.shown_size
    shrink = min(1.0, _LONGEST_SIDE / max(full_height, full_width))
    height, width = max(1, round(full_height * shrink)), max(1, round(full_width * shrink))
    rows = -(-len(frames) // columns)
    strip = np.zeros((rows * height, columns * width, 3), np.uint8)
    for index, frame in enumerate(frames):
        y, x = index // columns * height, index % columns * width
        strip[y : y + height, x : x + width] = fit(view.pictures(cache, modality, frame, frame + 1)[0], height, width)
    return strip


def _tables(cache: Cache, summary: CacheSummary) -> Iterable[str]:
    yield _table("Modalities", _MODALITY_COLUMNS, [_modality_row(modality) for modality in summary.modalities])
    listed = list(islice(cache.videos.values(), _LISTED_VIDEOS))
    more = summary.videos - len(listed)
    rest = f"{more:,} more are not listed." if more else ""
    yield _table("Videos", _VIDEO_COLUMNS, [_video_row(video) for video in listed], note=rest)
    if cache.failures:
        rows = [(failure.video, failure.stage, failure.reason) for failure in cache.failures[:_LISTED_FAILURES]]
        more = len(cache.failures) - len(rows)
        rest = f"{more:,} more in failures.csv." if more else ""
        yield _table("Failed", _FAILURE_COLUMNS, rows, note=rest)
    made = {"config": dict(cache.header.config), "tools": dict(cache.header.tools)}
    text = escape(json.dumps(made, indent=2, ensure_ascii=False))
    yield (
        '<section>\n<h2>How it was made</h2>\n<div class="scroll">'
        f'<pre tabindex="0" aria-label="Configuration and tool versions">{text}</pre></div>\n</section>'
    )


_MODALITY_COLUMNS = (
    ("modality", "name"), ("items", "number"), ("size", ""), ("stored as", ""), ("raw", "number"),
    ("on disk", "number"), ("ratio", "number"),
)  # fmt: skip
_VIDEO_COLUMNS = (
    ("video", "name"), ("class", ""), ("split", ""), ("frames", "number"), ("fps", "number"), ("source", ""),
    ("decoder", ""), ("on disk", "number"),
)  # fmt: skip
_FAILURE_COLUMNS = (("video", "name failed"), ("stage", ""), ("reason", "name"))


def _modality_row(modality: ModalitySummary) -> tuple[str, ...]:
    size, more = modality.sizes[0].replace("x", _TIMES), len(modality.sizes) - 1
    return (
        modality.name,
        f"{modality.frames:,}",
        size + (f" and {more} more" if more else ""),
        f"{modality.channels} {_TIMES} {modality.dtype}, {modality.codec}",
        readable_bytes(modality.raw_bytes),
        readable_bytes(modality.stored_bytes),
        f"{modality.ratio:.2f}{_TIMES}",
    )


def _video_row(video: VideoInfo) -> tuple[str, ...]:
    return (
        video.id,
        video.label or "",
        video.split or "",
        f"{video.num_frames:,}",
        f"{video.fps:.4g}" if video.fps > 0 else "",
        f"{video.source_codec}, {video.source_pixel_format}, {video.source_width}{_TIMES}{video.source_height}",
        video.decoder + (f" ({video.decoder_note})" if video.decoder_note else ""),
        readable_bytes(sum(stored.stored_bytes for stored in video.modalities.values())),
    )


def _table(heading: str, columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]], *, note: str = "") -> str:
    """A section with a table, without columns that are empty all the way; whatever a cell says is escaped here.

    A column is its heading and the class of its cells.
    """
    rows = list(rows)
    filled = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    columns, rows = [columns[index] for index in filled], [[row[index] for index in filled] for row in rows]
    classes = [f' class="{kind}"' if kind else "" for _, kind in columns]
    head = "".join(
        f'<th scope="col"{kind}>{escape(name)}</th>' for (name, _), kind in zip(columns, classes, strict=True)
    )
    body = "\n".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, classes, strict=True)) + "</tr>"
        for row in rows
    )
    after = f'\n<p class="quiet">{escape(note)}</p>' if note else ""
    return (
        f'<section>\n<h2>{escape(heading)}</h2>\n<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>{after}\n</section>"
    )
