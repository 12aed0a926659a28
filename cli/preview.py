"""``vidprep preview``."""

from __future__ import annotations

import click

from ..pipeline.cache import Cache
from ..pipeline.preview import write_preview
from .options import POINT
from .rendering import echo_json, readable_bytes


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
@click.option(
    "--point",
    "points",
    multiple=True,
    type=POINT,
    metavar="X,Y",
    help="A pixel of the cached frames whose cost volume is shown, and which is marked in them; may be repeated.  "
    "[default: a grid]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(cache: str, video: str | None, out: str, points: tuple[tuple[int, int], ...], as_json: bool) -> None:
    """Picture what is in CACHE: frames beside each modality, aligned in time.

    The suffix of FILE says what is made. VIDEO is the id of the video to show, its path below the source; by
    default a few of each class are chosen for a contact sheet or a page, and the first for a film. Residuals are shown
    three times as bright as they are, flow and displacement in the colours of the Middlebury wheel, with one scale for
    all; cost volumes as their windows at points of a grid, or at each --point; warped differences around mid grey, by
    flow and by displacement where the cache has both and rgb. With any of these, both frames of each pair are shown.

    A warped difference is the second frame itself where the motion leads in from outside of the first: so its border
    is bright, even in a still picture, where displacement is a thousandth of a pixel rather than zero.
    """
    report = write_preview(Cache(cache), out, video, points=points)
    if as_json:
        echo_json(report)
    else:
        click.echo(f"{report.path} ({readable_bytes(report.num_bytes)})")
