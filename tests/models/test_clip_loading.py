"""Datasets in torch's DataLoader: any number of workers, however they are started, give the same batches."""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle
import sys
import threading

import numpy as np
import pytest

from vidprep.models import ClipDataset, ClipSampler, FlowStacks, UniformClips

torch = pytest.importorskip("torch")

pytestmark = [
    # The process of the tests has threads by now; the reader's part is to be safe then, and these tests check it.
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning"),
]

FORK = pytest.param("fork", marks=pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork"))


@pytest.fixture(scope="module")
def dataset(clips) -> ClipDataset:
    return ClipDataset(clips, ["residual", "rgb"], length=6, crop=(8, 8), clips_per_video=2)


def content(batches) -> list[tuple]:
    """Samples, in order, whatever the batches: number, label, video, frames, pixels."""
    samples = []
    for batch in batches:
        for i in range(len(batch["index"])):
            pixels = hashlib.sha256(batch["rgb"][i].numpy().tobytes() + batch["residual"][i].numpy().tobytes())
            samples.append(
                (
                    batch["index"][i].item(),
                    batch["label"][i].item(),
                    batch["video"][i],
                    batch["frames"][i].tolist(),
                    pixels.digest(),
                )
            )
    return samples


@pytest.fixture(scope="module")
def expected(dataset) -> list[tuple]:
    """Epoch 0, sample by sample, without a loader."""
    samples = [dataset[key] for key in ClipSampler(dataset, seed=2)]
    return content([torch.utils.data.default_collate([sample]) for sample in samples])


def loader(dataset, sampler, batch_size: int, form: str, **options):
    if form == "sampler":
        return torch.utils.data.DataLoader(dataset, batch_size=batch_size, sampler=sampler, **options)
    if form == "batch_sampler":
        return torch.utils.data.DataLoader(dataset, batch_sampler=sampler.batches(batch_size), **options)
    return torch.utils.data.DataLoader(dataset, batch_size=None, sampler=sampler.batches(batch_size), **options)


@pytest.mark.parametrize("form", ["sampler", "batch_sampler", "whole batches"])
@pytest.mark.parametrize(("num_workers", "batch_size"), [(0, 4), (0, 30), (1, 7), (2, 4)])
def test_same_samples_whatever_the_workers_and_batches(dataset, expected, form, num_workers, batch_size) -> None:
    context = "fork" if num_workers and "fork" in multiprocessing.get_all_start_methods() else None
    made = loader(
        dataset, ClipSampler(dataset, seed=2), batch_size, form,
        num_workers=num_workers, multiprocessing_context=context,
    )  # fmt: skip
    batches = list(made)
    assert content(batches) == expected
    assert len(made) == len(batches)
    assert [len(batch["label"]) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)


def test_spawned_workers_give_the_same(dataset, expected) -> None:
    """One loader for all that is to be said of spawned workers: starting them takes seconds."""
    sampler = ClipSampler(dataset, seed=2)
    made = loader(
        dataset, sampler, 4, "batch_sampler",
        num_workers=2, multiprocessing_context="spawn", persistent_workers=True,
    )  # fmt: skip
    assert content(made) == expected
    second = content(made)
    assert [sample[0] for sample in second] == [sample for _, sample in _keys(dataset, epoch=1)]
    assert second != expected
    sampler.set_epoch(0)
    assert content(made) == expected
    del made  # ends the workers here rather than when the interpreter does


@pytest.mark.parametrize("start", [FORK])
def test_persistent_workers_go_on_to_the_next_epoch(dataset, expected, start) -> None:
    made = loader(
        dataset, ClipSampler(dataset, seed=2), 5, "sampler",
        num_workers=2, multiprocessing_context=start, persistent_workers=True,
    )  # fmt: skip
    assert content(made) == expected
    assert [sample[0] for sample in content(made)] == [sample for _, sample in _keys(dataset, epoch=1)]


def _keys(dataset, epoch: int):
    sampler = ClipSampler(dataset, seed=2)
    sampler.set_epoch(epoch)
    return list(sampler)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_resumed_in_mid_epoch(dataset, expected, num_workers) -> None:
    """Workers take keys ahead of what the loop has had; the loop counts."""
    options = {"num_workers": num_workers, "multiprocessing_context": "fork" if num_workers else None}
    sampler = ClipSampler(dataset, seed=2)
    had = []
    for batch in loader(dataset, sampler, 4, "batch_sampler", **options):
        had.append(batch)
        if len(had) == 3:
            break
    state = pickle.loads(pickle.dumps(sampler.state_dict(num_taken=sum(len(batch["label"]) for batch in had))))
    resumed = ClipSampler(dataset, seed=2)
    resumed.load_state_dict(state)
    rest = list(loader(dataset, resumed, 4, "batch_sampler", **options))
    assert content(had) + content(rest) == expected


def test_ranks_together_see_each_sample_once(dataset, expected) -> None:
    parts = []
    for rank in range(3):
        sampler = ClipSampler(dataset, seed=2, rank=rank, num_ranks=3)
        parts.append(list(loader(dataset, sampler, 4, "batch_sampler")))
    assert len({len(part) for part in parts}) == 1
    assert sorted(content(batch for part in parts for batch in part)) == sorted(expected)


@pytest.mark.parametrize("start", [FORK])
def test_whole_batches_of_workers_are_in_shared_memory(dataset, start) -> None:
    """They cross to the training process without a copy. So do those of stacks, whose channels are put in order."""
    made = loader(dataset, ClipSampler(dataset), 4, "whole batches", num_workers=1, multiprocessing_context=start)
    assert next(iter(made))["rgb"].is_shared()
    stacks = FlowStacks(dataset.cache, "rgb", length=3)
    made = loader(stacks, ClipSampler(stacks), 4, "whole batches", num_workers=1, multiprocessing_context=start)
    (first, *_) = made
    assert first["flow"].is_shared()
    keys = list(ClipSampler(stacks))[:4]
    assert torch.equal(first["flow"], torch.from_numpy(stacks.read(keys).frames["flow"]))


def test_a_dataset_in_threads(dataset) -> None:
    keys = list(ClipSampler(dataset))
    expected = dataset.read(keys).frames["rgb"]
    results: dict[int, np.ndarray] = {}

    def work(i: int) -> None:
        results[i] = dataset.read(keys).frames["rgb"]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all((results[i] == expected).all() for i in range(4))


def test_uniform_clips_need_no_sampler(clips) -> None:
    dataset = UniformClips(clips, "rgb", length=4, clips_per_video=2)
    batches = list(torch.utils.data.DataLoader(dataset, batch_size=8))
    assert torch.cat([batch["index"] for batch in batches]).tolist() == list(range(30))
    assert [id_ for batch in batches for id_ in batch["video"]] == [id_ for id_ in clips.videos for _ in range(2)]
