"""Run benchmarks by name, one after another, each in a process of its own.

Without arguments all of them run in their quick form. ``extraction verify`` runs these two in full; options behind the
names, as ``--quick`` or ``--write``, go to each of them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from clips import find_footage

FOLDER = Path(__file__).resolve().parent
# Those that measure no speed have options of their own, and these are their quick form.
OWN_QUICK = {"kill_test": ["--kills", "3", "--videos", "4"], "mutation_test": ["--videos", "12"]}
NAMES = (
    "extraction",
    "motion_extraction",
    "loader",
    "open_cache",
    "memory",
    "verify",
    "kernels",
    "flow_accuracy",
    "temperature",
    "compression",
    "chunking",
    "kill_test",
    "mutation_test",
)


def main(arguments: list[str]) -> int:
    if {"-h", "--help"} & set(arguments[:1]):
        print(f"{__doc__}\nBenchmarks: {', '.join(_present())}. Each has a --help of its own.")
        return 0
    count = next((i for i, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    names, options = arguments[:count] or _present(), arguments[count:] if arguments else ["--quick"]
    unknown = [name for name in names if name not in _present()]
    if unknown:
        print(f"there is no benchmark {', '.join(unknown)}: choose from {', '.join(_present())}", file=sys.stderr)
        return 2
    failed = []
    for name in names:
        print(f"== {name}", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, FOLDER / f"{name}.py", *_options(name, options)], check=False)
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _present() -> list[str]:
    return [name for name in NAMES if (FOLDER / f"{name}.py").is_file()]


def _options(name: str, options: list[str]) -> list[str]:
    """Return the options for one benchmark, in its own words where it has no ``--quick`` and ``--write``."""
    if name in OWN_QUICK:
        options = [word for word in options if word not in ("--quick", "--write")] + (
            OWN_QUICK[name] if "--quick" in options else []
        )
    elif name == "chunking":
        videos = [str(footage.path) for footage in find_footage(None)]
        quick = [*videos[:1], "--frames", "64", "--clips", "20"]
        options = quick if "--quick" in options else [*videos, *(word for word in options if word != "--write")]
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
