"""Options from a TOML file: its keys are the long names of the command's options, without the dashes in front."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ..pipeline.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_config(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Callback of ``--config``: the file's values become the command's defaults, so the command line wins.

    Raises
    ------
    UsageError
        If the file cannot be read, or has a key that is no option of the command.
    """
    if value is None:
        return
    try:
        values = tomllib.loads(Path(value).read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the config {value} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the config {value} is not TOML: {error}") from None
    allowed = {
        option.removeprefix("--"): parameter.name
        for parameter in ctx.command.params
        if isinstance(parameter, click.Option) and parameter.name not in (param.name, "as_json")
        for option in parameter.opts
        if option.startswith("--")
    }
    unknown = sorted({key.replace("_", "-") for key in values} - set(allowed))
    if unknown:
        raise UsageError(f"the config {value} has no use for {unknown[0]!r}: allowed are {', '.join(sorted(allowed))}")
    defaults: dict[str, Any] = {}
    for key, setting in values.items():
        name = allowed[key.replace("_", "-")]
        assert name is not None
        defaults[name] = (setting,) if name == "modalities" and isinstance(setting, str) else setting
    ctx.default_map = {**(ctx.default_map or {}), **defaults}
