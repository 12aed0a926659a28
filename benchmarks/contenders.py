"""Who takes part in the comparison of extraction: what each worker process does with its videos, on one thread.

Every function takes the videos of one worker and a folder to write into, and returns how many frames it has gone
through. Each imports what it needs itself, so that no process holds the libraries of another contender.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HEIGHT, WIDTH = 128, 170

Work = Callable[[Sequence[Path], Path], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One row of the comparison.

    Parameters
    ----------
    name
        As the table shows it.
    work
        What a worker does.
    needs
        Modules that must be installed.
    share
        Fraction of the videos it gets: less for the slow, whose run would take minutes.
    """

    name: str
    work: Work
    needs: tuple[str, ...] = ()
    share: float = 1.0

    @property
    def installed(self) -> bool:
        return all(find_spec(module) is not None for module in self.needs)


def decode(videos: Sequence[Path], out: Path) -> int:
    """Decode and drop: the floor."""
    import av

    num_frames = 0
    for video in videos:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            for _ in container.decode(stream):
                num_frames += 1
    return num_frames


def vidprep(
    videos: Sequence[Path],
    out: Path,
    modalities: tuple[str, ...] = ("residual",),
    workers: int = 2,
    threads: int = 1,
) -> int:
    """Modalities, compressed, checksummed, fsynced: what a worker of ``vidprep extract`` does, shard by shard.

    One of ``workers``, each with its share of the cores, ``threads``.
    """
    from vidprep.kernels.cpu._threads import set_num_threads
    from vidprep.pipeline.config import ExtractConfig
    from vidprep.pipeline.events import Advanced, Event, VideoFinished
    from vidprep.pipeline.plan import default_shard_videos, plan_shards
    from vidprep.pipeline.shard import ShardTask, build_shard
    from vidprep.pipeline.videos import Video

    num_frames = 0

    def report(event: Event) -> None:
        nonlocal num_frames
        if isinstance(event, Advanced):
            num_frames += event.frames
        elif isinstance(event, VideoFinished) and event.stage:
            raise RuntimeError(f"{event.video}: {event.reason} ({event.stage})")

    found = tuple(Video(id=f"{i:05d}{video.suffix}", path=video) for i, video in enumerate(videos))
    config = ExtractConfig(modalities=modalities)
    set_num_threads(threads)
    # As many videos a shard as the command would put into it, which has the other workers' too.
    for plan in plan_shards(found, default_shard_videos(workers * len(found))):
        # As the command: with a worker on every core there is no thread to compress.
        task = ShardTask(
            plan=plan, config=config, cache=out, decoder="pyav", threads=threads - 1, kernel_threads=threads
        )
        build_shard(task, "cpu", report)
    return num_frames


def ffmpeg(videos: Sequence[Path], out: Path, flags: str = "bicubic") -> int:
    """The ffmpeg program: decode, scale, drop. One process for all videos, so that it starts once."""
    import imageio_ffmpeg

    listing = out / "videos.txt"
    listing.write_text("".join(f"file '{video}'\n" for video in videos))
    chain = f"scale={WIDTH}:{HEIGHT}:flags={flags},format=rgb24"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-threads", "1", "-filter_threads", "1"]
    command += ["-f", "concat", "-safe", "0", "-i", str(listing), "-an", "-vf", chain]
    command += ["-fps_mode", "passthrough", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    return int(re.findall(r"frame=\s*(\d+)", done.stderr)[-1])


def ffmpeg_bilinear(videos: Sequence[Path], out: Path) -> int:
    """The same with swscale's cheaper filter."""
    return ffmpeg(videos, out, "bilinear")


def pyav_scale(videos: Sequence[Path], out: Path) -> int:
    """ffmpeg's filters through PyAV, where there is no ffmpeg program: decode, scale, drop."""
    import av

    num_frames = 0
    for video in videos:
        with av.open(str(video)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            graph = av.filter.Graph()
            graph.nb_threads = 1
            nodes = (graph.add_buffer(template=stream), graph.add("scale", f"{WIDTH}:{HEIGHT}"))
            graph.link_nodes(*nodes, graph.add("format", "rgb24"), graph.add("buffersink")).configure()
            for frame in container.decode(stream):
                graph.push(frame)
                graph.pull()
                num_frames += 1
    return num_frames


def decord(videos: Sequence[Path], out: Path) -> int:
    """decord's reader, which resizes while it decodes: read in order, drop."""
    num_frames = 0
    for video in videos:
        reader = _decord_reader(video)
        for _ in range(len(reader)):
            reader.next()
            num_frames += 1
    return num_frames


def opencv(videos: Sequence[Path], out: Path) -> int:
    """OpenCV: read, resize, drop."""
    return sum(1 for video in videos for _ in _opencv_frames(video))


def opencv_by_hand(videos: Sequence[Path], out: Path) -> int:
    """What a user writes: OpenCV, NumPy's difference, gzip by h5py."""
    import numpy as np

    return _by_hand(videos, out, lambda video: np.stack(list(_opencv_frames(video))))


def decord_by_hand(videos: Sequence[Path], out: Path) -> int:
    """What a user writes: decord, NumPy's difference, gzip by h5py."""

    def read(video: Path) -> Any:
        reader = _decord_reader(video)
        return reader.get_batch(range(len(reader))).asnumpy()

    return _by_hand(videos, out, read)


CONTENDERS = (
    Contender(name="decode and drop (PyAV)", work=decode),
    Contender(name="vidprep, residual, written", work=vidprep),
    Contender(name="ffmpeg, scale to null", work=ffmpeg, needs=("imageio_ffmpeg",)),
    Contender(name="ffmpeg, scale with flags=bilinear to null", work=ffmpeg_bilinear, needs=("imageio_ffmpeg",)),
    Contender(name="decord, resize, drop", work=decord, needs=("decord",)),
    Contender(name="OpenCV, resize, drop", work=opencv, needs=("cv2",)),
    Contender(name="by hand: decord, NumPy, h5py gzip", work=decord_by_hand, needs=("decord",), share=0.2),
    Contender(name="by hand: OpenCV, NumPy, h5py gzip", work=opencv_by_hand, needs=("cv2",), share=0.2),
)
WITHOUT_FFMPEG = Contender(name="PyAV, ffmpeg's scale filter, drop", work=pyav_scale)


def _by_hand(videos: Sequence[Path], out: Path, read: Callable[[Path], Any]) -> int:
    import h5py
    import numpy as np

    num_frames = 0
    with h5py.File(out / f"{os.getpid()}.h5", "w") as file:
        for i, video in enumerate(videos):
            frames = read(video).astype(np.int16)
            difference = np.abs(frames[1:] - frames[:-1]).astype(np.uint8)
            file.create_dataset(f"{i}/residual", data=difference, compression="gzip")
            num_frames += len(frames)
    return num_frames


def _decord_reader(video: Path) -> Any:
    from decord import VideoReader, cpu

    return VideoReader(str(video), ctx=cpu(0), width=WIDTH, height=HEIGHT, num_threads=1)


def _opencv_frames(video: Path) -> Iterator[Any]:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "threads;1"  # read when a capture is opened
    import cv2

    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(str(video), cv2.CAP_FFMPEG)
    try:
        while True:
            more, frame = capture.read()
            if not more:
                return
            yield cv2.resize(frame, (WIDTH, HEIGHT))
    finally:
        capture.release()
