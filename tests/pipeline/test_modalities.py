"""What each modality computes and declares."""

from __future__ import annotations

import numpy as np
import pytest

from media import moving_texture
from references import residual_reference
from vidprep.pipeline.errors import UsageError
from vidprep.pipeline.modalities import MODALITIES, get_modality

FRAMES = moving_texture(9, (12, 16))


@pytest.mark.parametrize("name", MODALITIES)
@pytest.mark.parametrize("step", [1, 3])
def test_it_gives_what_it_declares(name: str, step: int) -> None:
    modality = get_modality(name)
    assert modality.name == name
    out = np.empty((9 - modality.halo(step), 12, 16, modality.channels), modality.dtype)
    modality.compute(FRAMES, step, out)
    again = np.zeros_like(out)
    modality.compute(FRAMES.copy(), step, again)
    np.testing.assert_array_equal(out, again)  # every item is written
    assert out.any()


def test_rgb_is_the_frames() -> None:
    out = np.empty_like(FRAMES)
    get_modality("rgb").compute(FRAMES, 5, out)
    np.testing.assert_array_equal(out, FRAMES)
    assert get_modality("rgb").halo(5) == 0


@pytest.mark.parametrize("step", [1, 4])
def test_residual_is_the_absolute_difference(step: int) -> None:
    out = np.empty((9 - step, 12, 16, 3), np.uint8)
    get_modality("residual").compute(FRAMES, step, out)
    np.testing.assert_array_equal(out, residual_reference(FRAMES, step))


def test_an_unknown_one_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match="there is no modality 'optical-flow': choose from rgb, residual"):
        get_modality("optical-flow")
