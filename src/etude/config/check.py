"""Holding a composed configuration against the schema: every problem, each in one line."""

import dataclasses
import difflib
import math
from collections.abc import Iterable, Sequence
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    InterpolationToMissingValueError,
    OmegaConfBaseException,
    ValidationError,
)

from etude.config.build import check_settings, check_target, follows_loss, settings
from etude.config.schema import GROUPS, SCHEMAS, Config, Plateau
from etude.errors import UserError

# What a run offers to the parts that ask for it.
CONTEXT: dict[str, tuple[str, ...]] = {
    "model": ("in_channels", "num_classes", "input_size"),
    "dataset": (),
    "augment": (),
    "init": (),
    "optimizer": ("params",),
    "scheduler": ("optimizer",),
}
# The loop relies on how these work; the other parts may be a user's own.
_OURS = ("dataset", "augment")


def check(composed: DictConfig) -> Config:
    """Turn a composed configuration into a typed one.

    Args:
        composed: The configuration as Hydra composed it, without the `hydra` node.

    Raises:
        UserError: One line for every key that is unknown, of the wrong type, missing or out of
            range, and for every pair of keys that contradict each other.
    """
    problems: list[str] = []
    nodes: dict[str, Any] = {}
    packages = _packages(composed)
    for group in GROUPS:
        try:
            nodes[group] = _part(composed, group, packages, problems)
        except UserError as error:
            problems.append(f"{group}: {error}")
    rest = OmegaConf.masked_copy(composed, [str(k) for k in composed if k not in GROUPS])
    typed = _typed(rest, Config, "", problems, skip=GROUPS)
    if problems:
        raise UserError("\n".join(problems))
    config = Config(**{**typed, **nodes})
    problems = list(_contradictions(config))
    if problems:
        raise UserError("\n".join(problems))
    return config


def unknown(word: str, words: Iterable[str], what: str = "key") -> str:
    """Say that there is no such key or choice, with the nearest right one, or else all of them.

    Args:
        word: What was given.
        words: What there is, written alike.
        what: What it is called.
    """
    words = sorted(set(words))
    parent, _, name = word.rpartition(".")
    siblings = [other for other in words if other.rpartition(".")[0] == parent]
    # Compared by their last part: a long path that is right would make any name look near.
    names = {other.rpartition(".")[2]: other for other in siblings}
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    matches = [names[match] for match in matches] or [w for w in siblings if w.startswith(word)]
    matches = matches or difflib.get_close_matches(word, words, n=1, cutoff=0.75)
    hint = f"; did you mean '{matches[0]}'?" if matches else f"; there are {', '.join(siblings)}"
    return f"there is no such {what}{hint if siblings or matches else '; see etude --help'}"


def _packages(composed: DictConfig) -> list[str]:
    packages = OmegaConf.select(composed, "packages")
    return [str(package) for package in packages] if OmegaConf.is_list(packages) else []


def _part(composed: DictConfig, group: str, packages: Sequence[str], problems: list[str]) -> object:
    node = OmegaConf.select(composed, group)
    if isinstance(node, DictConfig) and OmegaConf.is_missing(node, "_target_"):
        raise UserError(f"_target_ must be given: {group}._target_=<class>")
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise UserError(f"a choice is needed: {group}=<choice>")
    target = str(node["_target_"])
    schema = SCHEMAS.get(target)
    if schema is not None:
        found = len(problems)
        typed = _typed(node, schema, f"{group}.", problems)
        return schema(**typed) if len(problems) == found else None
    if group in _OURS:
        raise UserError(f"_target_={target} is none of Étude's; choose with {group}=<choice>")
    check_target(target, packages)
    plain = cast("dict[str, Any]", OmegaConf.to_container(node, resolve=True))
    check_settings(plain, packages, CONTEXT[group])
    return plain


def _typed(
    node: DictConfig, schema: type, prefix: str, problems: list[str], skip: Sequence[str] = ()
) -> dict[str, Any]:
    """Check a node key by key, so that all problems are found at once."""
    fields = {f.name: f for f in dataclasses.fields(schema) if f.name not in skip}
    names = [*fields, *skip]
    blank = cast("DictConfig", OmegaConf.structured(schema))  # takes only what its types allow
    values: dict[str, Any] = {}
    problems += [
        f"{prefix}{key}: {unknown(f'{prefix}{key}', [f'{prefix}{name}' for name in names])}"
        for key in node
        if key not in fields
    ]
    for name, field in fields.items():
        key = f"{prefix}{name}"
        if name not in node.keys() or OmegaConf.is_missing(node, name):  # noqa: SIM118 (`in` differs)
            problems.append(f"{key} must be given: {key}=<value>")
        else:
            _take(node, blank, field, key, values, problems)
    return values


