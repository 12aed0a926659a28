"""What messages call options: what their reader called them."""

from __future__ import annotations

import pytest

from vidprep.pipeline.config import ExtractConfig
from vidprep.pipeline.errors import UsageError
from vidprep.pipeline.layer_file import LayerFile
from vidprep.pipeline.motion import MotionOptions
from vidprep.pipeline.option_names import option, options_named

TYPED = {"difference_dtype": "--difference-dtype", "flow_preset": "--flow-preset"}


def test_names_are_those_of_python_unless_somebody_else_is_reading() -> None:
    assert (option("flow_preset"), option("flow_preset", "flow preset")) == ("flow_preset", "flow preset")
    with options_named(TYPED.get):
        assert (option("flow_preset"), option("flow_preset", "flow preset")) == ("--flow-preset", "--flow-preset")
        assert option("chunk_frames") == "chunk_frames"  # no option of theirs
    assert option("flow_preset") == "flow_preset"


def test_names_are_python_s_again_after_an_error() -> None:
    with pytest.raises(UsageError, match="there is no --flow-preset 'slow'"), options_named(TYPED.get):
        MotionOptions(flow_preset="slow")
    with pytest.raises(UsageError, match="there is no flow preset 'slow'"):
        MotionOptions(flow_preset="slow")


def test_a_dtype_that_does_not_suit_the_features_is_named_as_typed() -> None:
    features = LayerFile(file="/net.pt", sha256="0" * 64, channels=8)
    motion = MotionOptions(features=features, difference_dtype="int8")
    with pytest.raises(UsageError, match="leave --difference-dtype out"), options_named(TYPED.get):
        ExtractConfig(modalities=("warped-difference",), motion=motion)
