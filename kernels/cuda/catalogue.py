"""Every specialisation of every CUDA source that production may launch.

The loader refuses anything else, and the tests compile the whole table for every supported architecture: what
runs is what was checked. A new kernel adds its row here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Source name (``<name>.cu``) -> the define sets it is compiled with. By type and tile, never by image size.
SPECIALISATIONS: Final[Mapping[str, tuple[Mapping[str, str], ...]]] = {
    "residual": (
        {"SAMPLE": "uint8", "RESULT": "uint8", "PACKED_BYTES": "1"},
        {"SAMPLE": "uint8", "RESULT": "int16", "SIGNED": "1"},
        {"SAMPLE": "float", "RESULT": "float"},
        {"SAMPLE": "float", "RESULT": "float", "SIGNED": "1"},
    ),
    "tvl1_iterate": ({},),
    "tvl1_linearise": ({},),
    "tvl1_median": ({"SIZE": "3"}, {"SIZE": "5"}),
    "tvl1_resample": ({"SAMPLE": "float"}, {"SAMPLE": "uint8"}),
    "yuv": (
        {"SAMPLE": "uint8"},
        {"SAMPLE": "uint16"},
    ),
}
