"""What a sample is: its frames, its crop, its stacks and segments, its label."""

from __future__ import annotations

import logging
import pickle

import numpy as np
import pytest

from vidprep import Cache
from vidprep.models import ClipDataset, FlowStacks, Segments, UniformClips
from vidprep.pipeline.errors import MissingExtraError, UsageError

torch = pytest.importorskip("torch")

EVERYTHING = [(0, sample) for sample in range(15)]


def shown(frames) -> np.ndarray:
    """Frame numbers that the pixels say, ``(N, T)``; each frame says one."""
    numbers = frames[..., 0].reshape(*frames.shape[:2], -1)
    assert (numbers == numbers[..., :1]).all()
    return numbers[..., 0]


# ---------------------------------------------------------------------------------------------------------- samples


def test_a_sample(clips) -> None:
    dataset = ClipDataset(clips, ["residual", "rgb"], length=8, crop=(6, 10))
    assert len(dataset) == 15
    assert dataset.num_classes == 3
    sample = dataset[(2, 7)]
    assert set(sample) == {"residual", "rgb", "label", "video", "index", "frames", "replaced"}
    assert sample["video"] == "Bowling/v2.avi"
    assert (sample["label"].item(), sample["index"].item()) == (1, 7)
    assert sample["label"].dtype == sample["index"].dtype == torch.int64
    assert sample["residual"].shape == sample["rgb"].shape == (8, 6, 10, 3)
    assert sample["residual"].dtype == torch.uint8
    assert sample["frames"].tolist() == shown(sample["rgb"].numpy()[None])[0].tolist()


def test_modalities_show_the_same_frames_and_the_same_place(clips) -> None:
    batch = ClipDataset(clips, ["residual", "rgb"], length=8, stride=2, crop=(5, 7)).read(EVERYTHING)
    assert (batch.frames["rgb"] == batch.frames["residual"]).all()
    assert (shown(batch.frames["rgb"]) == batch.numbers).all()
    videos = batch.frames["rgb"][:, 0, 0, 0, 1]
    assert videos.tolist() == list(range(15))
    places = batch.frames["rgb"][..., 2].astype(int)
    assert (np.diff(places, axis=3) == 1).all()
    assert (np.diff(places, axis=2) == 16).all()
    assert (places == places[:, :1]).all()
    assert len(np.unique(places[:, 0, 0, 0])) > 5


def test_a_batch_is_its_samples(clips) -> None:
    dataset = ClipDataset(clips, ["flow", "rgb"], length=4, crop=(8, 8))
    keys = [(1, 3), (0, 3), (5, 14), (1, 3)]
    batch, samples = dataset[keys], dataset.__getitems__(keys)
    for i, (key, sample) in enumerate(zip(keys, samples, strict=True)):
        alone = dataset[key]
        for name in alone:
            for other in (sample[name], batch[name][i]):
                assert other == alone[name] if name == "video" else torch.equal(other, alone[name])
    assert not torch.equal(samples[0]["frames"], samples[1]["frames"]) or not torch.equal(
        samples[0]["rgb"], samples[1]["rgb"]
    )


def test_epochs_and_seeds_differ(clips) -> None:
    first = ClipDataset(clips, "rgb", length=4).read(EVERYTHING).numbers
    assert (ClipDataset(clips, "rgb", length=4, seed=1).read(EVERYTHING).numbers != first).any()
    dataset = ClipDataset(clips, "rgb", length=4)
    assert (dataset.read([(1, sample) for sample in range(15)]).numbers != first).any()
    assert (dataset.read(list(range(15))).numbers == first).all()


