"""``vidprep extract``: what it does, says and refuses."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from extraction import cache_bytes, command_line, run_vidprep
from media import write_audio, write_clip
from vidprep import Cache

SMALL = ["--size", "32x24", "--workers", "1"]


def test_the_whole_of_it(dataset: Path, vidprep_command: Callable, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    result = vidprep_command(
        "extract", dataset, "--out", cache, "--modality", "rgb", "-m", "residual", "--step", "2", "--fps", "12.5",
        "--codec", "zstd", "--shard-videos", "3", "--size", "40x30", "--workers", "1", "--device", "cpu",
    )  # fmt: skip
    assert (result.exit_code, result.stderr) == (0, "")
    assert "4 videos in the cache; this run decoded 24 frames" in result.stdout
    made = Cache(cache)
    assert (len(made), made.classes, made.modalities) == (4, ("Archery", "Bowling"), ("residual", "rgb"))
    assert made.read("Bowling/b.mkv", "residual").shape == (4, 30, 40, 3)
    assert made.videos["Archery/a.mp4"].label == "Archery"
    assert sorted(path.name for path in (cache / "shards").glob("*.h5")) == ["shard-00000.h5", "shard-00001.h5"]
    again = vidprep_command(
        "extract", dataset, "--out", cache, "--modality", "rgb", "-m", "residual", "--step", "2", "--fps", "25/2",
        "--codec", "zstd", "--shard-videos", "3", "--size", "40x30", "--json",
    )  # fmt: skip
    assert again.exit_code == 0
    report = json.loads(again.stdout)
    assert (report["num_videos"], report["videos_before"], report["frames"]) == (4, 4, 0)


def test_videos_that_fail_are_listed_and_the_others_kept(vidprep_command: Callable, tmp_path: Path) -> None:
    """Zero bytes, cut, renamed text, sound alone, one frame, a folder called like a video, a link to nowhere."""
    source, cache = tmp_path / "videos", tmp_path / "cache"
    source.mkdir()
    write_clip(source / "good.mp4", num_frames=4)
    write_clip(source / "odd.mkv", num_frames=4, codec="ffv1", size=(3, 5), options={"level": "1"})
    write_clip(source / "dot.mkv", num_frames=4, codec="ffv1", size=(1, 1), options={"level": "1"})
    write_clip(
        source / "odd width.avi", num_frames=4, codec="mjpeg", pix_fmt="yuvj420p", size=(48, 63), full_range=True
    )
    (source / "empty.mp4").touch()
    whole = write_clip(tmp_path / "whole.mp4").read_bytes()
    (source / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (source / "text.mp4").write_text("not a video, whatever its name says\n" * 50)
    write_audio(source / "sound.mp4")
    write_clip(source / "one frame.mp4", num_frames=1)
    (source / "folder.mp4").mkdir()
    (source / "nowhere.mp4").symlink_to(source / "absent.mp4")
    secret = write_clip(source / "secret.mp4")
    secret.chmod(0)
    result = vidprep_command("extract", source, "--out", cache, "--shard-videos", "20", *SMALL)
    assert result.exit_code == 1
    failures = {failure.video: failure for failure in Cache(cache).failures}
    readable = os.access(secret, os.R_OK)  # root reads everything
    assert set(failures) == {"cut.mp4", "empty.mp4", "one frame.mp4", "sound.mp4", "text.mp4"} | (
        set() if readable else {"secret.mp4"}
    )
    assert set(Cache(cache).videos) == {"dot.mkv", "good.mp4", "odd width.avi", "odd.mkv"} | (
        {"secret.mp4"} if readable else set()
    )
    assert failures["empty.mp4"].reason == "the file is empty"
    assert failures["one frame.mp4"].reason.startswith("too short: residual with step 1 needs at least 2 frames")
    assert failures["sound.mp4"].reason == "no video stream in it, only audio"
    for failure in failures.values():
        assert failure.reason
        assert "\n" not in failure.reason
        assert f"  {failure.video}: {failure.reason} ({failure.stage})" in result.stdout
    assert result.stderr == "note: 1 link leads nowhere and is left out ('nowhere.mp4')\n"
    lines = (cache / "failures.csv").read_text().splitlines()
    assert lines[0] == "video,stage,reason"
    assert len(lines) == 1 + len(failures)


def test_a_file_that_vanishes_or_cannot_be_opened(vidprep_command: Callable, tmp_path: Path) -> None:
    """What the source's listing shows need not be there, or be a file that opens, when its turn comes."""
    source = tmp_path / "videos"
    source.mkdir()
    write_clip(source / "good.mp4", num_frames=4)
    loop = source / "loop.mp4"
    loop.symlink_to(loop)
    result = vidprep_command("extract", source, "--out", tmp_path / "cache", *SMALL)
    assert result.exit_code == 0
    assert "loop.mp4" in result.stderr
    device = tmp_path / "list.txt"
    device.write_text("/dev/null\n")
    result = vidprep_command("extract", device, "--out", tmp_path / "cache2", *SMALL)
    assert result.exit_code in (1, 2)
    assert "null" in result.output


