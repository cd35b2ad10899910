"""What a command's choices compose to, and what of an experiment falls away with them."""

import json
import pickle
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, cast

from omegaconf import DictConfig, OmegaConf

from etude.config.schema import GROUPS

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

    def without(self, keys: Collection[str]) -> "Fallen":
        """Leave out what has some keys, dotted and with the group."""
        left = {k: v for k, v in self.settings.items() if f"{self.group}.{k}" not in keys}
        return self._replace(settings=left)

    def told(self, experiment: str | None) -> str:
        """Say in a line which of an experiment's settings fall away, and for which choice."""
        settings = (f"{self.group}.{k}={_as_typed(value)}" for k, value in self.settings.items())
        return (
            f"{self.group}={self.chosen} in place of {self.named}: what experiment={experiment} "
            f"sets for {self.named} falls away ({', '.join(settings)})"
        )


def _as_typed(value: Any) -> str:
    """Write a value as it would be typed."""
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value


@dataclass(frozen=True)
class Base:
    """What a command's choices alone compose to; its jobs differ from it in values.

    Args:
        pickled: The configuration, which is copied five times faster so than by `deepcopy`.
        experiment: The experiment's name; None without one.
        chosen: The choice in each group of parts.
        named: The choices that the experiment's file, or the default recipe, makes.
        fallen: What the experiment sets for other choices than these.
        launcher: The launcher that the experiment's file names; None if it names none.
    """

    pickled: bytes
    experiment: str | None
    chosen: dict[str, str]
    named: dict[str, str]
    fallen: tuple[Fallen, ...]
    launcher: str | None

    def chosen_otherwise(self, besides: Collection[str] = ()) -> dict[str, str]:
        """Give the choices that the experiment's file makes otherwise, and those of some groups."""
        return {
            group: own
            for group, own in self.chosen.items()
            if group in besides or self.named[group] != own
        }

    def copy(self) -> DictConfig:
        """Give the configuration, to be changed."""
        return pickle.loads(self.pickled)  # noqa: S301 (our own, made in this process)

    def told(self, words: Sequence[str], heeded: Collection[str] = GROUPS) -> list[str]:
        """Say a line each of what falls away in some groups, and is not among a job's words."""
        typed = {word.partition("=")[0].lstrip("+~") for word in words}
        found = [fell.without(typed) for fell in self.fallen if fell.group in heeded]
        return [fell.told(self.experiment) for fell in found if fell.settings]

    @cached_property
    def usual(self) -> Flat:
        """Give its values by dotted key, as written."""
        composed = self.copy()
        plain = cast("Flat", OmegaConf.to_container(composed, resolve=False))
        del plain["hydra"]
        return dict(flatten(plain))


def make_base(
    composed: DictConfig,
    chosen: Mapping[str, str],
    whole: Mapping[str, str],
    fallen: Sequence[Fallen],
) -> Base:
    """Put together what was composed, and what falls away in it that somebody must be told of.

    Args:
        composed: The configuration.
        chosen: The choices that made it.
        whole: Those that its experiment's file makes, with all that it builds on.
        fallen: What does not hold in it, of each file.
    """
    replaced = {group for group in GROUPS if whole.get(group) != chosen.get(group)}
    # What falls away within the shipped files, where one builds on another, concerns nobody.
    told = [f for f in fallen if f.group in replaced and f.named == whole.get(f.group)]
    return Base(
        pickled=pickle.dumps(composed),
        experiment=chosen.get("experiment"),
        chosen={group: str(chosen.get(group)) for group in GROUPS},
        named={group: str(whole.get(group)) for group in GROUPS},
        fallen=tuple(_merged(told)),
        launcher=whole.get("hydra/launcher"),
    )


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


def _merged(fallen: Sequence[Fallen]) -> Iterator[Fallen]:
    """Join what several files of one experiment set for a group; the last word for a key holds."""
    for group in dict.fromkeys(fell.group for fell in fallen):
        own = [fell for fell in fallen if fell.group == group]
        settings = {key: value for fell in own for key, value in fell.settings.items()}
        yield own[-1]._replace(settings=settings)
