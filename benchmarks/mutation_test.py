"""Extract damaged videos (bytes flipped, ends cut, pieces spliced): no crash, no hang, each cached or listed.

python benchmarks/mutation_test.py --videos 300
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder prints its settings otherwise
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from mutation import KINDS, extract_mutants, write_mutants


def main() -> None:
    """Print one line; a video that is lost is an ``AssertionError``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        names = write_mutants(Path(temporary, "mutants"), arguments.videos, seed=arguments.seed)
        began = time.monotonic()
        cached, failed = extract_mutants(Path(temporary, "mutants"), Path(temporary, "cache"), names)
    print(
        f"{len(names)} damaged videos of {len(KINDS)} kinds: {cached} cached, {failed} listed with their reason, none "
        f"lost ({time.monotonic() - began:.0f} s)"
    )


if __name__ == "__main__":
    main()