def test_on_error_fail_stops_at_the_first(refused: Callable, tmp_path: Path) -> None:
    source = tmp_path / "videos"
    source.mkdir()
    (source / "empty.mp4").touch()
    write_clip(source / "good.mp4", num_frames=4)
    sentence = refused("extract", source, "--out", tmp_path / "cache", "--on-error", "fail", *SMALL, status=1)
    assert sentence == "empty.mp4 failed (open): the file is empty; --on-error skip records it and goes on"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "170"], ["'170' is not a size", "WIDTHxHEIGHT", "170x128"]),
        (["--size", "0x128"], ["'0x128' is not a size", "1 to 16384"]),
        (["--size", "-170x128"], ["'-170x128' is not a size"]),
        (["--size", "170x128x3"], ["not a size"]),
        (["--size", "170 x 128"], ["not a size"]),
        (["--size", "axb"], ["not a size"]),
        (["--size", ""], ["not a size"]),
        (["--size", "170.5x128"], ["not a size"]),
        (["--size", "99999x1"], ["not a size"]),
        (["--size", "16384x16384"], ["too large", "8192x8192", "a smaller --size"]),
        (["--size", "170x128", "--short-side", "128"], ["give either --size or --short-side, not both"]),
        (["--short-side", "0"], ["--short-side", "1<=x<=16384"]),
        (["--modality", "optical-flow"], ["there is no --modality 'optical-flow'", "rgb", "residual"]),
        (["--codec", "gzip"], ["there is no --codec 'gzip'", "lz4", "zstd", "none"]),
        (["--device", "tpu"], ["--device must be auto, cpu, cuda or cuda:N, got 'tpu'"]),
        (["--device", "cuda:x"], ["'cuda:x'"]),
        (["--decoder", "opencv"], ["--decoder", "'opencv'", "'auto', 'dali', 'pyav'"]),
        (["--step", "0"], ["--step", "1<=x<=1024"]),
        (["--step", "two"], ["--step", "'two' is not a valid integer"]),
        (["--fps", "0"], ["--fps", "above 0"]),
        (["--fps", "fast"], ["'fast'", "29.97 or 30000/1001"]),
        (["--fps", "1/0"], ["'1/0'"]),
        (["--fps", "nan"], ["'nan'"]),
        (["--fps", "inf"], ["'inf'"]),
        (["--fps", "1e999999999"], ["'1e999999999'"]),
        (["--time-limit", "nan"], ["--time-limit must be above 0", "got nan"]),
        (["--time-limit", "inf"], ["--time-limit must be above 0"]),
        (["--workers", "0"], ["--workers", "x>=1"]),
        (["--shard-videos", "0"], ["--shard-videos"]),
        (["--out", ""], ["--out '' is no path; name a folder for it"]),
        (["--engine", "slurm"], ["--engine", "'slurm'", "'local'"]),
        (["--on-error", "ignore"], ["--on-error", "'ignore'", "'skip', 'fail'"]),
        (["--labels", "imagenet:x"], ["--labels", "imagenet:x", "ucf101:DIR"]),
    ],
)
def test_wrong_options(options: list[str], words: list[str], dataset: Path, refused: Callable, tmp_path: Path) -> None:
    sentence = refused("extract", dataset, "--out", tmp_path / "cache", *options)
    for word in words:
        assert word in sentence
    assert not (tmp_path / "cache").exists()


