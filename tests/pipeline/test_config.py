"""The configuration: what it refuses, how it is stored, how two are told apart."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from vidprep.pipeline.cache import config_hash
from vidprep.pipeline.config import ExtractConfig
from vidprep.pipeline.decode import FrameSize
from vidprep.pipeline.errors import UsageError
from vidprep.pipeline.modalities import MODALITIES
from vidprep.pipeline.motion import MotionOptions

CONFIGS = [
    ExtractConfig(),
    ExtractConfig(modalities=("residual", "rgb"), step=4, codec="zstd", shard_videos=7),
    ExtractConfig(size=FrameSize(short_side=112), fps=Fraction(30000, 1001), chunk_frames=16),
    ExtractConfig(modalities=tuple(MODALITIES)),
    ExtractConfig(modalities=("flow",), motion=MotionOptions(flow_preset="accurate", flow_dtype="float16")),
    ExtractConfig(modalities=("cost-volume", "rgb"), motion=MotionOptions(radius=(2, 7))),
    ExtractConfig(modalities=("displacement",), motion=MotionOptions(assignment="wta")),
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


def test_every_option_of_motion_decides_the_hash() -> None:
    changes = [
        {"flow_preset": "accurate"},
        {"flow_dtype": "float16"},
        {"radius": 5},
        {"radius": (4, 5)},
        {"temperature": 0.3},
        {"assignment": "wta"},
        {"warp_by": "flow"},
        {"difference_dtype": "float16"},
    ]
    default = ExtractConfig(modalities=tuple(MODALITIES))
    changed = [ExtractConfig(modalities=tuple(MODALITIES), motion=MotionOptions(**change)) for change in changes]
    assert len({config_hash(config.to_json()) for config in [default, *changed]}) == 1 + len(changed)
    for config, change in zip(changed, changes, strict=True):
        (difference,) = config.differences(default)
        assert difference.startswith(f"{next(iter(change))} is ")
    assert changed[3].differences(default) == ["radius is 4 down, 4 across there and 4 down, 5 across here"]


def test_options_that_do_not_apply_are_no_part_of_it() -> None:
    plain = ExtractConfig(modalities=("rgb", "residual"))
    assert set(plain.to_json()) == {"modalities", "size", "fps", "step", "codec", "chunk_frames", "shard_videos"}
    flow = ExtractConfig(modalities=("flow",))
    assert set(flow.to_json()) - set(plain.to_json()) == {"flow_preset", "flow_dtype"}
    assert flow.differences(plain) == ["modalities is residual+rgb there and flow here"]


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


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"flow_preset": "slow"}, "there is no flow preset 'slow': choose from fast, accurate"),
        ({"flow_dtype": "int8"}, "there is no flow dtype 'int8': choose from uint8, float16"),
        ({"features": "sift"}, "there is no kind of features 'sift': choose from zncc"),
        ({"features": "conv1:model.pt"}, "there is no kind of features 'conv1:model.pt': choose from zncc, conv1:FILE"),
        ({"assignment": "hard"}, "there is no assignment 'hard': choose from soft, wta"),
        ({"warp_by": "residual"}, "there is no way to warp by 'residual': choose from displacement, flow"),
        ({"difference_dtype": "uint8"}, "there is no difference dtype 'uint8': choose from int8, float16"),
        ({"flow_preset": 1}, "there is no flow preset 1"),
        ({"radius": 0}, "radius must be 1 to 15 pixels, one number or .ry, rx., got 0"),
        ({"radius": 16}, "radius must be 1 to 15 .* got 16"),
        ({"radius": (4, 0)}, "radius must be 1 to 15 .* got 0"),
        ({"radius": (1, 2, 3)}, r"radius must be 1 to 15 .* got \(1, 2, 3\)"),
        ({"radius": 2.5}, "radius must be 1 to 15 .* got 2.5"),
        ({"temperature": -1}, "temperature must be a number of at least 1e-06, such as .*, got -1"),
        ({"temperature": 0}, "temperature must be a number of at least 1e-06"),
        ({"temperature": float("nan")}, "got nan"),
        ({"temperature": float("inf")}, "got inf"),
        ({"temperature": "0.1"}, "got '0.1'"),
        ({"temperature": True}, "got True"),
    ],
)
def test_what_is_refused_of_motion(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        MotionOptions(**options)


@pytest.mark.parametrize(
    ("modalities", "options", "sentence"),
    [
        (["residual"], {"flow_preset": "fast"}, "flow_preset is an option of flow, .* what is extracted is residual"),
        (["rgb", "displacement"], {"flow_dtype": "uint8"}, "flow_dtype is an option of flow, .* displacement, rgb"),
        (["flow"], {"radius": 3}, "radius is an option of cost-volume, displacement"),
        (["flow"], {"features": "zncc"}, "features is an option of cost-volume, displacement"),
        (["cost-volume"], {"temperature": 0.1}, "temperature is an option of displacement"),
        (["cost-volume"], {"assignment": "soft"}, "assignment is an option of displacement"),
        (["displacement"], {"assignment": "wta", "temperature": 0.1}, "leave one of them out"),
        (["warped-difference"], {"flow_preset": "fast"}, "flow_preset is .* warped-difference with warp_by flow"),
        (["warped-difference"], {"warp_by": "flow", "radius": 3}, "radius is .* with warp_by displacement"),
        (["flow"], {"warp_by": "flow"}, "warp_by is an option of warped-difference"),
        (["flow"], {"difference_dtype": "int8"}, "difference_dtype is an option of warped-difference"),
    ],
)
def test_options_of_no_use_are_refused(modalities: list[str], options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        ExtractConfig(modalities=tuple(modalities), motion=MotionOptions(**options))


def test_numbers_of_numpy_are_plain_ones() -> None:
    options = MotionOptions(radius=np.int64(3), temperature=np.float32(0.5))
    assert options == MotionOptions(radius=(3, 3), temperature=0.5)
    assert type(options.to_json()["radius"][0]) is int
    assert type(options.to_json()["temperature"]) is float


def test_a_config_of_other_keys_is_refused() -> None:
    values = ExtractConfig().to_json()
    with pytest.raises(UsageError, match="must have the keys"):
        ExtractConfig.from_json({**values, "colour": "blue"})
    del values["step"]
    with pytest.raises(UsageError, match="must have the keys"):
        ExtractConfig.from_json(values)
    values = ExtractConfig(modalities=("flow",)).to_json()
    del values["flow_dtype"]
    with pytest.raises(UsageError, match="must have the keys flow_dtype too"):
        ExtractConfig.from_json(values)
