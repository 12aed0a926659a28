"""Annotation formats: who is in which class and in which split.

Each format is read into rows; ``pipeline.videos`` joins them with files.
"""

from __future__ import annotations

from .hmdb51 import read_hmdb51
from .kinetics import is_kinetics, locate, read_kinetics
from .rows import Annotations, Row, sort_classes
from .splits import canonical_part, format_splits, parse_splits
from .tables import is_table, read_table
from .textlist import read_text_list
from .ucf101 import read_ucf101

__all__ = [
    "Annotations",
    "Row",
    "canonical_part",
    "format_splits",
    "is_kinetics",
    "is_table",
    "locate",
    "parse_splits",
    "read_hmdb51",
    "read_kinetics",
    "read_table",
    "read_text_list",
    "read_ucf101",
    "sort_classes",
]
