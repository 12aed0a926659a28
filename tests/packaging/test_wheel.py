"""The wheel: what is in it, what it asks for, and how it imports."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PARTS = ("cli", "kernels", "models", "pipeline")
CORE = {"av", "click", "h5py", "hdf5plugin", "numba", "numpy", "pyarrow", "rich", "tomli"}
EXTRAS = {"bench", "cluster", "cuda12", "cuda13", "dev", "test", "train"}
OPTIONAL = ("cupy", "cuda", "cv2", "decord", "lightning", "nvidia", "pandas", "ray", "scipy", "torch", "xxhash")
HEAVY = {"av", "cupy", "h5py", "hdf5plugin", "llvmlite", "numba", "nvidia", "pyarrow", "ray", "torch"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, repository_root: Path) -> zipfile.ZipFile:
    """The wheel of a copy of the checkout, so that nothing left behind by earlier builds gets in."""
    folder = tmp_path_factory.mktemp("wheel")
    generated = shutil.ignore_patterns(".*", "build", "demo", "dist", "*.egg-info", "__pycache__")
    checkout = shutil.copytree(repository_root, folder / "a checkout", ignore=generated)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--no-build-isolation", "-w", folder, checkout], check=True)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def installed(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked: a folder for ``sys.path``."""
    folder = tmp_path_factory.mktemp("installed")
    wheel.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def run_python(installed: Path, code: str) -> list[str]:
    """Run ``code`` in a bare interpreter that finds the unpacked wheel first; return what it put into ``result``."""
    program = f"import json, sys\nsys.path.insert(0, {str(installed)!r})\n{code}\nprint(); print(json.dumps(result))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


def test_content(wheel: zipfile.ZipFile, repository_root: Path) -> None:
    """Everything below the packages, with the CUDA sources; not the tests, not the benchmarks, not the docs."""
    files = (path for part in PARTS for path in (repository_root / part).rglob("*") if path.is_file())
    expected = {path.relative_to(repository_root).as_posix() for path in files if path.parent.name != "__pycache__"}
    expected |= {"__init__.py", "py.typed"}
    assert "kernels/cuda/residual.cu" in expected
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == {f"vidprep/{name}" for name in expected}


def test_metadata(metadata: Message, installed: Path) -> None:
    assert run_python(installed, "import vidprep\nresult = [vidprep.__version__]") == [metadata["Version"]]
    assert metadata["Requires-Python"] == ">=3.10"
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    assert {each.name for each in requirements if "extra ==" not in str(each.marker)} == CORE
    assert set(metadata.get_all("Provides-Extra", [])) == EXTRAS


def test_console_script(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
    assert wheel.read(name).decode().split() == ["[console_scripts]", "vidprep", "=", "vidprep.cli.entry:main"]


def test_public_names_need_the_core_alone(installed: Path) -> None:
    code = f"""
sys.modules.update(dict.fromkeys({OPTIONAL}))  # None: importing it fails
import vidprep
for name in vidprep.__all__:
    getattr(vidprep, name)
result = [vidprep.__file__]
"""
    assert run_python(installed, code) == [str(installed / "vidprep" / "__init__.py")]


@pytest.mark.parametrize(
    "code",
    [
        "import vidprep",
        "import vidprep.cli.entry",
        "import vidprep.cli.main",
        "sys.argv[1:] = ['--help']\nfrom vidprep.cli.main import main\ntry: main()\nexcept SystemExit: pass",
    ],
    ids=["import", "entry", "command line", "help"],
)
def test_starts_without_heavy_imports(installed: Path, code: str) -> None:
    modules = run_python(installed, f"{code}\nresult = sorted({{name.partition('.')[0] for name in sys.modules}})")
    assert "vidprep" in modules
    assert not HEAVY & set(modules)


def test_constraints_pin_all_that_is_installed(metadata: Message, repository_root: Path) -> None:
    """Everything that `make test` and `make lint` install, through all levels, has a version in constraints.txt."""
    lines = (repository_root / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(str(pin.specifier).startswith("==") for pin in pins)
    pinned = {canonicalize_name(pin.name) for pin in pins if pin.marker is None or pin.marker.evaluate()}

    waiting = [(Requirement(text), {"test", "dev", "bench"}) for text in metadata.get_all("Requires-Dist", [])]
    needed: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement, extras = waiting.pop()
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            continue
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if key in needed:
            continue
        needed.add(key)
        try:
            waiting += [(Requirement(text), requirement.extras) for text in requires(key[0]) or []]
        except PackageNotFoundError:
            continue  # an extra that is not installed here
    assert {name for name, _ in needed} - pinned == set()
