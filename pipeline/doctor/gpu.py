"""The GPU path: driver, cards, video decoder, CuPy, DALI. All of it is optional, so nothing here is ever ``broken``."""

from __future__ import annotations

import ctypes
from pathlib import Path

from .children import ChildError, ask, run
from .findings import Finding, Status
from .software import installed

_CUPY = ("cupy-cuda13x", "cupy-cuda12x", "cupy")
_DALI = ("nvidia-dali-cuda130", "nvidia-dali-cuda120")
_CUDA_13_DRIVER = 580  # the oldest driver that runs CUDA 13
_CPU_ENOUGH = "nothing, the CPU backend does the same work"

_ASK_CUPY = """
import json, cupy
from cupy.cuda import runtime
answer = {"runtime": runtime.runtimeGetVersion(), "driver": runtime.driverGetVersion()}
try:
    answer["devices"] = runtime.getDeviceCount()
    answer["sum"] = int(cupy.arange(5).sum())
except runtime.CUDARuntimeError as error:
    answer["problem"] = str(error)
print(json.dumps(answer))
"""
_ASK_DALI = """
import json, nvidia.dali as dali
print(json.dumps({"version": dali.__version__}))
"""


def cards() -> list[Finding]:
    """GPUs and driver, as nvidia-smi tells."""
    query = "name,memory.total,compute_cap,driver_version"
    try:
        output = run(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"])
    except ChildError as error:
        if not _has_gpu_device():
            return [Finding(what="GPU", value="none", status="missing", advice=_CPU_ENOUGH)]
        return [
            Finding(
                what="GPU", value=f"a device is there, but nvidia-smi does not answer ({error})", status="warn",
                advice="install the NVIDIA driver, or give the container access to it (--gpus all)",
            )
        ]  # fmt: skip
    return _parse_cards(output)


def _parse_cards(output: str) -> list[Finding]:
    findings = []
    driver = ""
    for number, line in enumerate(line for line in output.splitlines() if line.strip()):
        name, memory, capability, driver = ([field.strip() for field in line.split(",")] + [""] * 4)[:4]
        size = f"{int(memory) / 1024:.0f} GiB, " if memory.isdigit() else ""
        findings.append(Finding(what=f"GPU {number}", value=f"{name}, {size}compute capability {capability}"))
    if not findings:
        return [Finding(what="GPU", value="none", status="missing", advice=_CPU_ENOUGH)]
    return [*findings, Finding(what="NVIDIA driver", value=driver)]


def _has_gpu_device(folder: Path = Path("/dev")) -> bool:
    return any(folder.glob("nvidia[0-9]*")) or (folder / "dxg").exists()  # dxg: Windows' subsystem for Linux


def nvdec() -> Finding:
    """What the driver's video decoder takes."""
    try:
        answer = ask(
            f"import runpy; runpy.run_path({str(Path(__file__).with_name('nvdec.py'))!r}, run_name='__main__')"
        )
    except ChildError as error:
        answer = {"problem": str(error)}
    if "problem" not in answer:
        formats, engines = answer["formats"], answer["engines"]
        return Finding(what="NVDEC", value=f"{engines} engine{'' if engines == 1 else 's'}: {', '.join(formats)}")
    if _library_exists("libnvcuvid.so.1"):
        return Finding(
            what="NVDEC", value=f"library found, codecs unknown ({answer['problem']})", status="warn",
            advice="check the driver with nvidia-smi; --decoder pyav decodes on the CPU",
        )  # fmt: skip
    if _has_gpu_device():
        return Finding(
            what="NVDEC", value="libnvcuvid.so.1 not found", status="missing",
            advice="in a container: NVIDIA_DRIVER_CAPABILITIES=compute,video,utility",
        )  # fmt: skip
    return Finding(what="NVDEC", value="none", status="missing", advice=_CPU_ENOUGH)


def _library_exists(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def cupy() -> list[Finding]:
    """CuPy, the CUDA runtime it brings, and whether it computes."""
    version = installed(*_CUPY)
    if version is None:
        return [Finding(what="CuPy", value="not installed", status="missing", advice=_install_advice())]
    try:
        answer = ask(_ASK_CUPY)
    except ChildError as error:
        return [
            Finding(
                what="CuPy", value=f"{version}, cannot be used: {error}"[:200], status="warn",
                advice=f"--device cpu works; to mend it: {_install_advice()}",
            )
        ]  # fmt: skip
    runtime = Finding(
        what="CUDA runtime", value=f"{_cuda(answer['runtime'])}; the driver takes up to {_cuda(answer['driver'])}"
    )
    if answer.get("sum") == 10:
        return [Finding(what="CuPy", value=f"{version}, computes on {answer['devices']} GPU(s)"), runtime]
    problem = answer.get("problem", "it computes wrong results")
    advice = f"--device cpu works; to mend it: {_install_advice()}" if _has_gpu_device() else _CPU_ENOUGH
    status: Status = "warn" if _has_gpu_device() else "missing"
    return [Finding(what="CuPy", value=f"{version}, no GPU: {problem}"[:200], status=status, advice=advice), runtime]


def dali() -> Finding:
    version = installed(*_DALI)
    if version is None:
        return Finding(what="DALI", value="not installed", status="missing", advice=_install_advice())
    try:
        answer = ask(_ASK_DALI)
    except ChildError as error:
        return Finding(
            what="DALI", value=f"{version}, cannot be loaded: {error}"[:200], status="warn",
            advice=f"--decoder pyav works; to mend it: {_install_advice()}",
        )  # fmt: skip
    return Finding(what="DALI", value=str(answer["version"]))


def _install_advice() -> str:
    """The extra that fits the driver; without a GPU, that it is not needed."""
    if not _has_gpu_device():
        return f'not needed without a GPU; with one: pip install "vidprep[{_extra()}]"'
    return f'pip install "vidprep[{_extra()}]"'


def _extra() -> str:
    try:
        driver = run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])
        major = int(driver.split(".")[0])
    except (ChildError, ValueError):
        return "cuda13"
    return "cuda13" if major >= _CUDA_13_DRIVER else "cuda12"


def _cuda(version: int) -> str:
    """``13020`` -> ``13.2``."""
    return f"{version // 1000}.{version % 1000 // 10}" if version else "none"
