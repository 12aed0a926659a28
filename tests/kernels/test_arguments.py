"""Numbers and choices that kernels are given, of any kind: used, or refused with one short sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vidprep.kernels import (
    YuvFormat,
    cost_volume,
    displacement,
    residual,
    resized_crop,
    tvl1_flow,
    tvl1_flow_of_clip,
    warp,
    warped_difference,
    yuv_to_rgb,
    zncc_features,
)
from vidprep.kernels.tvl1_parameters import TVL1Parameters

FEATURES = np.random.default_rng(0).standard_normal((2, 1, 4, 5, 3)).astype(np.float32)
CLIP = np.random.default_rng(0).integers(0, 256, (3, 6, 7, 3), np.uint8)
GREY = CLIP[..., 0]
STILL = np.zeros((1, 4, 5, 2), np.float32)

CALLS: dict[str, Callable[[Any], Any]] = {
    "cost_volume radius": lambda x: cost_volume(*FEATURES, x),
    "radius": lambda x: displacement(*FEATURES, x),
    "radius down": lambda x: displacement(*FEATURES, (x, 1)),
    "temperature": lambda x: displacement(*FEATURES, 1, x),
    "temperature of wta": lambda x: displacement(*FEATURES, 1, x, "wta"),
    "assignment": lambda x: displacement(*FEATURES, 1, assignment=x),
    "step": lambda x: residual(CLIP, x),
    "signed": lambda x: residual(CLIP, signed=x),
    "residual out": lambda x: residual(CLIP, out=np.zeros(1) if x is None else x),
    "patch": lambda x: zncc_features(CLIP, x),
    "size": lambda x: yuv_to_rgb(GREY, GREY, GREY, x, YuvFormat(chroma_shift=(0, 0))),
    "height": lambda x: yuv_to_rgb(GREY, GREY, GREY, (x, 3), YuvFormat(chroma_shift=(0, 0))),
    "flow step": lambda x: tvl1_flow_of_clip(GREY, x),
    "preset": lambda x: tvl1_flow(GREY, GREY, x),
    "warp flow": lambda x: warp(FEATURES[0], x),
    "warp out": lambda x: warp(FEATURES[0], STILL, out=np.zeros(1) if x is None else x),
    "warped_difference flow": lambda x: warped_difference(*FEATURES, x),
    "warped_difference out": lambda x: warped_difference(*FEATURES, STILL, out=np.zeros(1) if x is None else x),
    **{
        f"resized_crop {name}": lambda x, name=name: resized_crop(
            **{"frames": CLIP[None], "boxes": [(0, 0, 6, 7)], "size": (3, 3), name: x}
        )
        for name in ("frames", "boxes", "size", "flip", "scale", "offset", "dtype", "out")
    },
    **{name: lambda x, name=name: TVL1Parameters(**{name: x}) for name in TVL1Parameters.__dataclass_fields__},
}

ODD = [
    10**400, -(10**400), 10**5000, -(10**5000), 2**63, -1, np.nan, np.inf, -np.inf, 1e308, 2.5, None, "soft.", b"soft",
    "0.1", True, False, np.True_, 1j, Fraction(1, 3), (), (1,), (1, 2, 3), ("a", "b"), (None, None), (10**5000, 1), {},
    object(), [[1, 2], [3, 4]], np.array([1, 2, 3]), np.array(1), np.zeros((3, 3)), np.array("soft"),
    np.array([True, False]), np.float16(-1), np.longdouble("1e4000"), np.int8(-3), np.datetime64(5, "s"),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_odd_values_are_used_or_refused_with_one_sentence(call: Callable[[Any], Any]) -> None:
    for value in ODD:
        try:
            call(value)
        except (TypeError, ValueError) as error:
            sentence = str(error)
            assert " must be " in sentence or "needs at least" in sentence, (value, sentence)
            assert "ambiguous" not in sentence
            assert "\n" not in sentence
            assert len(sentence) < 300


@settings(max_examples=60, deadline=None)
@given(st.floats() | st.integers() | st.integers(10**300, 10**500) | st.floats(width=16).map(np.float16))
@example(10**400)
@example(np.longdouble("1e4000"))
def test_a_temperature_is_a_finite_number_of_at_least_a_millionth(temperature: Any) -> None:
    too_large = isinstance(temperature, int) and temperature > sys.float_info.max
    if not too_large and 1e-6 <= float(temperature) < np.inf:
        flow = displacement(*FEATURES, 1, temperature)
        assert np.isfinite(flow).all()
        np.testing.assert_array_equal(flow, displacement(*FEATURES, 1, float(temperature)))
    else:
        with pytest.raises(ValueError, match="temperature must be a number of at least 1e-06, got"):
            displacement(*FEATURES, 1, temperature)


@settings(max_examples=40, deadline=None)
@given(st.integers() | st.integers(10**300, 10**500), st.sampled_from([int, np.int8, np.int64, np.uint16]))
def test_a_radius_is_an_integer_up_to_15_of_any_kind(radius: int, kind: type) -> None:
    for given_radius in (radius, (radius, 0)):
        if 0 <= radius <= 15:
            typed = (kind(radius), kind(0)) if isinstance(given_radius, tuple) else kind(radius)
            wanted = (radius, 0) if isinstance(given_radius, tuple) else (radius, radius)
            assert cost_volume(*FEATURES, typed).shape[3:] == (2 * wanted[0] + 1, 2 * wanted[1] + 1)
        else:
            with pytest.raises(ValueError, match=r"radius must be an integer or a pair \(ry, rx\), each 0\.\.15"):
                cost_volume(*FEATURES, given_radius)


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(["num_warps", "max_iterations", "inner_iterations", "num_scales"]),
    value=st.integers() | st.integers(1, 2_000_000),
)
def test_counts_of_tvl1_are_integers_up_to_a_million(name: str, value: int) -> None:
    if 1 <= value <= 1_000_000:
        assert getattr(TVL1Parameters(**{name: np.int64(value)}), name) == value
    else:
        with pytest.raises(ValueError, match=f"{name} must be an integer from 1 to 1000000, got"):
            TVL1Parameters(**{name: value})


@settings(max_examples=100, deadline=None)
@given(
    name=st.sampled_from(["tau", "lambda_", "theta", "epsilon", "scale_factor", "presmoothing_sigma"]),
    value=st.floats() | st.integers(10**300, 10**500),
)
def test_numbers_of_tvl1_are_kept_as_plain_ones_or_refused(name: str, value: Any) -> None:
    try:
        kept = getattr(TVL1Parameters(**{name: value}), name)
    except ValueError as error:
        assert f"{name} must be a number " in str(error)  # noqa: PT017  # either is right
    else:
        assert type(kept) is float
        assert kept == value


def test_parameters_of_any_kind_give_the_same_flow() -> None:
    plain = tvl1_flow(GREY[:1], GREY[1:2], num_warps=2, tau=0.25, theta=0.5, median_size=3)
    kinds = {"num_warps": np.uint8(2), "tau": np.float16(0.25), "theta": np.longdouble(0.5), "median_size": np.int64(3)}
    np.testing.assert_array_equal(tvl1_flow(GREY[:1], GREY[1:2], **kinds), plain)