def _take(
    node: DictConfig,
    blank: DictConfig,
    field: "dataclasses.Field[Any]",
    key: str,
    values: dict[str, Any],
    problems: list[str],
) -> None:
    """Check one key's type and range, and keep its value."""
    section = cast("type[Any]", field.type)
    if dataclasses.is_dataclass(section):
        if isinstance(node[field.name], DictConfig):
            inner = _typed(node[field.name], section, f"{key}.", problems)
            values[field.name] = section(**inner) if len(inner) == _length(section) else None
        else:
            problems.append(f"{key} is a group of keys; set {key}.<key>=<value>")
        return
    given = None
    try:
        given = _plain_value(node, field.name)
        if isinstance(given, list | dict):
            blank.merge_with({field.name: given})  # which looks into it, and takes its time
        else:
            blank[field.name] = given
        value = _plain_value(blank, field.name)
    except InterpolationToMissingValueError:
        return  # the missing key is told by itself
    except ValidationError:
        problems.append(f"{key}={given} must be {field.metadata.get('rule') or _in_words(field)}")
        return
    except OmegaConfBaseException as error:
        problems.append(f"{key}: {str(error).strip().partition(chr(10))[0]}")
        return
    values[field.name] = value
    problems.extend(_range(value, field, key))


def _plain_value(node: DictConfig, name: str) -> Any:
    value = node[name]
    return OmegaConf.to_object(value) if OmegaConf.is_config(value) else value


def _length(schema: type) -> int:
    return len(dataclasses.fields(schema))


def _range(value: Any, field: "dataclasses.Field[Any]", key: str) -> Iterable[str]:
    """Yield a problem if a value (or an item of a list) breaks its field's rule."""
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    for item in items:
        if dataclasses.is_dataclass(item):
            for inner in dataclasses.fields(item):
                yield from _range(getattr(item, inner.name), inner, f"{key}.{inner.name}")
            continue
        if isinstance(item, float) and not math.isfinite(item):
            yield f"{key}={item} must be finite"
        test = field.metadata.get("test")
        if test is not None and item is not None and not test(item):
            yield f"{key}={item} must be {field.metadata['rule']}"


def _in_words(field: "dataclasses.Field[Any]") -> str:
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    return words.get(field.type, f"of type {field.type}")  # pyright: ignore[reportArgumentType, reportCallIssue]


def _contradictions(config: Config) -> Iterable[str]:
    """Yield what no single key can tell."""
    optimizer = settings(config.optimizer)
    weight_decay = optimizer.get("weight_decay", 0)
    if config.l2 and weight_decay:
        yield (
            f"l2={config.l2:g} and optimizer.weight_decay={weight_decay:g}: use one of them "
            f"(weight_decay = 2·l2 = {2 * config.l2:g} is the same)"
        )
    if config.l2 and config.train.decay == "all":
        yield "l2 is Keras's penalty on kernels; with train.decay=all use optimizer.weight_decay"
    if config.train.accumulate > config.train.batch_size:
        yield (
            f"train.accumulate={config.train.accumulate} must be at most "
            f"train.batch_size={config.train.batch_size}"
        )
    if config.train.step == "graph" and config.precision == "float16":
        yield (
            "train.step=graph cannot look at the gradients, as float16's loss scaling must; "
            "set precision=bfloat16 or train.step=eager"
        )
    if optimizer.get("nesterov") and not optimizer.get("momentum"):
        yield "optimizer.nesterov=true needs optimizer.momentum above 0"
    unwatched = config.dataset.validation_split == "none" and not config.train.test_every_epoch
    watches = isinstance(config.scheduler, Plateau) or follows_loss(
        config.scheduler, config.packages
    )
    if watches and unwatched:
        yield (
            "scheduler: a plateau watches the evaluation loss; "
            "set dataset.validation_split or train.test_every_epoch=true"
        )
