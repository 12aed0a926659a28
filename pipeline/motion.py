"""Options of the motion modalities: how flow is estimated, features are matched, and what is stored of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, get_args

from ..kernels.displacement import DEFAULT_TEMPERATURE as DEFAULT_TEMPERATURE
from ..kernels.displacement import MIN_TEMPERATURE as MIN_TEMPERATURE
from ..kernels.displacement import Assignment as Assignment
from ..kernels.tvl1_parameters import PRESETS
from .errors import UsageError
from .layer_file import PREFIX, LayerFile
from .numbers import whole_number
from .option_names import option

FLOW_PRESETS = tuple(PRESETS)
FLOW_DTYPES = ("uint8", "float16")
DEFAULT_FEATURES = "zncc"
ASSIGNMENTS = get_args(Assignment)
WARPS = ("displacement", "flow")
DIFFERENCE_DTYPES = ("int8", "float16")
MAX_RADIUS = 15
DEFAULT_RADIUS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionOptions:
    """What decides the items of ``flow``, ``displacement``, ``cost-volume`` and ``warped-difference``.

    ``None`` is "not given": ``for_modalities`` puts the default in where an option applies, and leaves it where not.

    Parameters
    ----------
    flow_preset
        Of ``kernels.tvl1_flow``: ``fast`` (default) or ``accurate``.
    flow_dtype
        How flow is stored: ``uint8`` (default), clipped to 20 pixels, or ``float16``, not clipped.
    features
        What is matched: ``zncc`` (default), the grey patches of ``kernels.zncc_features``, or the first layer of a
        trained network (``read_layer_file``). A ``warped-difference`` is that of the colours, or of the layer's
        features.
    radius
        Of the window of ``displacement`` and ``cost-volume`` in pixels, ``(ry, rx)`` or one number for both, each
        1 to 15; 4 by default.
    assignment
        Of ``kernels.displacement``: ``soft`` (default) or ``wta``, winner-take-all.
    temperature
        Of soft assignment; the kernel's default.
    warp_by
        What a ``warped-difference`` is warped by: ``displacement`` (default), by the map of the same features, radius
        and assignment, or ``flow``.
    difference_dtype
        How a ``warped-difference`` is stored: ``int8`` (default), in steps of two grey levels, or ``float16``, as
        that of a layer's features, which have no fixed range, always is.

    Raises
    ------
    UsageError
        If a value is not allowed; the message says which are.
    """

    flow_preset: str | None = None
    flow_dtype: str | None = None
    features: str | LayerFile | None = None
    radius: int | tuple[int, int] | None = None
    assignment: Assignment | None = None
    temperature: float | None = None
    warp_by: str | None = None
    difference_dtype: str | None = None

    def __post_init__(self) -> None:
        for name, (what, allowed) in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or value not in allowed):
                raise UsageError(f"there is no {option(name, what)} {value!r}: choose from {', '.join(allowed)}")
        if not (self.features is None or isinstance(self.features, LayerFile) or self.features == DEFAULT_FEATURES):
            raise UsageError(
                f"there is no {option('features', 'kind of features')} {self.features!r}: choose from "
                f"{DEFAULT_FEATURES}, {PREFIX}FILE"
            )
        if self.radius is not None:
            object.__setattr__(self, "radius", _radius(self.radius))
        if self.temperature is not None:
            object.__setattr__(self, "temperature", _temperature(self.temperature))

    def for_modalities(self, modalities: Collection[str]) -> MotionOptions:
        """Return the options with defaults where they apply to the modalities.

        Raises
        ------
        UsageError
            If an option was given that nothing of what is extracted uses.
        """
        warp_by = self.warp_by or _DEFAULTS["warp_by"]
        defaults = _DEFAULTS
        if self.layer_file is not None and "warped-difference" in modalities:
            if self.difference_dtype == "int8":
                raise UsageError(
                    "int8 is for differences of colours, and those of conv1 features have no fixed range: leave "
                    f"{option('difference_dtype')} out, or make it float16"
                )
            defaults = {**_DEFAULTS, "difference_dtype": "float16"}
        uses = {
            "flow_preset": _used(modalities, "flow", *(["warped-difference"] if warp_by == "flow" else [])),
            "flow_dtype": _used(modalities, "flow"),
            "warp_by": _used(modalities, "warped-difference"),
            "difference_dtype": _used(modalities, "warped-difference"),
        }
        matched = ["displacement", *(["warped-difference"] if warp_by == "displacement" else [])]
        uses["features"] = uses["radius"] = _used(modalities, *matched, "cost-volume")
        if self.layer_file is not None:
            uses["features"] = _used(modalities, "cost-volume", "displacement", "warped-difference")
        uses["assignment"] = _used(modalities, *matched)
        uses["temperature"] = uses["assignment"] and self.assignment != "wta"
        values: dict[str, Any] = {}
        for name, used in uses.items():
            given = getattr(self, name)
            if given is not None and not used:
                raise UsageError(_useless(name, modalities, self))
            values[name] = defaults[name] if used and given is None else given
        return MotionOptions(**values)

    def to_json(self) -> dict[str, Any]:
        """Return the options that are set as plain JSON values."""
        values = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> MotionOptions:
        """Undo ``to_json``."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        if isinstance(plain.get("features"), dict):
            plain["features"] = LayerFile(**plain["features"])
        return cls(**plain)

    @property
    def layer_file(self) -> LayerFile | None:
        """The file of the features of a trained network, if it is these."""
        return self.features if isinstance(self.features, LayerFile) else None

    @property
    def in_use(self) -> bool:
        """Whether any option is set: after ``for_modalities``, whether a modality has some."""
        return self != MotionOptions()

    @property
    def window(self) -> tuple[int, int]:
        """The radius as ``(ry, rx)``, where it applies."""
        assert isinstance(self.radius, tuple), "for_modalities sets it where it applies"
        return self.radius


