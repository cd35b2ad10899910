"""What a command's choices compose to, and what of an experiment falls away with them."""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, cast

from omegaconf import DictConfig, OmegaConf

Flat = dict[str, Any]


class Fallen(NamedTuple):
    """What an experiment's file sets for a choice that was replaced, and that so does not hold.

    Args:
        group: The group, such as `optimizer`.
        named: The choice that the experiment names.
        chosen: The choice in its place.
        settings: The keys within the group, dotted, with their values.
    """

    group: str
    named: str
    chosen: str
    settings: Flat


@dataclass(frozen=True)
class Base:
    """What a command's choices alone compose to; its jobs differ from it in values.

    Args:
        pickled: The configuration, which is copied five times faster so than by `deepcopy`.
        experiment: The experiment's name; None without one.
        chosen: The choice in each group of parts.
        named: The choices that the experiment's file, or the default recipe, makes.
        fallen: What the experiment sets for other choices than these.
    """

    pickled: bytes
    experiment: str | None
    chosen: dict[str, str]
    named: dict[str, str]
    fallen: tuple[Fallen, ...]

    def copy(self) -> DictConfig:
        """Give the configuration, to be changed."""
        return pickle.loads(self.pickled)  # noqa: S301 (our own, made in this process)

    @cached_property
    def usual(self) -> Flat:
        """Give its values by dotted key, as written."""
        composed = self.copy()
        plain = cast("Flat", OmegaConf.to_container(composed, resolve=False))
        del plain["hydra"]
        return dict(flatten(plain))


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give the values of nested mappings by dotted key."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flatten(cast("Flat", value), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def settings(node: Any) -> Flat:
    """Give what a node sets, by dotted key within it."""
    plain = OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node
    return dict(flatten(cast("Flat", plain))) if isinstance(plain, dict) else {"": plain}


def merged(fallen: Sequence[Fallen]) -> Iterator[Fallen]:
    """Join what several files of one experiment set for a group; the last word for a key holds."""
    for group in dict.fromkeys(fell.group for fell in fallen):
        own = [fell for fell in fallen if fell.group == group]
        settings = {key: value for fell in own for key, value in fell.settings.items()}
        yield own[-1]._replace(settings=settings)
