"""Random 16-frame clips of 112x112 from a cache of residual frames of 170x128, beside other stores, all in one run.

Every contender reads the same clips in the same order, in batches of 32, in a process of its own, and has shown that it
delivers the cache's own bytes before its time counts; those that decode videos deliver nearly them. Contenders take
turns, and ratios are taken within a round.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from clips import find_footage
from loader_cases import hdf5, litdata, ours, video_files, webdataset
from loader_cases.case import BATCH, DELIVERED, Contender, Task
from loader_cases.process import Run, Runner, running
from loader_cases.stores import make_stores
from report import cores, option_parser, publish, spread, table

CONTENDERS = (
    *ours.CONTENDERS,
    *hdf5.CONTENDERS,
    *webdataset.CONTENDERS,
    *litdata.CONTENDERS,
    *video_files.CONTENDERS,
    ours.CODEC,
)
_BATCHES = ("Cache.read_batch", "ours")
_LOADERS = ("the faster of vidprep's loaders", f"ours, {DELIVERED}")
_CLIP_STORES = ("clips", f"clips, {DELIVERED}", "clips, compressed", "windows")
# What is held against the fastest of which groups, and by what factor it is to be faster.
_GOALS = (
    (_BATCHES, "h5py on the same shards, one process", ("h5py",), 2.0),
    (_LOADERS, "the DataLoader over h5py", (f"h5py, {DELIVERED}",), 1.5),
    (_BATCHES, "h5py with gzip", ("gzip",), 12.0),
    (_BATCHES, "the fastest of WebDataset and LitData", _CLIP_STORES, 1.5),
    (_BATCHES, "the fastest of these that compresses", ("clips, compressed",), 1.5),
    (("Cache.read_batch without compression", "ours, uncompressed"), "the fastest that does not", _CLIP_STORES, 1.5),
    (_LOADERS, "the DataLoaders over WebDataset and LitData", (f"clips, {DELIVERED}",), 1.5),
    (_BATCHES, "the faster way of decoding", ("decoding",), 50.0),
    (_BATCHES, "the codec alone", ("codec",), 0.6),
)


_PIECE = 1 << 20  # bytes read at a time to have a file in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A run, and the share of all cores that other processes took meanwhile."""

    run: Run
    others: float


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--videos", type=Path, metavar="DIR", help="folder of footage to make the cache of")
    parser.add_argument("--rounds", type=int, help="rounds [7; quick: 1]")
    parser.add_argument("--clips", type=int, help="clips of a round [2048; quick: 64]")
    parser.add_argument("--megabytes", type=float, help="frames of the cache, uncompressed [2000; quick: 1]")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="contenders whose name has one of these words in it")
    parser.add_argument("--cold", action="store_true", help="drop the files from memory before each turn")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 7)
    num_clips = options.clips or (64 if options.quick else 2048)
    footage = find_footage(options.videos)[: 1 if options.quick else None]
    chosen = [item for item in CONTENDERS if not options.only or any(word in item.name for word in options.only)]
    if options.cold:  # the start of workers, within the time of a cold turn, would hide the disk
        chosen = [item for item in chosen if not item.group.endswith(DELIVERED)]
    present = [item for item in chosen if not item.missing]
    if not present:
        parser.error("nobody is left: --only takes words of the table's first column, and peers must be installed")
    options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        num_bytes = 1e6 * (options.megabytes or (1 if options.quick else 2000))
        stores = {name for item in present for name in item.stores or ()}
        task = make_stores(Path(folder).resolve(), footage, stores, num_clips=num_clips, num_bytes=num_bytes)
        turns = race(present, task, rounds=rounds, cold=options.cold)
        sizes = _sizes(task)
    runs = {contender: [turn.run for turn in found] for contender, found in turns.items()}
    others = statistics.mean(turn.others for found in turns.values() for turn in found)
    disk = sum(run.disk_bytes for found in runs.values() for run in found)
    body = [
        f"{num_clips} random clips of {len(task.sources)} videos, in batches of {BATCH}; page cache "
        f"{'dropped before each turn' if options.cold else 'warm'}; median (least to most) of {rounds} rounds. "
        "MB/s are of what is delivered. *vidprep is faster*: how many times, the first row. CPU "
        "time is of all threads and workers, the system's part included; other processes took "
        f"{100 * others:.0f} % of the cores meanwhile, and {disk / 1e6:,.0f} MB came from the disk.\n",
        _table(runs, cold=options.cold),
        "",
        *_verdict(runs),
        f"\nStores: {sizes}.",
        f"Videos: {', '.join(item.path.name for item in footage)}.",
        *(f"Left out: {item.name}, for {' and '.join(item.missing)} is missing." for item in chosen if item.missing),
    ]
    part = "cold" if options.cold else ""
    publish("loader", "Random clips beside other stores", "\n".join(body), write=options.write, part=part)


