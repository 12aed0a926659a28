"""The loader with threads: the dataset's samples, once an epoch, augmented, and gone on with where it was stopped."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from executors import need_gpu
from vidprep.models import Augmentation, ClipDataset, ClipLoader, ClipSampler, FlowStacks, UniformClips
from vidprep.models.loader import _GpuMaker
from vidprep.pipeline.cache import DamagedClipsError, shard_path
from vidprep.pipeline.errors import CacheError, UsageError

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def dataset(clips) -> ClipDataset:
    return ClipDataset(clips, ["residual", "rgb"], length=6, crop=(8, 8), clips_per_video=2)


def keys(batches) -> list[int]:
    return [sample for batch in batches for sample in batch["index"].tolist()]


def assert_same(ours, others) -> None:
    ours, others = list(ours), list(others)
    assert len(ours) == len(others)
    for our, other in zip(ours, others, strict=True):
        assert our.keys() == other.keys()
        for name, value in our.items():
            assert value == other[name] if name == "video" else torch.equal(value, other[name]), name


def test_batches_are_those_of_torch_s_loader(dataset) -> None:
    batches = list(ClipLoader(dataset, 7, sampler=ClipSampler(dataset, seed=3)))
    torch_s = torch.utils.data.DataLoader(dataset, batch_size=None, sampler=ClipSampler(dataset, seed=3).batches(7))
    assert [len(batch["label"]) for batch in batches] == [7, 7, 7, 7, 2]
    assert batches[0]["rgb"].shape == (7, 6, 8, 8, 3)
    assert_same(batches, torch_s)


@pytest.mark.parametrize("options", [{"num_threads": 1}, {"num_threads": 3}, {"prefetch_bytes": 1}])
def test_same_batches_however_they_are_read(dataset, options) -> None:
    augmentation = Augmentation((6, 6), crop="corners", scales=(1, 0.75), seed=4)
    plain = ClipLoader(dataset, 4, augmentation=augmentation)
    assert_same(ClipLoader(dataset, 4, augmentation=augmentation, **options), plain)


def test_augmentation(dataset) -> None:
    augmentation = Augmentation((4, 6), mean=128, std={"residual": 2, "rgb": (1, 2, 4)}, dtype="float16", seed=5)
    loader = ClipLoader(dataset, 8, augmentation=augmentation)
    next(iter(loader))  # so that the next pass is another epoch
    (batch, *_), (stored, *_) = list(loader), list(ClipLoader(dataset, 8, sampler=second_epoch(dataset)))
    assert (batch["rgb"].shape, batch["rgb"].dtype) == ((8, 3, 6, 4, 6), torch.float16)
    expected = augmentation({name: stored[name] for name in ("residual", "rgb")}, stored["index"], 1)
    for name, value in expected.items():
        assert torch.equal(batch[name], value)


def second_epoch(dataset) -> ClipSampler:
    sampler = ClipSampler(dataset)
    sampler.set_epoch(1)
    return sampler


def test_each_pass_is_an_epoch_with_every_sample_once(dataset) -> None:
    loader = ClipLoader(dataset, 4)
    first, second = keys(loader), keys(loader)
    assert sorted(first) == sorted(second) == list(range(len(dataset)))
    assert first != second
    assert loader.epoch == 1
    loader.set_epoch(0)
    assert keys(loader) == first
    assert len(loader) == 8


@pytest.mark.parametrize("num_ranks", [1, 2, 3])
def test_ranks(dataset, num_ranks: int) -> None:
    loaders = [
        ClipLoader(dataset, 4, sampler=ClipSampler(dataset, rank=rank, num_ranks=num_ranks))
        for rank in range(num_ranks)
    ]
    had = [list(loader) for loader in loaders]
    assert len({len(batches) for batches in had}) == 1
    assert sorted(key for batches in had for key in keys(batches)) == list(range(len(dataset)))


@pytest.mark.parametrize("stop", [1, 3, 8])
def test_resumed_in_mid_epoch(dataset, stop: int) -> None:
    """However much has been made ahead."""
    augmentation = Augmentation((6, 6))
    whole = ClipLoader(dataset, 4, augmentation=augmentation)
    expected = list(whole) + list(whole)
    first = ClipLoader(dataset, 4, augmentation=augmentation)
    batches = iter(first)
    had = [next(batches) for _ in range(stop)]
    state = first.state_dict()
    batches.close()
    second = ClipLoader(dataset, 4, augmentation=augmentation)
    second.load_state_dict(state)
    assert second.state_dict() == state
    assert_same(had + list(second) + list(second), expected)


def test_only_the_latest_pass_counts(dataset) -> None:
    """An earlier one that somebody goes on with does not move the place to resume from."""
    loader = ClipLoader(dataset, 7, sampler=ClipSampler(dataset, seed=3))
    earlier = iter(loader)
    next(earlier)
    state = loader.state_dict()
    loader.load_state_dict(state)
    next(earlier)
    assert loader.state_dict() == state
    assert len(list(loader)) == 4
    list(zip(loader, loader, strict=True))
    assert (loader.epoch, loader.state_dict()["first"]) == (2, len(dataset))


def test_batches_that_are_kept_stay_as_they_are(dataset) -> None:
    """Their memory is used again, when nobody refers to it."""
    loader = ClipLoader(dataset, 4, augmentation=Augmentation((6, 6)))
    kept = [(batch["rgb"][1:, :2], batch["rgb"].clone()) for batch in loader]
    for _ in loader:
        pass
    for view, copy in kept:
        assert torch.equal(view, copy[1:, :2])


def test_leaving_early_leaves_no_thread(dataset) -> None:
    for batch in ClipLoader(dataset, 2):
        assert len(batch["label"]) == 2
        break
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name == "vidprep-ahead"]


def test_other_datasets(clips) -> None:
    flow = FlowStacks(clips, "rgb", length=3, num_stacks=2)
    augmentation = Augmentation((6, 6), formats=clips)
    (batch, *_) = ClipLoader(flow, 4, augmentation=augmentation)
    assert batch["flow"].shape == (4, 6, 2, 6, 6)
    assert batch["rgb"].shape == (4, 3, 2, 6, 6)
    testing = UniformClips(clips, length=4, clips_per_video=3)
    loader = ClipLoader(testing, 4, sampler=ClipSampler(testing, shuffle=False))
    assert keys(loader) == list(range(45))


def test_damage(make_clips, damage) -> None:
    cache = make_clips({"a": 9, "b": 9, "c": 9})
    damage(cache, "b", "rgb", 0)
    with pytest.raises(DamagedClipsError, match=r"'b'.*shard 0*1|shard.*'b'"):
        list(ClipLoader(ClipDataset(cache, "rgb", length=9), 1))
    loader = ClipLoader(ClipDataset(cache, "rgb", length=9, skip_damaged=True), 3)
    (batch,) = loader
    assert sum(batch["replaced"].tolist()) == 1
    assert "b" not in batch["video"]
    assert sum(loader.dataset.damage.values()) == 1


def test_a_shard_that_is_gone(make_clips) -> None:
    cache = make_clips({"a": 9, "b": 9})
    shard_path(cache.path, 1).unlink()
    with pytest.raises(CacheError, match=r"shard-00001\.h5 is missing"):
        list(ClipLoader(ClipDataset(cache, "rgb", length=4), 1))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"prefetch_bytes": 0}, "prefetch_bytes must be at least 1, got 0"),
        ({"num_threads": 0}, "num_threads must be at least 1"),
        ({"device": "gpu"}, "device must be 'cpu', 'cuda' or 'cuda:N', got 'gpu'"),
        ({"device": "meta"}, "device must be 'cpu', 'cuda' or 'cuda:N', got 'meta'"),
        ({"sampler": ClipSampler(7)}, "the sampler is for 7 samples, and the dataset has 30"),
        ({"augmentation": abs}, "augmentation must be an Augmentation, got builtin_function_or_method"),
    ],
)
def test_wrong_options(dataset, options, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ClipLoader(dataset, **options)


def test_other_kinds_of_datasets_are_refused(dataset) -> None:
    with pytest.raises(UsageError, match="a dataset of clips is needed, such as ClipDataset, got Subset"):
        ClipLoader(torch.utils.data.Subset(dataset, [0, 1]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(dataset) -> None:
    with pytest.raises(UsageError, match="torch finds no CUDA GPU: use device='cpu'"):
        ClipLoader(dataset, device="cuda")


def test_gpu_gives_the_same(dataset) -> None:
    need_gpu()
    augmentation = Augmentation((6, 6), crop="corners", scales=(1, 0.75))
    on_cpu = list(ClipLoader(dataset, 4, augmentation=augmentation))
    for batch, expected in zip(ClipLoader(dataset, 4, augmentation=augmentation, device="cuda"), on_cpu, strict=True):
        assert batch["label"].is_cuda
        for name in ("residual", "rgb"):
            np.testing.assert_array_equal(batch[name].cpu().numpy(), expected[name].numpy())


class _Stream:
    """Stands in for a CUDA stream and its events; writes down what is asked of it."""

    def __init__(self, name: str, log: list) -> None:
        self.name, self._log = name, log

    def record_event(self) -> str:
        self._log.append((self.name, "event"))
        return "event"

    def wait_event(self, event: str) -> None:
        self._log.append((self.name, "waits for", event))


def test_what_is_asked_of_a_gpu(dataset, monkeypatch) -> None:
    """Its copies and kernels go to a stream beside training's, which waits for them and then owns what they made."""
    log: list = []
    side, training = _Stream("side", log), _Stream("training", log)
    working_on = [training]

    @contextmanager
    def on(stream: _Stream) -> Iterator[None]:
        working_on.append(stream)
        yield
        working_on.pop()

    def empty(shape: tuple, *, dtype, pin_memory: bool):
        assert pin_memory
        return new_tensor(shape, dtype=dtype)

    new_tensor = torch.empty
    monkeypatch.setattr(torch, "empty", empty)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: log.append(("used by", stream.name)))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: side)
    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: training)

    def augment(frames: dict, samples, epochs) -> dict:
        log.append((working_on[-1].name, "augments", *sorted(frames)))
        assert frames["rgb"].shape == (3, 6, 8, 8, 3)
        return {name: clips.float() for name, clips in frames.items()}

    loader = ClipLoader(dataset, 3, augmentation=Augmentation((8, 8)))
    loader.augmentation = augment
    maker = _GpuMaker(loader)
    made = maker.make([(0, sample) for sample in (4, 2, 7)])
    assert log == [("side", "augments", "residual", "rgb"), ("side", "event")]
    log.clear()
    batch = maker.hand_over(made)
    tensors = sum(isinstance(value, torch.Tensor) for value in batch.values())
    assert log == [("training", "waits for", "event"), *[("used by", "training")] * tensors]
    assert torch.equal(batch["rgb"], torch.from_numpy(dataset.read([4, 2, 7]).frames["rgb"]).float())
    assert batch["label"].tolist() == dataset.read([4, 2, 7]).labels.tolist()


def test_state_of_another(dataset, tmp_path: Path) -> None:
    state = ClipLoader(dataset, sampler=ClipSampler(dataset, seed=1)).state_dict()
    with pytest.raises(UsageError, match="seed"):
        ClipLoader(dataset).load_state_dict(state)