def test_plain_numbers_are_warned_of_once(clips, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        UniformClips(clips, "rgb").__getitems__([0, 1])
        ClipDataset(clips, "rgb", jitter=False).__getitems__([0, 1])
        ClipDataset(clips, "rgb").__getitems__([(0, 0)])
        assert not caplog.records
        dataset = ClipDataset(clips, "rgb")
        dataset.__getitems__([0, 1])
        dataset.__getitems__([0, 1])
    assert caplog.text.count("sampler=ClipSampler(dataset)") == 1


def test_given_arrays_are_filled(clips) -> None:
    dataset = FlowStacks(clips, "rgb", num_stacks=2, crop=(6, 6))
    out = {
        "flow": torch.zeros((3, *dataset.formats["flow"].shape), dtype=torch.uint8),
        "rgb": np.zeros((3, *dataset.formats["rgb"].shape), np.uint8),
    }
    batch, expected = dataset.read(EVERYTHING[:3], out=out), dataset.read(EVERYTHING[:3])
    for name, array in out.items():
        assert (np.asarray(array) == expected.frames[name]).all()
        assert np.shares_memory(batch.frames[name], np.asarray(array))
    assert dataset.formats["flow"].nbytes == 2 * 6 * 6 * 20
    with pytest.raises(UsageError, match="out must have the keys flow, rgb, got rgb"):
        dataset.read([0], out={"rgb": out["rgb"]})
    with pytest.raises(UsageError, match="out must be a C-contiguous"):
        dataset.read([0], out=out)


def test_pickled_small(make_clips) -> None:
    """The cache's path and a few bytes a video, not its index."""
    cache = make_clips({f"a/{i}": 5 for i in range(200)}, modalities=["rgb"])
    dataset = ClipDataset(cache, "rgb", length=2, crop=(4, 4))
    batch = dataset[[(0, 150)]]
    data = pickle.dumps(dataset)
    assert len(data) < 2000 + 12 * len(dataset)
    again = pickle.loads(data)
    assert torch.equal(again[[(0, 150)]]["rgb"], batch["rgb"])


def test_a_path_is_a_cache_too(clips) -> None:
    assert len(ClipDataset(clips.path, "rgb")) == len(ClipDataset(str(clips.path), "rgb")) == 15


# ------------------------------------------------------------------------------------------------------ ClipDataset


def test_jitter_reaches_every_start_equally_often(make_clips) -> None:
    dataset = ClipDataset(make_clips({"a": 35}, modalities=["rgb"]), "rgb", length=16, seed=3)
    starts = dataset.read([(epoch, 0) for epoch in range(2000)]).numbers[:, 0]
    counts = np.bincount(starts, minlength=20)
    assert len(counts) == 20
    assert ((counts - 100) ** 2 / 100).sum() < 43.8  # of 19 degrees of freedom, one in a thousand is above


def test_clips_of_a_video_are_in_its_parts(make_clips) -> None:
    cache = make_clips({"a": 34, "b": 34}, modalities=["rgb"])
    dataset = ClipDataset(cache, "rgb", length=5, clips_per_video=3)
    assert len(dataset) == 6
    batch = dataset.read([(epoch, sample) for epoch in range(50) for sample in range(6)])
    assert batch.positions.tolist() == [0, 0, 0, 1, 1, 1] * 50
    starts = batch.numbers[:, 0].reshape(-1, 3)
    assert (starts.min(axis=0) == [0, 10, 20]).all()
    assert (starts.max(axis=0) == [9, 19, 29]).all()


def test_without_jitter_the_middle(clips) -> None:
    batch = ClipDataset(clips, "rgb", length=7, jitter=False).read([(9, 0), (3, 4)])
    assert batch.numbers[:, 0].tolist() == [5, 15]


def test_a_range_of_strides(make_clips) -> None:
    dataset = ClipDataset(make_clips({"a": 50}, modalities=["rgb"]), "rgb", length=4, stride=(5, 15))
    batch = dataset.read([(epoch, 0) for epoch in range(300)])
    assert (shown(batch.frames["rgb"]) == batch.numbers).all()
    steps = np.diff(batch.numbers, axis=1)
    assert (steps == steps[:, :1]).all()
    assert set(steps[:, 0].tolist()) == set(range(5, 16))


def test_short_videos(make_clips) -> None:
    cache = make_clips({"a": 5, "b": 1}, modalities=["rgb"])
    assert ClipDataset(cache, "rgb", length=8).read([0, 1]).numbers.tolist() == [[0, 1, 2, 3, 4, 0, 1, 2], [0] * 8]
    batch = ClipDataset(cache, "rgb", length=4, stride=2, short="pad").read([0, 1])
    assert batch.numbers.tolist() == [[0, 2, 4, 4], [0] * 4]
    assert (shown(batch.frames["rgb"]) == batch.numbers).all()


def test_frames_of_different_sizes_are_cropped(make_clips) -> None:
    cache = make_clips({"a": 9, "b": 9}, sizes={"a": (12, 16), "b": (16, 12)})
    batch = ClipDataset(cache, ["residual", "rgb"], length=4, crop=(12, 12)).read(
        [(e, i) for e in range(20) for i in (0, 1)]
    )
    corners = batch.frames["rgb"][:, 0, 0, 0, 2]
    assert set(corners[::2].tolist()) == set(range(5))
    assert set(corners[1::2].tolist()) == {12 * i for i in range(5)}
    with pytest.raises(UsageError, match=r"frames of 'a' are 12x16 and those of 'b' 16x12 .* give crop"):
        ClipDataset(cache, "rgb")


# ----------------------------------------------------------------------------------------------------- UniformClips


def test_uniform_clips_are_spread_and_fixed(make_clips) -> None:
    cache = make_clips({"a": 25, "b": 6}, modalities=["rgb"])
    dataset = UniformClips(cache, "rgb", length=6, clips_per_video=4, crop=(6, 8))
    batch = dataset.read(range(8))
    assert batch.numbers[:, 0].tolist() == [2, 7, 12, 17, 0, 0, 0, 0]
    assert (batch.frames["rgb"][..., 0, 0, 2] == 3 * 16 + 4).all()  # the centre
    assert (dataset.read([(7, i) for i in range(8)]).numbers == batch.numbers).all()
    assert dataset[5]["video"] == "b"


# ------------------------------------------------------------------------------------------------------- FlowStacks


def test_flow_stacks_alternate_x_and_y(clips) -> None:
    """Simonyan, Zisserman 2014, equation 1: x1, y1, x2, y2, ..."""
    dataset = FlowStacks(clips, "rgb", num_stacks=2, stride=3, crop=(6, 8))
    assert dataset.formats["flow"].shape == (2, 6, 8, 20)
    batch = dataset.read(EVERYTHING)
    flow = batch.frames["flow"]
    assert (flow == flow[:, :, :1, :1]).all()
    channels = flow[:, :, 0, 0].astype(int)
    assert (channels[..., 1::2] == channels[..., ::2] + 100).all()
    assert (np.diff(channels[..., ::2], axis=2) == 1).all()
    assert (np.diff(channels[..., 0], axis=1) == 3).all()
    assert (shown(batch.frames["rgb"]) == channels[..., 10]).all()  # of fields 0 to 9 the middle one
    assert (batch.numbers == channels[..., 10]).all()


def test_flow_stacks_of_float16(make_clips) -> None:
    dataset = FlowStacks(make_clips({"a": 20}, modalities=["flow"], flow_dtype="float16"), crop=(5, 7), random=False)
    flow = dataset[0]["flow"]
    assert (flow.shape, flow.dtype) == ((1, 5, 7, 20), torch.float16)
    assert flow[0, 2, 3].tolist() == [number for i in range(5, 15) for number in (i, i + 100)]


def test_flow_stacks_start_anywhere(make_clips) -> None:
    dataset = FlowStacks(make_clips({"a": 20}, modalities=["flow"]))
    batch = dataset.read([(epoch, 0) for epoch in range(200)])
    assert set(batch.frames["flow"][:, 0, 0, 0, 0].tolist()) == set(range(10))


def test_flow_stacks_of_short_videos(make_clips) -> None:
    """Strides are reduced first; then the first and the last field are held."""
    cache = make_clips({"a": 31, "b": 8}, modalities=["flow"])
    channels = FlowStacks(cache, num_stacks=5).read([0, 1]).frames["flow"][:, :, 0, 0, ::2].astype(int)
    assert (np.diff(channels[0, :, 0]) == 5).all()
    starts = np.arange(5) - 4  # 14 fields are wanted around the middle of 7
    assert (channels[1] == np.clip(starts[:, None] + np.arange(10), 0, 6)).all()


def test_flow_stacks_for_testing_are_spread(make_clips) -> None:
    dataset = FlowStacks(make_clips({"a": 35}, modalities=["flow"]), num_stacks=5, random=False)
    starts = dataset.read([(4, 0)]).frames["flow"][0, :, 0, 0, 0]
    assert starts.tolist() == [2, 7, 12, 17, 22]  # 25 starts


# --------------------------------------------------------------------------------------------------------- Segments


def test_segments_are_in_their_thirds(make_clips) -> None:
    dataset = Segments(make_clips({"a": 31}, modalities=["rgb", "residual"]), ["rgb", "residual"], length=2)
    batch = dataset.read([(epoch, 0) for epoch in range(200)])
    assert batch.frames["rgb"].shape == (200, 6, 12, 16, 3)
    assert (batch.frames["rgb"] == batch.frames["residual"]).all()
    assert (shown(batch.frames["rgb"]) == batch.numbers).all()
    snippets = batch.numbers.reshape(200, 3, 2)
    assert (snippets[..., 1] == snippets[..., 0] + 1).all()
    starts = snippets[..., 0]  # 29 of them: thirds end at 9.67 and 19.33
    assert starts.min(axis=0).tolist() == [0, 9, 19]
    assert starts.max(axis=0).tolist() == [9, 19, 28]
    assert abs(np.corrcoef(starts[:, 0], starts[:, 1])[0, 1]) < 0.3


def test_segments_for_testing_are_in_the_middles(make_clips) -> None:
    dataset = Segments(make_clips({"a": 30, "b": 2}, modalities=["rgb"]), random=False, crop=(2, 2))
    batch = dataset.read([0, 1])
    assert batch.numbers.tolist() == [[5, 15, 25], [0, 1, 1]]
    assert (batch.frames["rgb"][:, :, 0, 0, 2] == 5 * 16 + 7).all()


# ----------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda cache: ClipDataset(cache, "depth"), "no modality 'depth': it holds flow, residual, rgb"),
        (lambda cache: ClipDataset(cache, []), r"modalities must be one name, or several different ones, got \[\]"),
        (lambda cache: ClipDataset(cache, ["rgb", "rgb"]), "several different ones"),
        (lambda cache: FlowStacks(cache, "flow"), "several different ones"),
        (lambda cache: ClipDataset(cache, length=0), "length must be at least 1 frame, got 0"),
        (lambda cache: ClipDataset(cache, length=2.5), "length must be at least 1 frame, got 2.5"),
        (lambda cache: ClipDataset(cache, stride=0), "stride must be at least 1 frame, got 0"),
        (lambda cache: ClipDataset(cache, stride=(3, 2)), r"or a range \(low, high\) of them, got \(3, 2\)"),
        (lambda cache: ClipDataset(cache, stride=(1, 2, 3)), r"got \(1, 2, 3\)"),
        (lambda cache: UniformClips(cache, stride=(1, 2)), r"stride must be at least 1 frame, got \(1, 2\)"),
        (lambda cache: ClipDataset(cache, clips_per_video=0), "clips_per_video must be at least 1, got 0"),
        (lambda cache: FlowStacks(cache, num_stacks=0), "num_stacks must be at least 1, got 0"),
        (lambda cache: Segments(cache, num_segments=-1), "num_segments must be at least 1, got -1"),
        (lambda cache: ClipDataset(cache, short="raise"), r"'loop' \(.*\) or 'pad' \(.*\), got 'raise'"),
        (lambda cache: ClipDataset(cache, seed=2**64), r"seed must be 0 to 2\*\*64 - 1"),
        (lambda cache: ClipDataset(cache, crop=(13, 4)), r"13x4 does not fit .* 'Archery/v0.avi', which are 12x16"),
        (lambda cache: ClipDataset(cache, crop=8), r"crop must be \(height, width\), whole pixels from 1, got 8"),
        (lambda cache: ClipDataset(cache, crop=(0, 4)), r"got \(0, 4\)"),
        (lambda cache: ClipDataset(cache, crop=(4.0, 4.0)), r"got \(4.0, 4.0\)"),
        (lambda cache: ClipDataset(cache)[["a"]], "a key is the number of a sample"),
        (lambda cache: ClipDataset(cache)[(1, 2, 3)], "a key is the number of a sample"),
        (lambda cache: ClipDataset(cache)[1.5], "a key is the number of a sample"),
        (lambda cache: ClipDataset(cache)[[]], "there are no keys: ask for at least one sample"),
        (lambda cache: ClipDataset(cache)[(-1, 2)], "an epoch is a number from 0, got -1"),
    ],
)
def test_refusals(clips, make, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        make(clips)
    assert "\n" not in str(caught.value)


def test_modalities_of_different_sizes_are_not_cropped_together(make_clips) -> None:
    cache = make_clips({"a": 9}, sizes={"rgb": (12, 16), "residual": (6, 8)})
    with pytest.raises(UsageError, match="frames of 'a' are 12x16 in rgb and 6x8 in residual"):
        ClipDataset(cache, ["rgb", "residual"], crop=(4, 4))
    batch = ClipDataset(cache, ["rgb", "residual"], length=2).read([0])
    assert (batch.frames["rgb"].shape, batch.frames["residual"].shape) == ((1, 2, 12, 16, 3), (1, 2, 6, 8, 3))


@pytest.mark.parametrize("key", [15, -1, (0, 15), (3, -1)])
def test_there_is_no_such_sample(clips, key) -> None:
    with pytest.raises(IndexError, match=r"there is no sample .*: this dataset has 15, from 0"):
        ClipDataset(clips)[key]


def test_no_such_cache(tmp_path) -> None:
    with pytest.raises(Exception, match="is not a cache"):
        ClipDataset(tmp_path)


def test_torch_is_asked_for_at_use(clips: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    dataset = ClipDataset(clips)
    assert len(dataset.read([0, 1])) == 2
    with pytest.raises(MissingExtraError, match=r"torch, which is not installed: pip install \"vidprep\[train\]\""):
        dataset[0]