def race(contenders: Sequence[Contender], task: Task, *, rounds: int, cold: bool) -> dict[Contender, list[Turn]]:
    """Let all contenders run ``rounds`` times."""
    turns: dict[Contender, list[Turn]] = {contender: [] for contender in contenders}
    with ExitStack() as stack:
        # A process that has the files mapped would keep them in memory, so a cold turn has a process of its own.
        runners = {} if cold else {item: stack.enter_context(running(item, _part(item, task))) for item in contenders}
        for i in range(rounds):
            first = i % len(contenders)
            for contender in (*contenders[first:], *contenders[:first]):
                turn = _cold_turn(contender, task) if cold else _warm_turn(contender, task, runners[contender])
                turns[contender].append(turn)
                print(f"round {i + 1} of {rounds}: {contender.name}: {turn}", file=sys.stderr, flush=True)
    return turns


def _warm_turn(contender: Contender, task: Task, runner: Runner) -> Turn:
    """Read its files first: since its last turn, the system may have given their memory to others."""
    piece = bytearray(_PIECE)
    for path in _files(contender.stores, task):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(piece):
                pass
    return _turn(runner)


def _cold_turn(contender: Contender, task: Task) -> Turn:
    with running(contender, _part(contender, task), again=True) as runner:
        _drop(_files(contender.stores, task))
        return _turn(runner)


def _turn(runner: Runner) -> Turn:
    busy, start = _busy_seconds(), time.perf_counter()
    run = runner.run()
    others = _busy_seconds() - busy - run.cpu_seconds
    return Turn(run=run, others=max(0.0, others) / (cores() * (time.perf_counter() - start)))


def _busy_seconds() -> float:
    """Processor time of everything on this machine since it started."""
    stat = Path("/proc/stat")
    if not stat.exists():  # not Linux
        return time.process_time()
    user, nice, system, _, _, irq, soft_irq, *_ = map(int, stat.read_text().splitlines()[0].split()[1:])
    return (user + nice + system + irq + soft_irq) / os.sysconf("SC_CLK_TCK")


def _part(contender: Contender, task: Task) -> Task:
    return task.first(max(BATCH, round(contender.share * len(task.clips))))


def _files(stores: Sequence[str] | None, task: Task) -> Iterable[Path]:
    if stores is None:
        return set(task.sources.values())
    paths = [task.root / name for name in stores]
    return [path for store in paths for path in (store.rglob("*") if store.is_dir() else [store]) if path.is_file()]


def _drop(files: Iterable[Path]) -> None:
    """Ask the kernel to forget the files' pages."""
    for path in files:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def _sizes(task: Task) -> str:
    names = dict.fromkeys(name for contender in CONTENDERS for name in contender.stores or ())
    sizes = {name: sum(path.stat().st_size for path in _files((name,), task)) for name in names}
    return ", ".join(f"{name} {size / 1e6:,.0f} MB" for name, size in sizes.items() if size)


def _table(runs: dict[Contender, list[Run]], *, cold: bool) -> str:
    base = next(iter(runs.values()))
    rows = [
        (
            contender.name + (f", {Fraction(contender.share)} of the clips" if contender.share < 1 else ""),
            spread([run.speed for run in mine]),
            f"{statistics.median(run.num_bytes / run.seconds / 1e6 for run in mine):,.0f}",
            spread([ours.speed / run.speed for ours, run in zip(base, mine, strict=True)], ".2f"),
            f"{statistics.median(1e3 * run.cpu_seconds / run.num_clips for run in mine):.3f}",
            f"{statistics.median(1e-3 * run.disk_bytes / run.num_clips for run in mine):,.0f}",
        )
        for contender, mine in runs.items()
    ]
    header = ("contender", "clips/s", "MB/s", "vidprep is faster", "CPU ms/clip", "kB/clip from disk")
    columns = len(header) if cold else len(header) - 1
    return table(header[:columns], [row[:columns] for row in rows])


def _verdict(runs: dict[Contender, list[Run]]) -> list[str]:
    """Hold the goals against the medians of ratios within a round."""

    def fastest(groups: Sequence[str]) -> list[float]:
        """Of each round."""
        rivals = [mine for contender, mine in runs.items() if contender.group in groups]
        return [max(run.speed for run in turn) for turn in zip(*rivals, strict=True)]

    lines = []
    for (mine, group), rival, rivals, goal in _GOALS:
        ratios = [a / b for a, b in zip(fastest([group]), fastest(rivals), strict=False)]
        if ratios:
            lines.append(f"- {mine} to {rival}: {statistics.median(ratios):.2f} (goal: at least {goal:g})")
    return lines


if __name__ == "__main__":
    main()
