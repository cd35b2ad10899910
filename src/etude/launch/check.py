"""The launcher's settings held against their rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def problems(settings: Mapping[str, Any]) -> list[str]:
    """Say in a line each what is wrong with settings.

    Args:
        settings: Values by name.
    """
    return [
        f"hydra.launcher.{name}={value} must be {_RULES[name][0]}"
        for name, value in settings.items()
        if not _RULES[name][1](value)
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_above_0(value: Any) -> bool:
    return _is_number(value) and value > 0


def _are_devices(value: Any) -> bool:
    return value in {"auto", "cpu"} if isinstance(value, str) else len(value) > 0


def _is_auto_or_count(value: Any) -> bool:
    return value == "auto" or _is_count(value)


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


def _is_share(value: Any) -> bool:
    """Say whether Ray could give a job so much of something: a part of one, or whole ones."""
    return _is_number(value) and value >= 0 and (value <= 1 or value == int(value))


def _is_share_above_0(value: Any) -> bool:
    return value != 0 and _is_share(value)


def _are_shares(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_share, value.values()))


def _is_count_or_0(value: Any) -> bool:
    return value == 0 or _is_count(value)


_SHARE = "at most 1, or a whole number"
_COUNT = ("auto or a whole number above 0", _is_auto_or_count)
_SWITCH = ("true or false", _is_switch)
_RETRIES = ("a whole number of at least 0", _is_count_or_0)
_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "devices": ("auto, cpu, or a list such as [0,1]", _are_devices),
    "jobs_per_device": _COUNT,
    "threads": _COUNT,
    "preload": ("a list of modules", lambda v: not isinstance(v, str)),
    "fail_fast": _SWITCH,
    "retries": _RETRIES,
    "timeout_minutes": ("a number above 0, or null", lambda v: v is None or _is_above_0(v)),
    "grace_seconds": ("a number of at least 0", lambda v: v == 0 or _is_above_0(v)),
    # Of the Ray launcher.
    "address": (
        "auto, <host>:<port>, ray://<host>:<port> or null",
        lambda v: v is None or v == "auto" or ":" in str(v),
    ),
    "num_cpus": (f"above 0, and {_SHARE}", _is_share_above_0),
    "num_gpus": (f"at least 0, and {_SHARE}", _is_share),
    "resources": (f"names with numbers, each {_SHARE}", _are_shares),
    "max_retries": _RETRIES,
    "autoscaling": _SWITCH,
    "init": ("arguments of ray.init", lambda v: isinstance(v, Mapping)),
    # Of both.
    "live": ("auto, true or false", lambda v: v == "auto" or isinstance(v, bool)),
}
