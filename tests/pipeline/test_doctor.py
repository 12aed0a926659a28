"""The doctor: what it finds, and that nothing it meets makes it collapse."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import av
import pytest

from vidprep.pipeline.doctor import Finding, Probe, disk, examine, gpu, is_sound, machine, nvdec, probes, software
from vidprep.pipeline.doctor.children import ChildError, ask, run


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(software, "version", version)


def test_this_machine_is_sound_and_everything_found_is_named(tmp_path: Path) -> None:
    findings = examine(tmp_path)
    assert is_sound(findings), [finding for finding in findings if finding.status == "broken"]
    assert len({finding.what for finding in findings}) == len(findings)
    assert list(tmp_path.iterdir()) == []
    for finding in findings:
        assert finding.value
        assert finding.status == "ok" or finding.advice


@pytest.mark.parametrize(("core", "status"), [(True, "broken"), (False, "warn")])
def test_a_probe_that_fails_is_a_finding(core: bool, status: str) -> None:
    def look() -> Finding:
        raise RuntimeError("no\nluck")

    (finding,) = Probe(what="thing", look=look, core=core).run()
    assert (finding.status, finding.value) == (status, "RuntimeError: no luck")
    assert is_sound([finding]) is not core


@pytest.mark.parametrize("library", ["av", "numba.core.dispatcher", "h5py", "hdf5plugin", "llvmlite"])
def test_a_library_that_cannot_be_imported_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    findings = [finding for probe in probes(tmp_path)[:9] for finding in probe.run()]
    assert any(library in finding.value for finding in findings if finding.status in ("broken", "warn"))
    assert is_sound(findings) == (library == "llvmlite")


def test_missing_decoders_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = {"h264", "hevc", "libdav1d", "vp9", "vp8", "mpeg4", "mjpeg"}
    for absent, status in ((set(), "ok"), ({"libdav1d"}, "warn"), ({"h264", "vp8"}, "broken")):
        monkeypatch.setattr(av.codec, "codecs_available", everything - absent)
        decoders = software.ffmpeg()[1]
        assert decoders.status == status
        for name in absent:
            assert {"libdav1d": "av1"}.get(name, name) in decoders.value.partition("not ")[2]


def test_a_codec_that_damages_data_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from vidprep.pipeline.cache.codecs import Zstd

    monkeypatch.setattr(Zstd, "decode", lambda self, src, dst: None)
    finding = software.compression()
    assert (finding.status, finding.value.split()[0]) == ("broken", "zstd")


def test_a_wrong_kernel_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidprep.kernels.residual", lambda frames: frames[:1])
    assert software.numba()[0].status == "broken"


@pytest.mark.usefixtures("not_installed")
def test_missing_extras_name_the_pip_command() -> None:
    for finding, extra in (
        (software.torch(), "train"),
        (software.ray(), "cluster"),
        (gpu.cupy()[0], "cuda1"),
        (gpu.dali(), "cuda1"),
    ):
        assert finding.status == "missing"
        assert f'pip install "vidprep[{extra}' in finding.advice


def test_cards_are_read_from_nvidia_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    output = "NVIDIA H100 80GB HBM3, 81559, 9.0, 580.65.06\nNVIDIA L4, [N/A], 8.9, 580.65.06\n"
    monkeypatch.setattr(gpu, "run", lambda command: output)
    assert [(finding.what, finding.value) for finding in gpu.cards()] == [
        ("GPU 0", "NVIDIA H100 80GB HBM3, 80 GiB, compute capability 9.0"),
        ("GPU 1", "NVIDIA L4, compute capability 8.9"),
        ("NVIDIA driver", "580.65.06"),
    ]
    monkeypatch.setattr(gpu, "run", lambda command: "")
    assert gpu.cards()[0].status == "missing"


@pytest.mark.parametrize(("driver", "extra"), [("580.65.06", "cuda13"), ("535.1", "cuda12"), ("rubbish", "cuda13")])
def test_the_extra_fits_the_driver(monkeypatch: pytest.MonkeyPatch, driver: str, extra: str) -> None:
    monkeypatch.setattr(gpu, "run", lambda command: driver)
    monkeypatch.setattr(gpu, "_has_gpu_device", lambda: True)
    assert gpu._install_advice() == f'pip install "vidprep[{extra}]"'


def test_a_card_without_a_driver_gets_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(command: list[str]) -> str:
        raise ChildError("not installed")

    monkeypatch.setattr(gpu, "run", absent)
    monkeypatch.setattr(gpu, "_has_gpu_device", lambda: True)
    (finding,) = gpu.cards()
    assert finding.status == "warn"
    assert "driver" in finding.advice


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        ({"runtime": 13020, "driver": 13000, "devices": 2, "sum": 10}, "ok", "computes on 2 GPU(s)"),
        ({"runtime": 13020, "driver": 0, "problem": "cudaErrorNoDevice"}, "warn", "cudaErrorNoDevice"),
        ({"runtime": 13020, "driver": 13000, "devices": 1, "sum": 11}, "warn", "wrong results"),
        (ChildError("crashed with signal 11"), "warn", "crashed with signal 11"),
    ],
)
def test_cupy_is_tried_out(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, object] | ChildError, status: str, says: str
) -> None:
    def ask(code: str) -> dict[str, object]:
        if isinstance(answer, ChildError):
            raise answer
        return answer

    monkeypatch.setattr(gpu, "installed", lambda *names: "14.0.0")
    monkeypatch.setattr(gpu, "ask", ask)
    monkeypatch.setattr(gpu, "_has_gpu_device", lambda: True)
    found = gpu.cupy()
    assert found[0].status == status
    assert says in found[0].value
    assert [finding.value[:5] for finding in found[1:]] == ([] if isinstance(answer, ChildError) else ["13.2;"])


_FAKE_DRIVER = """
struct caps { int codec, chroma; unsigned bits, reserved1[3]; unsigned char supported, engines; unsigned short formats;
              unsigned max_width, max_height, max_mb; unsigned short min_width, min_height;
              unsigned char histogram, counter; unsigned short bins; unsigned reserved3[10]; };
