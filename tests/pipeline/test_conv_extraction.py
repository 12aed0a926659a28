"""``--features conv1:FILE`` from end to end: what is stored, what the cache remembers of the file, what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vidprep
from extraction import cache_bytes
from interruption import assert_same_bytes
from vidprep.kernels import cost_volume, displacement, warped_difference
from vidprep.pipeline.cache import shard_path
from vidprep.pipeline.config import ExtractConfig
from vidprep.pipeline.conv_features import conv_features
from vidprep.pipeline.errors import CacheError, MissingExtraError, UsageError
from vidprep.pipeline.layer_file import LayerFile, read_layer_file
from vidprep.pipeline.modalities import MODALITIES
from vidprep.pipeline.motion import MotionOptions
from vidprep.pipeline.preview import write_preview
from vidprep.pipeline.repair import repair

MATCHED = ["rgb", "displacement", "cost-volume", "warped-difference"]
OPTIONS: dict[str, Any] = {"modalities": MATCHED, "size": (30, 40), "radius": 2, "shard_videos": 1, "workers": 2}
ADVICE = r"torch\.save\(model\.state_dict\(\), FILE\)"


def checkpoint(path: Path, seed: int = 0, channels: int = 6) -> Path:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    weight = torch.tensor(np.random.default_rng(seed).normal(0, 0.2, (channels, 3, 7, 7)), dtype=torch.float32)
    torch.save({"epoch": 3, "state_dict": {"module.conv1.weight": weight, "module.fc.bias": weight[0, 0]}}, path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("weights") / "net.pt")


@pytest.fixture(scope="module")
def conv_cache(dataset: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> vidprep.Cache:
    path = tmp_path_factory.mktemp("conv") / "cache"
    report = vidprep.extract(dataset, path, features=f"conv1:{weights}", **OPTIONS)
    assert (report.num_videos, report.failures) == (4, ())
    return vidprep.Cache(path)


def test_what_is_read_is_what_the_features_give(conv_cache: vidprep.Cache, weights: Path) -> None:
    _, layer = read_layer_file(f"conv1:{weights}")
    for video in conv_cache.videos:
        features = conv_features(conv_cache.read(video, "rgb"), layer)
        pairs = features[:-1], features[1:]
        moved = displacement(*pairs, 2)
        np.testing.assert_array_equal(conv_cache.read(video, "displacement"), moved.astype(np.float16))
        volume = cost_volume(*pairs, 2).reshape(*moved.shape[:3], 25)
        np.testing.assert_array_equal(conv_cache.read(video, "cost-volume"), volume.astype(np.float16))
        difference = warped_difference(*pairs, moved).astype(np.float16)
        assert difference.shape[3] == 6
        np.testing.assert_array_equal(conv_cache.read(video, "warped-difference"), difference)


def test_the_content_of_the_file_decides_not_its_place(
    conv_cache: vidprep.Cache, weights: Path, dataset: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere.pt"
    moved.write_bytes(weights.read_bytes())
    cache = tmp_path / "cache"
    vidprep.extract(dataset, cache, features=f"conv1:{moved}", **{**OPTIONS, "workers": 1})
    shards, others = (
        {name: data for name, data in cache_bytes(path).items() if name.startswith("shards")}
        for path in (cache, conv_cache.path)
    )
    assert_same_bytes(shards, others)
    again = vidprep.extract(dataset, cache, features=f"conv1:{weights}", **OPTIONS)
    assert again.frames == 0
    assert_same_bytes(cache_bytes(cache), cache_bytes(conv_cache.path))  # it remembers where the file is now
    checkpoint(moved, seed=1)
    with pytest.raises(UsageError, match=r"features is conv1:.*net\.pt .* there and conv1:.*elsewhere\.pt .* here"):
        vidprep.extract(dataset, cache, features=f"conv1:{moved}", **OPTIONS)
    with pytest.raises(UsageError, match=r"features is conv1:.* there and zncc here"):
        vidprep.extract(dataset, cache, features="zncc", **OPTIONS)


def test_repair_finds_the_file_and_refuses_another(dataset: Path, tmp_path: Path) -> None:
    weights, cache = checkpoint(tmp_path / "net.pt"), tmp_path / "cache"
    vidprep.extract(dataset, cache, features=f"conv1:{weights}", **OPTIONS)
    whole = cache_bytes(cache)
    shard = bytearray(shard_path(cache, 2).read_bytes())
    shard[len(shard) // 2] ^= 4
    shard_path(cache, 2).write_bytes(shard)
    damaged = cache_bytes(cache)
    content = weights.read_bytes()
    weights.unlink()
    with pytest.raises(CacheError, match=r"net\.pt, which is gone: bring it back"):
        repair(cache, workers=1)
    checkpoint(weights, seed=1)
    with pytest.raises(CacheError, match=r"net\.pt, which has changed .*: bring it back"):
        repair(cache, workers=1)
    weights.write_text("no checkpoint")
    with pytest.raises(CacheError, match=r"net\.pt as it was"):
        repair(cache, workers=1)
    assert_same_bytes(cache_bytes(cache), damaged)
    weights.write_bytes(content)
    assert repair(cache, workers=1).rebuilt == (2,)
    assert_same_bytes(cache_bytes(cache), whole)


def test_it_can_be_looked_at(conv_cache: vidprep.Cache, tmp_path: Path) -> None:
    for suffix in ("png", "html"):
        write_preview(conv_cache, tmp_path / f"out.{suffix}")
        assert (tmp_path / f"out.{suffix}").stat().st_size > 1000


def test_a_flow_can_warp_features(dataset: Path, weights: Path, tmp_path: Path) -> None:
    options = {**OPTIONS, "modalities": ["rgb", "warped-difference"], "radius": None, "warp_by": "flow"}
    vidprep.extract(dataset, tmp_path / "cache", features=f"conv1:{weights}", **options)
    cache = vidprep.Cache(tmp_path / "cache")
    assert cache.read("Archery/a.mp4", "warped-difference").shape[3] == 6


LAYER_FILE = LayerFile(file="/far/away/net.pt", sha256="ab" * 32, channels=64)


def test_the_configuration_knows_the_file() -> None:
    config = ExtractConfig(modalities=tuple(MATCHED), motion=MotionOptions(features=LAYER_FILE))
    assert config.motion.difference_dtype == "float16"
    assert MODALITIES["warped-difference"].stored(config.motion).channels == 64
    assert ExtractConfig.from_json(config.to_json()) == config
    usual = ExtractConfig(modalities=tuple(MATCHED))
    assert usual.motion.difference_dtype == "int8"
    assert (
        config.differences(usual)[0] == "features is zncc there and conv1:/far/away/net.pt (SHA-256 abababababab) here"
    )


@pytest.mark.parametrize(
    ("modalities", "options", "words"),
    [
        (MATCHED, {"difference_dtype": "int8"}, "int8 is for differences of colours, .* make it float16"),
        (["flow", "rgb"], {}, "features is an option of cost-volume, displacement"),
    ],
)
def test_options_that_do_not_fit_the_features(modalities: list[str], options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ExtractConfig(modalities=tuple(modalities), motion=MotionOptions(features=LAYER_FILE, **options))


def _text(path: Path) -> str:
    pytest.importorskip("torch", reason="torch is not installed")
    path.write_text("no checkpoint")
    return str(path)


def _empty(path: Path) -> str:
    pytest.importorskip("torch", reason="torch is not installed")
    path.write_bytes(b"")
    return str(path)


def _saved(content: Callable[[Any], Any]) -> Callable[[Path], str]:
    def save(path: Path) -> str:
        torch = pytest.importorskip("torch", reason="torch is not installed")
        torch.save(content(torch), path)
        return str(path)

    return save


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: "", f"conv1: names no file: give .*{ADVICE}"),
        (lambda path: str(path), r"'conv1:.*x\.pt' cannot be read \(no such file.*zncc"),
        (lambda path: str(path.parent), "it is not a file"),
        (_text, f"no checkpoint of plain tensors .*{ADVICE}"),
        (_empty, "no checkpoint of plain tensors"),
        (_saved(lambda torch: [torch.zeros(3)]), "no tensors by name"),
        (_saved(lambda torch: {"state_dict": {}}), "no tensors by name"),
        (_saved(lambda torch: {"model": Path("x")}), "no checkpoint of plain tensors"),  # code, not data
        (_saved(lambda torch: {"fc.weight": torch.zeros(3, 4)}), r"no conv1\.weight"),
        (_saved(lambda torch: {"conv1.weight": torch.zeros(4, 1, 3, 3)}), "takes 1 channels, and frames have 3"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_are_refused_before_anything_is_written(
    make: Callable[[Path], str], words: str, dataset: Path, tmp_path: Path
) -> None:
    file = make(tmp_path / "x.pt")
    with pytest.raises(UsageError, match=words) as raised:
        vidprep.extract(dataset, tmp_path / "cache", modalities=["displacement"], features=f"conv1:{file}")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "cache").exists()


def test_without_torch_the_extra_is_named(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "x.pt").write_bytes(b"x")
    with pytest.raises(MissingExtraError, match=r'pip install "vidprep\[train\]"'):
        vidprep.extract(dataset, tmp_path / "cache", modalities=["displacement"], features=f"conv1:{tmp_path / 'x.pt'}")
    assert not (tmp_path / "cache").exists()
