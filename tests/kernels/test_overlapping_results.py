"""Results written over what they are made of: the same as in memory of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from executors import Run
from vidprep.kernels import cost_volume, residual, tvl1_flow_of_clip, zncc_features

RNG = np.random.default_rng(0)
CLIP = RNG.integers(0, 256, (7, 16, 18, 3), np.uint8)
MAPS = RNG.standard_normal((2, 9, 10, 6), np.float32)

CALLS: dict[str, tuple[np.ndarray, Callable[..., Any]]] = {
    "residual": (CLIP, lambda x, out: residual(x, 2, out=out)),
    "residual signed": (CLIP, lambda x, out: residual(x, 1, True, out=out)),
    "zncc_features": (CLIP, lambda x, out: zncc_features(x, 3, out=out)),
    "cost_volume first": (MAPS, lambda x, out: cost_volume(x, x[::-1].copy(), 1, out=out)),
    "cost_volume second": (MAPS, lambda x, out: cost_volume(x[::-1].copy(), x, 1, out=out)),
    "tvl1_flow_of_clip": (
        CLIP[..., 0].astype(np.float32),
        lambda x, out: tvl1_flow_of_clip(x, out=out, num_warps=1, max_iterations=2),
    ),
}


@pytest.mark.parametrize("offset", [-192, 0, 192])  # bytes from what it is made of to the result
@pytest.mark.parametrize("name", CALLS)
def test_a_result_may_lie_over_what_it_is_made_of(run: Run, name: str, offset: int) -> None:
    source, call = CALLS[name]
    expected = run(lambda x: call(x, None), source)
    begin, begin_out = max(0, -offset), max(0, offset)

    def over(memory: Any) -> Any:
        x = memory[begin : begin + source.nbytes].view(source.dtype).reshape(source.shape)
        out = memory[begin_out : begin_out + expected.nbytes].view(expected.dtype).reshape(expected.shape)
        return call(x, out)

    memory = np.zeros(source.nbytes + expected.nbytes + abs(offset), np.uint8)
    memory[begin : begin + source.nbytes] = source.reshape(-1).view(np.uint8)
    np.testing.assert_array_equal(run(over, memory), expected)
