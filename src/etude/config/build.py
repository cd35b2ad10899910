"""Building a part from its target: the one door through which a name becomes an object."""

import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from hydra.utils import instantiate

from etude.base.errors import INTERRUPTED, PREEMPTED, UserError
from etude.base.text import first_line
from etude.config.schema import DATASET, Config

# All of torch would let torch.hub.load in.
ALLOWED = ("etude", "torch.nn", "torch.optim", "torchvision.models")
PER = ("epoch", "step")  # what a schedule of PyTorch's may be stepped by

Settings = dict[str, Any]  # a part's, its target included

_FOLDERS: list[str] = []  # where the user's packages are sought besides


def import_from(*folders: Path | str) -> None:
    """Say in which folders the packages that a user lists are sought, after all others.

    They are put at the end of Python's own list, and not before a target asks for them: what is
    installed comes first, and nobody else finds the files of a working folder.
    """
    _FOLDERS[:] = [str(Path(folder).absolute()) for folder in folders]


def import_folders() -> tuple[str, ...]:
    """Give these folders, for a process that will build parts as this one does."""
    return tuple(_FOLDERS)


def settings(part: Any) -> Settings:
    """Give a part's settings as a plain mapping, its target included."""
    if is_dataclass(part) and not isinstance(part, type):
        return asdict(part)
    return dict(cast("Settings", part))


def source_of(config: Config) -> Any:
    """Build the source of the images: the part of a data set's settings that says where they are.

    Raises:
        UserError: It refuses its settings.
    """
    dataset = settings(config.dataset)
    own = {key: value for key, value in dataset.items() if key not in {*DATASET, "name"}}
    return build(own, config.packages, **{key: dataset[key] for key in DATASET})


def network_of(
    part: Any, packages: Sequence[str], *, channels: int, classes: int, size: int
) -> Any:
    """Build a network for its images, on the default device.

    Args:
        part: Its target and settings.
        packages: The user's own.
        channels: Of an image.
        classes: Of the data set.
        size: Side of an image, in pixels.

    Raises:
        UserError: It refuses its settings.
    """
    context = {"in_channels": channels, "num_classes": classes, "input_size": size}
    return build(part, packages, **context)


def schedule_of(config: Config) -> Any:
    """Build the schedule: Étude's, or one that takes an optimizer, as PyTorch's do.

    Raises:
        UserError: It refuses its settings.
    """
    part = settings(config.scheduler)
    if not _takes(locate(part["_target_"], config.packages), "optimizer"):
        return build(part, config.packages)
    own = {key: value for key, value in part.items() if key != "per"}
    wrapper = {"_target_": "etude.train.schedule.pytorch.wrapped", "per": part["per"]}
    return build(wrapper | {"scheduler": _until_bound(own, config.packages)}, config.packages)


def follows_loss(part: Any, packages: Sequence[str]) -> bool:
    """Say whether a schedule of PyTorch's is told a loss when it is stepped."""
    step = getattr(locate(settings(part)["_target_"], packages), "step", None)
    return step is not None and "metrics" in inspect.signature(step).parameters


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
    name = target.rpartition(".")[2]
    module = _module_of(target, packages)
    if not hasattr(module, name):
        raise UserError(f"_target_={target} cannot be imported: {_place(module)} has no {name}")
    found = getattr(module, name)
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
    for target in targets_of(values):
        locate(target, packages)
    function = locate(values["_target_"], packages)
    wanted = {k: v for k, v in context.items() if k not in values and _takes(function, k)}
    try:
        return instantiate({**values, "_convert_": "all"}, **wanted, **_allowing(packages))
    except SystemExit as error:  # of a part of the user's own
        if type(error) is not SystemExit or error.code in {INTERRUPTED, PREEMPTED}:
            raise  # a signal's
        raise UserError(f"{values['_target_']} ends the program ({error.code})") from error
    except Exception as error:
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from error
        if isinstance(cause, ValueError | TypeError):
            said = first_line(cause)
            if said.startswith("input_size="):  # of a network, which is told the data set's
                small, own = "too small" in said, values["_target_"].rpartition(".")[2]
                more = "; set a larger one" if small else f" (for {own})"
                raise UserError(f"dataset.{said}{more}") from error
            raise UserError(f"{values['_target_']}: {said}") from error
        raise


def _allowing(packages: Sequence[str]) -> dict[str, list[str]]:
    """Tell Hydra what has been checked here; before 1.4 it does not ask, from 1.5 on it insists."""
    if "_execution_whitelist_" not in inspect.signature(instantiate).parameters:
        return {}
    return {"_execution_whitelist_": [f"{package}.*" for package in (*ALLOWED, *packages)]}


def _module_of(target: str, packages: Sequence[str]) -> ModuleType:
    """Import the module that a target is in; one of the user's own may be in their folders."""
    own = _is_below(target, packages)
    if own:
        sys.path.extend(folder for folder in _FOLDERS if folder not in sys.path)
    try:
        return importlib.import_module(target.rpartition(".")[0])
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(not_imported(target, reason, sought=own)) from error


def not_imported(target: str, reason: str, *, sought: bool = True) -> str:
    """Say why a target cannot be had, and where it was sought."""
    places = " and in ".join(["PYTHONPATH", *([", ".join(_FOLDERS)] if _FOLDERS else [])])
    where = f"; sought on {places}" if sought else ""
    return f"_target_={target} cannot be imported ({reason}){where}"


def _place(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or module.__name__


def _until_bound(value: Any, packages: Sequence[str]) -> Any:
    """Have everything in a part that takes an optimizer wait for it."""
    if isinstance(value, list):
        return [_until_bound(item, packages) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    part = cast("Settings", value)
    inner = {key: _until_bound(item, packages) for key, item in part.items()}
    waits = "_target_" in part and _takes(locate(part["_target_"], packages), "optimizer")
    return {**inner, "_partial_": True} if waits else inner


def _is_below(name: str, packages: Sequence[str]) -> bool:
    return any(name.startswith(f"{package}.") for package in packages)


def targets_of(value: Any) -> list[str]:
    """List every target in a part, those of the parts inside it included."""
    if isinstance(value, dict):
        mapping = cast("Settings", value)
        own = [mapping["_target_"]] if "_target_" in mapping else []
        return own + [target for item in mapping.values() for target in targets_of(item)]
    if isinstance(value, list):
        return [target for item in cast("list[Any]", value) for target in targets_of(item)]
    return []


def _takes(function: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(function).parameters
    if name in parameters:
        return True
    # torchvision's builders hand **kwargs on to a class that takes this one, and no in_channels.
    return name == "num_classes" and any(p.kind is p.VAR_KEYWORD for p in parameters.values())
