"""Building a part from its target: the one door through which a name becomes an object."""

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any, cast

from hydra.utils import instantiate

from etude.config.schema import DATASET, Config
from etude.errors import UserError

# All of torch would let torch.hub.load in.
ALLOWED = ("etude", "torch.nn", "torch.optim", "torchvision.models")


def settings(part: Any) -> dict[str, Any]:
    """Give a part's settings as a plain mapping, its target included."""
    if is_dataclass(part) and not isinstance(part, type):
        return asdict(part)
    return dict(cast("dict[str, Any]", part))


def source_of(config: Config) -> Any:
    """Build the source of the images: the part of a data set's settings that says where they are.

    Raises:
        UserError: It refuses its settings.
    """
    dataset = settings(config.dataset)
    own = {key: value for key, value in dataset.items() if key not in {*DATASET, "name"}}
    return build(own, config.packages, **{key: dataset[key] for key in DATASET})


def check_target(target: str, packages: Sequence[str]) -> None:
    """Refuse a target outside of the allowed packages.

    Raises:
        UserError: It names something else.
    """
    if not _is_below(target, (*ALLOWED, *packages)):
        package = target.partition(".")[0]
        raise UserError(
            f"_target_={target} is not below {', '.join((*ALLOWED, *packages))}; "
            f"if the code is yours, add packages=[{package}]"
        )


def locate(target: str, packages: Sequence[str]) -> Callable[..., Any]:
    """Import what a target names.

    Raises:
        UserError: It is not allowed, cannot be imported, or is a name for something from elsewhere.
    """
    check_target(target, packages)
    module_name, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"_target_={target} cannot be imported ({error}); is its folder on PYTHONPATH?"
        ) from error
    # A module's imports are reachable through it, and they may be anything.
    if not _is_below(f"{getattr(found, '__module__', '')}.{name}", (*ALLOWED, *packages)):
        raise UserError(f"_target_={target} stands for something from another package")
    return found


def build(part: Any, packages: Sequence[str] = (), **context: Any) -> Any:
    """Build a part from its `_target_` and settings.

    Args:
        part: A group's settings with its `_target_`; parts inside it are built first.
        packages: Packages that a target may name besides `ALLOWED`.
        context: What the run knows and the part may ask for, such as `num_classes`; arguments
            that the target does not take are left out.

    Raises:
        UserError: A target is not allowed or cannot be imported, or refuses its settings.
    """
    values = settings(part)
    for target in _targets(values):
        locate(target, packages)
    function = locate(values["_target_"], packages)
    wanted = {k: v for k, v in context.items() if k not in values and _takes(function, k)}
    try:
        return instantiate({**values, "_convert_": "all"}, **wanted)
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from error
        if isinstance(cause, ValueError | TypeError):
            raise UserError(f"{values['_target_']}: {_first_line(cause)}") from error
        raise


def _is_below(name: str, packages: Sequence[str]) -> bool:
    return any(name.startswith(f"{package}.") for package in packages)


def _targets(value: Any) -> list[str]:
    if isinstance(value, dict):
        mapping = cast("dict[str, Any]", value)
        own = [mapping["_target_"]] if "_target_" in mapping else []
        return own + [target for item in mapping.values() for target in _targets(item)]
    if isinstance(value, list):
        return [target for item in cast("list[Any]", value) for target in _targets(item)]
    return []


def _takes(function: Callable[..., Any], name: str) -> bool:
    # Not through **kwargs: torchvision's models would be offered in_channels, and refuse it.
    return name in inspect.signature(function).parameters


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
