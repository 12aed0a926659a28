"""The page: well-formed, self-contained, safe against hostile names."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest

from made_caches import make_cache
from media import moving_texture
from vidprep.pipeline.preview import page as preview_page
from vidprep.pipeline.preview.page import page
from vidprep.pipeline.preview.selection import choose_views

HOSTILE = "<script>alert(1)</script>/\"'><img src=x onerror=alert(2)>&amp;$title${name}.mp4"
VOID = {"meta", "link", "input", "br", "img"}


class Reader(HTMLParser):
    """Collects elements and text, and checks that every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def test_page_is_well_formed_and_loads_nothing(tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "c", ["Archery/a.mp4", "Bowling/b.mp4"], failures={"x.mp4": "cut short"})
    text = page(cache, choose_views(cache, None, limit=12))
    read = Reader(text)
    assert text.startswith("<!DOCTYPE html>")
    for needed in ("Archery/a.mp4", "Bowling/b.mp4", "x.mp4", "cut short", "residual", "rgb"):
        assert needed in read.texts
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(set(ids)) == len(ids) == 2
    links = [value for _, attributes in read.elements for key, value in attributes.items() if key in ("src", "href")]
    assert links == ["data:,"]
    assert all(url.startswith("data:") for url in re.findall(r"url\(([^)]*)", text))
    assert "http" not in re.sub(r"http-equiv", "", text)


def test_only_the_pages_own_script_may_run(tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "c", {HOSTILE: moving_texture(3, (8, 8))}, failures={f"failed {HOSTILE}": HOSTILE})
    text = page(cache, choose_views(cache, None, limit=12))
    read = Reader(text)
    assert len(read.all("script")) == 1
    assert not read.all("img")
    assert not [key for _, attributes in read.elements for key in attributes if key.startswith("on")]
    assert read.texts.count(HOSTILE) >= 2  # shown as it is
    script = re.search(r"<script>(.*)</script>\n</body>", text, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    (policy,) = (meta["content"] for meta in read.all("meta") if "http-equiv" in meta)
    assert policy is not None
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("num_frames", [2, 12, 100])
def test_strips_hold_the_frames_that_the_slider_names(tmp_path: Path, num_frames: int) -> None:
    levels = (np.arange(num_frames) * 2).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (num_frames, 16, 16, 3)).copy()
    cache = make_cache(tmp_path / "c", {"v": frames})
    read = Reader(page(cache, choose_views(cache, None, limit=12)))
    (card,) = read.all("article")
    moments = json.loads(card["data-moments"] or "")
    columns = int(card["data-columns"] or "")
    slider = read.all("input")[0]
    assert len(moments) == int(slider["max"] or "") + 1 == min(32, num_frames - 1)
    rgb = next(div for div in read.all("div") if div.get("aria-label") == "rgb of v")
    data = re.search(r"base64,([^)]*)", rgb["style"] or "")
    assert data is not None
    with av.open(io.BytesIO(base64.b64decode(data[1])), format="jpeg_pipe") as container:
        strip = next(container.decode(video=0)).to_ndarray(format="rgb24")
    width = strip.shape[1] // columns
    assert width == 21  # 4:3, as the source
    for index, moment in enumerate(moments):
        frame = int(moment.split()[1])
        assert moment == f"frame {frame} \N{MIDDLE DOT} {frame / 25:.2f} s"
        shown = strip[index // columns * 16 + 8, index % columns * width + 10].astype(int)
        assert np.all(np.abs(shown - levels[frame]) <= 4)


def test_tables_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview_page, "_LISTED_VIDEOS", 2)
    cache = make_cache(tmp_path / "c", ["a", "b", "c"])
    text = page(cache, choose_views(cache, None, limit=12))
    assert "1 more are not listed." in text
    assert "<td" in text
    assert "32\N{MULTIPLICATION SIGN}24" in text
