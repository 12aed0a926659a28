"""``vidprep preview``."""

from __future__ import annotations

import click

from ..pipeline.cache import Cache
from ..pipeline.preview import write_preview
from .rendering import readable_bytes


@click.command("preview", short_help="Look at a cache: a picture, a film or a page.")
@click.argument("cache", type=click.Path())
@click.argument("video", required=False)
@click.option(
    "--out",
    "-o",
    required=True,
    type=click.Path(),
    metavar="FILE",
    help="FILE.png: contact sheet.  FILE.mp4: film.  FILE.html: page to step through.",
)
def command(cache: str, video: str | None, out: str) -> None:
    """Picture what is in CACHE: frames beside each modality, aligned in time.

    The suffix of FILE says what is made. VIDEO is the id of the video to show, its path below the source; by
    default a few of each class are chosen for a contact sheet or a page, and the first for a film. Residuals are shown
    three times as bright as they are.
    """
    path = write_preview(Cache(cache), out, video)
    click.echo(f"{path} ({readable_bytes(path.stat().st_size)})")
