"""The configuration: what it refuses, how it is stored, how two are told apart."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from vidprep.pipeline.cache import config_hash
from vidprep.pipeline.config import ExtractConfig
from vidprep.pipeline.decode import FrameSize
from vidprep.pipeline.errors import UsageError

CONFIGS = [
    ExtractConfig(),
    ExtractConfig(modalities=("residual", "rgb"), step=4, codec="zstd", shard_videos=7),
    ExtractConfig(size=FrameSize(short_side=112), fps=Fraction(30000, 1001), chunk_frames=16),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_json_and_back(config: ExtractConfig) -> None:
    assert ExtractConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    assert config.differences(config) == []


def test_every_field_decides_the_hash() -> None:
    changed = [
        ExtractConfig(modalities=("rgb",)),
        ExtractConfig(size=FrameSize(height=128, width=171)),
        ExtractConfig(fps=Fraction(10)),
        ExtractConfig(step=2),
        ExtractConfig(codec="zstd"),
        ExtractConfig(chunk_frames=4),
        ExtractConfig(shard_videos=1),
    ]
    hashes = {config_hash(config.to_json()) for config in [ExtractConfig(), *changed]}
    assert len(hashes) == 1 + len(changed)
    for config in changed:
        assert len(config.differences(ExtractConfig())) == 1


def test_the_order_of_modalities_does_not_matter() -> None:
    assert ExtractConfig(modalities=("rgb", "residual", "rgb")) == ExtractConfig(modalities=("residual", "rgb"))


def test_differences_are_said_in_words() -> None:
    before = ExtractConfig(size=FrameSize(short_side=112), modalities=("residual", "rgb"))
    assert ExtractConfig(step=4).differences(before) == [
        "modalities is residual+rgb there and residual here",
        "size is short side 112 there and 170x128 here",
        "step is 1 there and 4 here",
    ]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"modalities": ()}, "at least one modality is needed"),
        ({"modalities": ("flux",)}, "there is no modality 'flux': choose from rgb, residual"),
        ({"step": 0}, "step must be 1 to 1024 frames, got 0"),
        ({"step": 1025}, "step must be 1 to 1024 frames, got 1025"),
        ({"fps": Fraction(0)}, "fps must be above 0"),
        ({"fps": Fraction(1001)}, "at most 1000"),
        ({"codec": "gzip"}, "there is no codec 'gzip': choose from .*lz4.*zstd"),
        ({"chunk_frames": 0}, "chunks must hold 1 to 1024 frames, got 0"),
        ({"shard_videos": 0}, "at least 1 video, got 0"),
        ({"modalities": (1,)}, "there is no modality 1"),
        ({"modalities": ([],)}, r"there is no modality \[\]"),
        ({"step": 1.0}, "step must be 1 to 1024 frames, got 1.0"),
        ({"step": True}, "step must be 1 to 1024 frames, got True"),
        ({"codec": []}, r"there is no codec \[\]"),
        ({"chunk_frames": "8"}, "chunks must hold 1 to 1024 frames, got '8'"),
        ({"shard_videos": 2.5}, "at least 1 video, got 2.5"),
    ],
)
def test_what_is_refused(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        ExtractConfig(**fields)


def test_a_config_of_other_keys_is_refused() -> None:
    values = ExtractConfig().to_json()
    with pytest.raises(UsageError, match="must have the keys"):
        ExtractConfig.from_json({**values, "colour": "blue"})
    del values["step"]
    with pytest.raises(UsageError, match="must have the keys"):
        ExtractConfig.from_json(values)