def test_sources_that_are_none(refused: Callable, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "cache"]
    assert "does not exist" in refused("extract", tmp_path / "absent", *out)
    (tmp_path / "empty").mkdir()
    assert "is empty" in refused("extract", tmp_path / "empty", *out)
    (tmp_path / "empty" / "readme.md").touch()
    assert "holds no video" in refused("extract", tmp_path / "empty", *out)
    (tmp_path / "list.txt").write_text("gone.mp4\n")
    assert "is missing ('gone.mp4')" in refused("extract", tmp_path / "list.txt", *out)
    assert not (tmp_path / "cache").exists()


def test_places_where_no_cache_can_be(dataset: Path, refused: Callable, tmp_path: Path) -> None:
    source = Path(shutil.copytree(dataset, tmp_path / "videos"))
    before = sorted(source.rglob("*"))
    for inside in (source, source / "cache", source / "Archery" / ".." / "deep" / "cache"):
        assert "inside the source" in refused("extract", source, "--out", inside)
    (tmp_path / "link").symlink_to(source)
    assert "inside the source" in refused("extract", source, "--out", tmp_path / "link" / "cache")
    assert sorted(source.rglob("*")) == before
    assert "lies inside the cache" in refused("extract", source, "--out", tmp_path)
    file = tmp_path / "file"
    file.write_text("mine")
    assert "is a file" in refused("extract", source, "--out", file)
    below = refused("extract", source, "--out", file / "cache", status=1)
    assert "cannot write" in below
    assert "not a directory" in below
    assert file.read_text() == "mine"


def test_a_folder_that_cannot_be_written(dataset: Path, refused: Callable, tmp_path: Path) -> None:
    assert "cannot write" in refused("extract", dataset, "--out", "/proc/vidprep/cache", status=1)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    if not os.access(closed, os.W_OK):  # root writes everywhere
        assert "permission denied" in refused("extract", dataset, "--out", closed / "cache", status=1)


def test_a_single_video_beside_its_cache(vidprep_command: Callable, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", num_frames=4)
    assert vidprep_command("extract", clip, "--out", tmp_path / "cache", *SMALL).exit_code == 0
    assert list(Cache(tmp_path / "cache").videos) == ["clip.mp4"]


def test_resuming_with_another_config(dataset: Path, dataset_cache: Path, refused: Callable) -> None:
    sentence = refused("extract", dataset, "--out", dataset_cache, "--size", "32x24", "--step", "4", "--codec", "zstd")
    for words in ("--step is 1 there and 4 here", "--codec is lz4 there and zstd here", "--overwrite"):
        assert words in sentence


def test_a_cache_of_another_version(dataset: Path, cache_copy: Path, refused: Callable) -> None:
    header = json.loads((cache_copy / "cache.json").read_text())
    (cache_copy / "cache.json").write_text(json.dumps({**header, "format_version": 99}))
    for arguments in (["extract", dataset, "--out"], ["info"], ["verify"], ["verify", "--repair"], ["index"]):
        sentence = refused(*arguments, cache_copy, *(SMALL if "extract" in arguments else []), status=1)
        assert "cache format 99, and this program reads format 1" in sentence


def _limit_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))


