"""Numbers in words, and results as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..pipeline.cache.atomic import readable_bytes

__all__ = ["counted", "echo_json", "readable_bytes"]


def counted(number: int, noun: str) -> str:
    """``1 video``, ``1,234 videos``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def echo_json(result: Any) -> None:
    """Print a dataclass, or plain values, as JSON."""
    values = asdict(result) if hasattr(result, "__dataclass_fields__") else result
    click.echo(json.dumps(values, indent=2, default=_plain))


def _plain(value: object) -> str:
    assert isinstance(value, Path), value
    return str(value)
