"""``vidprep preview``: the three files, and one sentence for whatever goes wrong."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from made_caches import make_cache
from vidprep.cli.main import main

MAGIC = {".png": b"\x89PNG", ".mp4": b"ftyp", ".html": b"<!DOCTYPE html>"}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preview") / "cache"
    make_cache(path, ["Archery/a.mp4", "Archery/b.mp4", "Bowling/c.mp4"])
    return path


def preview(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["preview", *map(str, arguments)])


@pytest.mark.parametrize("suffix", MAGIC)
@pytest.mark.parametrize("video", [(), ("Bowling/c.mp4",)], ids=["all", "one"])
def test_the_suffix_says_what_is_made(cache: Path, tmp_path: Path, suffix: str, video: tuple[str, ...]) -> None:
    out = tmp_path / f"look{suffix}"
    out.write_bytes(b"an older one")
    result = preview(cache, *video, "-o", out)
    assert result.exit_code == 0, result.output
    assert MAGIC[suffix] in out.read_bytes()[:20]
    assert str(out) in result.stdout
    assert list(tmp_path.iterdir()) == [out]
    if video and suffix == ".html":
        assert b"Archery/a.mp4</h3>" not in out.read_bytes()


@pytest.mark.parametrize("suffix", MAGIC)
def test_json(cache: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"look{suffix}"
    report = json.loads(preview(cache, "-o", out, "--json").stdout)
    assert (report["path"], report["num_bytes"]) == (str(out), out.stat().st_size)
    assert report["videos"] == ["Archery/a.mp4", "Archery/b.mp4", "Bowling/c.mp4"][: 1 if suffix == ".mp4" else 3]
    assert report["modalities"] == ["rgb", "residual"]


@pytest.mark.parametrize(
    ("out", "status", "says"),
    [
        ("look.gif", 2, ".png, .mp4, .html"),
        ("look", 2, ".png, .mp4, .html"),
        ("nowhere/look.png", 1, "there is no folder"),
        ("nowhere/look.mp4", 1, "there is no folder"),
        ("folder.png", 1, "it is a folder"),
        ("file/look.html", 1, "there is no folder"),
    ],
)
def test_bad_places_are_refused_in_one_sentence(cache: Path, tmp_path: Path, out: str, status: int, says: str) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    result = preview(cache, "-o", tmp_path / out)
    assert result.exit_code == status
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_bad_requests_are_refused(cache: Path, tmp_path: Path) -> None:
    unknown = preview(cache, "Bowling/d.mp4", "-o", tmp_path / "x.png")
    assert (unknown.exit_code, "Bowling/c.mp4" in unknown.stderr) == (2, True)
    no_cache = preview(tmp_path, "-o", tmp_path / "x.png")
    assert (no_cache.exit_code, "is not a cache" in no_cache.stderr) == (1, True)
    make_cache(tmp_path / "empty", [])
    for suffix in MAGIC:
        empty = preview(tmp_path / "empty", "-o", tmp_path / f"x{suffix}")
        assert (empty.exit_code, "holds no videos" in empty.stderr) == (1, True)


@contextmanager
def largest_file(num_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", MAGIC)
def test_a_full_disk_leaves_the_old_file(cache: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"look{suffix}"
    out.write_bytes(b"an older one")
    with largest_file(1000):
        result = preview(cache, "-o", out)
    assert result.exit_code == 1
    assert f"cannot write {out}" in result.stderr
    assert out.read_bytes() == b"an older one"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("suffix", MAGIC)
def test_a_read_only_place(cache: Path, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system mounted read-only refuses to remove, too."""

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(30, "Read-only file system")

    result = preview(cache, "-o", f"/proc/look{suffix}")
    assert (result.exit_code, "cannot write" in result.stderr, result.stderr.count("\n")) == (1, True, 1)
    monkeypatch.setattr("os.replace", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    result = preview(cache, "-o", tmp_path / f"look{suffix}")
    assert result.exit_code == 1
    assert "read-only file system" in result.stderr


@pytest.mark.parametrize("suffix", MAGIC)
def test_a_closed_folder(cache: Path, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(tmp_path))
    result = preview(cache, "-o", tmp_path / f"look{suffix}")
    assert result.exit_code == 1
    assert "permission denied" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_folder_is_named(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Permissions do not stop the superuser, who may run the tests, so the system's answer is given here.
    def refuse(*arguments: object, **options: object) -> int:
        raise PermissionError(13, "Permission denied")

    assert preview(cache, "-o", tmp_path / "before.png").exit_code == 0  # what it imports and compiles is there now
    monkeypatch.setattr("os.open", refuse)
    result = preview(cache, "-o", tmp_path / "look.png")
    assert result.exit_code == 1
    assert "permission denied" in result.stderr


def test_points_of_a_cost_volume(dataset: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    options = ["--size", "32x24", "--radius", "2", "--workers", "1", "-m", "cost-volume", "-m", "rgb"]
    extracted = CliRunner().invoke(main, ["extract", str(dataset), "--out", str(cache), *options])
    assert extracted.exit_code == 0, extracted.output
    pictures = set()
    for points in ([], ["--point", "9,12"], ["--point", "9, 12", "--point", "31,23"]):
        for suffix in MAGIC:
            out = tmp_path / f"look{suffix}"
            result = preview(cache, "-o", out, *points)
            assert result.exit_code == 0, result.output
            pictures.add(out.read_bytes())
    assert len(pictures) == 9


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ("9", "Invalid value for '--point': '9' is not a point: write X,Y in pixels from the top left corner"),
        ("-1,2", "'-1,2' is not a point"),
        ("1x2", "'1x2' is not a point"),
        ("1,2,3", "'1,2,3' is not a point"),
        ("1,2", "--point is where a cost volume is shown, and this cache holds residual, rgb: extract cost-volume too"),
    ],
)
def test_points_that_are_refused(cache: Path, tmp_path: Path, point: str, words: str) -> None:
    result = preview(cache, "-o", tmp_path / "look.png", "--point", point)
    assert (result.exit_code, words in result.stderr, result.stderr.count("\n")) == (2, True, 1), result.stderr
    assert not (tmp_path / "look.png").exists()