def test_a_full_disk(vidprep_command: Callable, tmp_path: Path) -> None:
    """The limit lets small shards pass and the large one not, as a disk that fills up would."""
    source, cache = tmp_path / "videos", tmp_path / "cache"
    source.mkdir()
    write_clip(source / "a.mp4", num_frames=3)
    write_clip(source / "b.mp4", num_frames=40)
    arguments = ["extract", source, "--out", cache, "--shard-videos", "1", "--size", "64x48", "--workers", "1"]
    arguments += ["--codec", "none"]
    result = subprocess.run(
        command_line(*arguments), preexec_fn=_limit_file_size, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "shard-00001.h5: the file would exceed the size limit" in result.stderr
    assert "are free" in result.stderr
    assert "the whole cache needs about" in result.stderr
    assert sorted(path.name for path in (cache / "shards").iterdir()) == ["shard-00000.h5", "shard-00000.parquet"]
    resumed = vidprep_command(*arguments)
    assert resumed.exit_code == 0
    assert "1 video had been finished by an earlier run" in resumed.stdout
    assert vidprep_command("verify", cache).exit_code == 0


def test_a_small_disk(dataset: Path, tmp_path: Path) -> None:
    """On a file system of 300 kB, mounted where nobody else sees it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=300k tmpfs "$0" && "$@"; status=$?; find "$0" -name "*shard-*" >&2; exit $status'
    prefix = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, str(disk)]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this machine does not let its users mount")
    result = run_vidprep(
        "extract", dataset, "--out", disk / "cache", "--shard-videos", "1", "--size", "64x48", "--codec", "none",
        "--workers", "1", shell_prefix=prefix,
    )  # fmt: skip
    assert result.returncode == 1
    message, *files = result.stderr.splitlines()
    assert message.startswith("vidprep: cannot write ")
    assert "the disk is full (" in message
    assert "make room" in message
    assert "the whole cache needs about" in message
    names = sorted(Path(file).name for file in files)
    assert 1 <= len(names) // 2 < 4
    assert names == [f"shard-{n:05}.{suffix}" for n in range(len(names) // 2) for suffix in ("h5", "parquet")]


def test_config_file(dataset: Path, vidprep_command: Callable, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('modality = ["rgb"]\nsize = "40x30"\nstep = 3\ncodec = "zstd"\nshard_videos = 4\nfps = 12.5\n')
    result = vidprep_command(
        "extract", dataset, "--out", tmp_path / "cache", "--config", config, "--size", "32x24", "--workers", "1"
    )
    assert result.exit_code == 0
    stored = Cache(tmp_path / "cache").header.config
    assert stored["size"] == {"height": 24, "width": 32}  # the command line wins
    assert (stored["modalities"], stored["step"], stored["codec"]) == (["rgb"], 3, "zstd")
    assert (stored["fps"], stored["shard_videos"]) == ("25/2", 4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stpe = 4", ["no use for 'stpe'", "step"]),
        ("step = ", ["is not TOML"]),
        ("step = 0", ["step", "1<=x<=1024"]),
        ('size = "big"', ["'big' is not a size"]),
        ("size = [170, 128]", ['has size = [170, 128]: size takes text such as "170x128"']),
        ("step = [1]", ["has step = [1]: step takes a whole number"]),
        ("step = 2.7", ["has step = 2.7: step takes a whole number"]),
        ("workers = true", ["has workers = true: workers takes a whole number"]),
        ("overwrite = 0", ["has overwrite = 0: overwrite takes true or false"]),
        ('time-limit = "60"', ["takes a number"]),
        ("fps = [15]", ['takes a number, or text such as "30000/1001"']),
        ("codec = 3", ["has codec = 3: codec takes text"]),
        ("on_error = false", ["on_error takes text"]),
        ("modality = [1]", ["takes text or a list of texts"]),
        ('modality = ["flux"]', ["'flux'", "residual"]),
        ('config = "other.toml"', ["no use for 'config'"]),
        ("[extract]\nstep = 4", ["no use for 'extract'"]),
    ],
)
def test_wrong_config_files(text: str, words: list[str], dataset: Path, refused: Callable, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text)
    sentence = refused("extract", dataset, "--out", tmp_path / "cache", "--config", config)
    for word in words:
        assert word in sentence
    assert not (tmp_path / "cache").exists()


def test_config_files_that_cannot_be_read(dataset: Path, refused: Callable, tmp_path: Path) -> None:
    out = ["--out", tmp_path / "cache"]
    assert "No such file" in refused("extract", dataset, *out, "--config", tmp_path / "absent.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refused("extract", dataset, *out, "--config", binary)


def test_overwrite(dataset: Path, cache_copy: Path, vidprep_command: Callable) -> None:
    before = cache_bytes(cache_copy)
    result = vidprep_command("extract", dataset, "--out", cache_copy, *SMALL, "--overwrite")
    assert result.exit_code == 0
    assert "decoded 48 frames" in result.stdout
    assert cache_bytes(cache_copy) == before