int cuInit(unsigned flags) { return FAIL; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = (void *)0x123456789aUL; return 0; }
int cuCtxSetCurrent(void *context) { return context != (void *)0x123456789aUL; }
int cuvidGetDecoderCaps(struct caps *caps) {
    if (sizeof(struct caps) != 88 || caps->supported || caps->reserved1[0]) return 1;
    caps->supported = caps->codec == 4 ? caps->bits == 0 : caps->codec == 8 && caps->chroma == 1;
    caps->engines = caps->supported ? 7 : 0;
    return 0;
}
"""


@pytest.mark.parametrize(
    ("fail", "status", "says"),
    [(0, "ok", "7 engines: h264, hevc, hevc 10 bit"), (100, "warn", "cuInit failed with CUDA error 100")],
)
def test_nvdec_is_asked_through_the_driver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fail: int, status: str, says: str
) -> None:
    compiler = shutil.which("cc") or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C compiler to make a stand-in for the driver")
    (tmp_path / "driver.c").write_text(_FAKE_DRIVER)
    command = [compiler, "-shared", "-fPIC", "-x", "c", f"-DFAIL={fail}", str(tmp_path / "driver.c"), "-o"]
    for library in ("libcuda.so.1", "libnvcuvid.so.1"):
        subprocess.run([*command, str(tmp_path / library)], check=True)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setattr(gpu, "_library_exists", lambda name: True)
    finding = gpu.nvdec()
    assert (finding.status, says in finding.value) == (status, True), finding


def test_formats_of_nvdec_are_distinct() -> None:
    assert len({row[1:] for row in nvdec.FORMATS}) == len({row[0] for row in nvdec.FORMATS}) == len(nvdec.FORMATS)


def test_children_may_crash_hang_and_babble() -> None:
    assert ask("print('noise'); print('[1]')") == [1]
    for code, reason in (
        ("import os; os.abort()", "crashed with signal 6"),
        ("raise ValueError('why')", "ValueError: why"),
        ("print('hello')", "no answer"),
        ("pass", "no answer"),
    ):
        with pytest.raises(ChildError, match=reason):
            ask(code)
    with pytest.raises(ChildError, match="no answer within 0 s"):
        ask("import time; time.sleep(60)", time_limit=0.3)
    with pytest.raises(ChildError, match="not installed"):
        run(["a-program-that-nobody-has"])


def test_the_disk_is_measured_where_the_cache_will_be(tmp_path: Path) -> None:
    speed = disk.write_speed(tmp_path / "not" / "yet" / "there", num_bytes=1 << 20)
    assert f"/s in {tmp_path} (1.0 MB" in speed.value
    assert str(tmp_path) in disk.space(tmp_path / "not" / "yet").value
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_be_written_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(**options: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(disk.tempfile, "TemporaryFile", refuse)
    finding = disk.write_speed(tmp_path)
    assert finding.status == "warn"
    assert "read-only file system" in finding.value


def test_a_containers_limit_on_cores_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "cpu.max"
    for text, cores in (("150000 100000\n", 1.5), ("max 100000\n", None), ("rubbish", None)):
        limit.write_text(text)
        assert machine._cpu_quota(limit) == cores
    assert machine._cpu_quota(tmp_path / "absent") is None
    monkeypatch.setattr(machine, "_cpu_quota", lambda: 0.5)
    assert machine.cores().advice.startswith("use --workers 1")
