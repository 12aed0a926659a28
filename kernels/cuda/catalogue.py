"""Every specialisation of every CUDA source that production may launch.

The loader refuses anything else, and the tests compile the whole table for every supported architecture: what
runs is what was checked. A new kernel adds its row here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# Features by type, and by how many dx a thread takes.
_MATCHING: Final = tuple(
    {"SAMPLE": sample, "COLUMNS": columns} for sample in ("float", "uint16") for columns in ("5", "8", "9")
)

# Source name (``<name>.cu``) -> the define sets it is compiled with. By type and tile, never by image size.
SPECIALISATIONS: Final[Mapping[str, tuple[Mapping[str, str], ...]]] = {
    "cost_volume": _MATCHING,
    "displacement": _MATCHING,
    "residual": (
        {"SAMPLE": "uint8", "RESULT": "uint8", "PACKED_BYTES": "1"},
        {"SAMPLE": "uint8", "RESULT": "int16", "SIGNED": "1"},
        {"SAMPLE": "float", "RESULT": "float"},
        {"SAMPLE": "float", "RESULT": "float", "SIGNED": "1"},
    ),
    "resized_crop": tuple(
        {"SAMPLE": sample, "RESULT": result}
        for sample in ("uint8", "int8", "uint16", "float")
        for result in ("float", "uint16")
    ),
    "tvl1_iterate": ({},),
    "tvl1_linearise": ({},),
    "tvl1_median": ({"SIZE": "3"}, {"SIZE": "5"}),
    "tvl1_resample": ({"SAMPLE": "float"}, {"SAMPLE": "uint8"}),
    "warp": (
        {"SAMPLE": "float"},
        {"SAMPLE": "float", "SUBTRACT": "1"},
        {"SAMPLE": "uint16"},
        {"SAMPLE": "uint16", "SUBTRACT": "1"},
    ),
    "yuv": (
        {"SAMPLE": "uint8"},
        {"SAMPLE": "uint16"},
    ),
    "zncc": ({},),
}
