"""Opening a large cache: time and memory until its first clip, of an index made for the purpose.

Videos of 300 frames or so, in chunks of 8 frames whose sizes vary as those of real residual frames do, 1000 videos a
shard. Only the first video's first clip exists. Each step is measured in a process that has done the steps above it.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from report import option_parser, publish, table

VIDEOS = 300_000
PER_SHARD = 1000
CHUNK_FRAMES = 8
SIZE = (128, 170)
CHUNK_BYTES = 200_000
CLASSES = 400
GOAL_SECONDS, GOAL_MB = 1.0, 300.0


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--number", type=int, help=f"videos [{VIDEOS}; quick: 20000]")
    parser.add_argument("--rounds", type=int, default=5, help="processes, of which the fastest counts [%(default)s]")
    options = parser.parse_args()
    number = options.number or (20_000 if options.quick else VIDEOS)
    options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        path = Path(folder, "cache")
        index_bytes = make_cache(path, number)
        context = multiprocessing.get_context("spawn")
        rounds = []
        for _ in range(options.rounds):
            with context.Pool(1) as pool:
                rounds.append(pool.apply(measure, (path,)))
    rows = [
        (
            step,
            f"{1e3 * min(found[i][1] for found in rounds):,.1f}" if i else "",
            f"{min(found[i][2] for found in rounds):,.0f}",
        )
        for i, (step, _, _) in enumerate(rounds[0])
    ]
    body = table(("step", "ms", "peak RSS, MB"), rows)
    body += (
        f"\n\n{number:,} videos of one modality, an index of {index_bytes / 1e6:,.0f} MB in the page cache. "
        f"Goal: opening 300,000 under {GOAL_SECONDS:g} s and {GOAL_MB:g} MB."
    )
    publish("open_cache", "Opening a large cache", body, write=options.write)


def measure(path: Path) -> list[tuple[str, float, float]]:
    """Take the steps; returns what each is called, its seconds, and the peak of memory until then in 10**6 bytes."""
    found = []

    def step(name: str, work: Callable[[], object]) -> None:
        begin = time.perf_counter()
        work()
        found.append((name, time.perf_counter() - begin, _peak_mb()))

    step("Python, NumPy, Arrow", lambda: None)
    step("import of the reader", _imports)
    from vidprep import Cache

    caches: list[Cache] = []
    step("open", lambda: caches.append(Cache(path)))
    cache = caches[0]
    ids = cache.video_ids(range(0, len(cache), max(1, len(cache) // 1000)))[:1000]
    _compile()
    step("the first clip: order of the ids, where chunks are", lambda: cache.read_batch("residual", [(FIRST, 0)]))
    step("the second clip", lambda: cache.read_batch("residual", [(FIRST, 0)]))
    step("1000 other ids to positions", lambda: cache.positions(ids))
    step("the same 1000 again", lambda: cache.positions(ids))
    step("numbers of frames and labels of all videos", lambda: (cache.frame_counts("residual"), cache.labels))
    step("all ids", lambda: ids.extend(cache.videos))
    step("all ids to positions", lambda: cache.positions(ids[1000:]))
    return found


FIRST = "class 000/000000.mp4"


def make_cache(path: Path, number: int) -> int:
    """Write header, index and the first clip; returns the bytes of the index."""
    from vidprep.pipeline.cache import FORMAT_VERSION, CacheHeader, shard_path
    from vidprep.pipeline.cache.codecs import make_codec
    from vidprep.pipeline.cache.sidecar import SCHEMA, encode_rows

    rng = np.random.default_rng(0)
    frames = np.clip(rng.normal(300, 40, number), 20, None).astype(np.int64)
    chunks = -(-frames // CHUNK_FRAMES)
    ends = np.concatenate(([0], np.cumsum(chunks)))
    sizes = np.clip(rng.normal(CHUNK_BYTES, 0.15 * CHUNK_BYTES, ends[-1]), 100, None).astype(np.uint32)
    codec = make_codec("lz4", 1, SIZE[0] * SIZE[1] * 3)
    raw = np.zeros(CHUNK_FRAMES * SIZE[0] * SIZE[1] * 3, np.uint8)
    encoded = np.empty(codec.bound(raw.size), np.uint8)
    sizes[:2] = codec.encode(raw, encoded)
    before = np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))[:-1]
    shards = np.arange(number) // PER_SHARD
    gaps = 4096 + 512 * (np.arange(number) % PER_SHARD)  # HDF5's own structures between the videos
    offsets = before - np.repeat(before[ends[PER_SHARD * shards]], chunks) + np.repeat(gaps, chunks)
    names = [f"class {i:03d}" for i in range(CLASSES)]
    texts = {
        "video": [f"{names[i % CLASSES]}/{i:06d}.mp4" for i in range(number)],
        "label": [names[i % CLASSES] for i in range(number)],
    }
    same = {
        "modality": "residual", "split": "train", "fps": 25.0, "height": SIZE[0], "width": SIZE[1], "channels": 3,
        "dtype": "uint8", "scale_factor": None, "add_offset": None, "chunk_frames": CHUNK_FRAMES, "codec": "lz4",
        "source_codec": "h264", "source_pixel_format": "yuv420p", "source_height": 256, "source_width": 340,
        "source_rotation": 0, "decoder": "pyav", "decoder_note": "",
    }  # fmt: skip
    numbers = {"shard": shards, "num_frames": frames, "source_frames": frames + 1}
    lists = {"chunk_offsets": offsets, "chunk_sizes": sizes, "chunk_checksums": rng.integers(0, 2**63, ends[-1])}
    columns = []
    for field in SCHEMA:
        if field.name in lists:
            values = pa.array(lists[field.name].astype(field.type.value_type.to_pandas_dtype()))
            columns.append(pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values))
        elif field.name in numbers:
            columns.append(pa.array(numbers[field.name], field.type))
        else:
            columns.append(pa.array(texts.get(field.name) or [same[field.name]] * number, field.type))
    header = CacheHeader(
        config={"modalities": ["residual"]}, tools={}, modalities=("residual",), classes=tuple(names), source="/videos",
        num_shards=int(shards[-1]) + 1,
    )  # fmt: skip
    header.write(path)
    metadata = {"format_version": FORMAT_VERSION, "config_hash": header.config_hash, "failures": []}
    data = encode_rows(pa.Table.from_arrays(columns, schema=SCHEMA), metadata)
    (path / "index.parquet").write_bytes(data)
    shard_path(path, 0).parent.mkdir(exist_ok=True)
    with shard_path(path, 0).open("wb") as file:
        for offset in offsets[:2].tolist():
            file.seek(offset)
            file.write(encoded[: sizes[0]])
    return len(data)


def _imports() -> None:
    from vidprep.pipeline.cache import batch_reader, clip_decoder  # noqa: F401


def _compile() -> None:
    """Have the kernels in memory, by a clip of a cache of one video: loading them is no part of a step."""
    from vidprep import Cache

    with tempfile.TemporaryDirectory() as folder:
        make_cache(Path(folder, "cache"), 1)
        Cache(Path(folder, "cache")).read_batch("residual", [(FIRST, 0)])


def _peak_mb() -> float:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
