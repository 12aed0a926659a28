"""What is compiled before the first video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from extraction import make_task, small_config
from vidprep.kernels import tvl1_flow_of_clip
from vidprep.pipeline.events import VideoStarted
from vidprep.pipeline.shard import build_shard


def test_kernels_are_ready_before_a_videos_clock_starts(
    small_clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[Any] = []

    def flow(*arguments: Any, **options: Any) -> Any:
        happened.append("flow")
        return tvl1_flow_of_clip(*arguments, **options)

    monkeypatch.setattr("vidprep.pipeline.motion_frames.tvl1_flow_of_clip", flow)
    monkeypatch.setattr("vidprep.pipeline.warm_up._warm", set())
    modalities = ("rgb", "residual", "flow", "displacement", "cost-volume", "warped-difference")
    config = small_config(modalities=modalities, step=7)
    for number in range(2):
        build_shard(make_task([small_clip], tmp_path / str(number), config=config), "cpu", happened.append)
    first, second = (i for i, event in enumerate(happened) if isinstance(event, VideoStarted))
    assert happened[:first] == ["flow"]
    assert happened[first:second].count("flow") == happened[second:].count("flow") > 0  # nothing in between