OPTION_NAMES = tuple(field.name for field in dataclasses.fields(MotionOptions))

_MATCHERS = "displacement, or of warped-difference with {warp_by} displacement"
_USERS = {
    "flow_preset": "flow, or of warped-difference with {warp_by} flow",
    "flow_dtype": "flow",
    "features": f"cost-volume, {_MATCHERS}",
    "radius": f"cost-volume, {_MATCHERS}",
    "assignment": _MATCHERS,
    "temperature": _MATCHERS,
    "warp_by": "warped-difference",
    "difference_dtype": "warped-difference",
}
_DEFAULTS: dict[str, Any] = {
    "flow_preset": "fast",
    "flow_dtype": "uint8",
    "features": DEFAULT_FEATURES,
    "radius": (DEFAULT_RADIUS, DEFAULT_RADIUS),
    "assignment": "soft",
    "temperature": DEFAULT_TEMPERATURE,
    "warp_by": "displacement",
    "difference_dtype": "int8",
}
_CHOICES = {
    "flow_preset": ("flow preset", FLOW_PRESETS),
    "flow_dtype": ("flow dtype", FLOW_DTYPES),
    "assignment": ("assignment", ASSIGNMENTS),
    "warp_by": ("way to warp by", WARPS),
    "difference_dtype": ("difference dtype", DIFFERENCE_DTYPES),
}


def _used(modalities: Collection[str], *users: str) -> bool:
    return any(user in modalities for user in users)


def _useless(name: str, modalities: Iterable[str], options: MotionOptions) -> str:
    if name == "temperature" and options.assignment == "wta":
        return (
            f"{option('temperature')} is of soft assignment, and {option('assignment')} is wta: leave one of them out"
        )
    users = _USERS[name].format(warp_by=option("warp_by"))
    return (
        f"{option(name)} is an option of {users}, and what is extracted is {', '.join(modalities)}: add the modality, "
        f"or leave {option(name)} out"
    )


def _radius(value: Any) -> tuple[int, int]:
    demand = f"{option('radius')} must be 1 to {MAX_RADIUS} pixels, one number or (ry, rx)"
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise UsageError(f"{demand}, got {value!r}")
    ry, rx = (whole_number(number, 1, MAX_RADIUS, demand) for number in pair)
    return ry, rx


def _temperature(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not MIN_TEMPERATURE <= number < math.inf:
        example = f"such as {DEFAULT_TEMPERATURE:g}"
        demand = f"{option('temperature')} must be a number of at least {MIN_TEMPERATURE:g}"
        raise UsageError(f"{demand}, {example}, got {value!r}")
    return number
