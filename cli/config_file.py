"""Options from a TOML file: its keys are the long names of the command's options, without the dashes in front."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ..pipeline.errors import UsageError
from .options import FpsType, RadiusType, SizeType

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_config(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Callback of ``--config``: the file's values become the command's defaults, so the command line wins.

    Raises
    ------
    UsageError
        If the file cannot be read, has a key that is no option of the command, or a value of another kind.
    """
    if value is None:
        return
    try:
        values = tomllib.loads(Path(value).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the config {value} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the config {value} is not TOML: {error}") from None
    allowed = {
        option.removeprefix("--"): parameter
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
        option = allowed[key.replace("_", "-")]
        wanted = _wanted(option, setting)
        if wanted:
            raise UsageError(f"the config {value} has {key} = {_as_toml(setting)}: {key} takes {wanted}")
        assert option.name is not None
        defaults[option.name] = (setting,) if option.multiple and isinstance(setting, str) else setting
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


def _wanted(option: click.Option, setting: Any) -> str:
    """What kind of value the option takes, ``""`` if ``setting`` is one.

    The command line gives click nothing but text; other kinds would be turned into something, or break it.
    """
    if option.is_flag:
        return "" if isinstance(setting, bool) else "true or false"
    if option.multiple:
        texts = setting if isinstance(setting, list) else [setting]
        return "" if all(isinstance(text, str) for text in texts) else 'text or a list of texts, such as ["residual"]'
    if isinstance(option.type, click.types.IntParamType):
        return "" if type(setting) is int else "a whole number"
    if isinstance(option.type, click.types.FloatParamType):
        return "" if type(setting) in (int, float) else "a number"
    if isinstance(option.type, FpsType):
        return "" if type(setting) in (int, float, str) else 'a number, or text such as "30000/1001"'
    if isinstance(option.type, SizeType):
        return "" if isinstance(setting, str) else 'text such as "170x128"'
    if isinstance(option.type, RadiusType):
        return "" if type(setting) in (int, str) else 'a whole number, or text such as "7x4"'
    return "" if isinstance(setting, str) else "text"


def _as_toml(setting: Any) -> str:
    return str(setting).lower() if isinstance(setting, bool) else repr(setting)
