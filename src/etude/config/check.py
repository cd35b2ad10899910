"""Holding a composed configuration against the schema: every problem, each in one line."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from etude.config.build import check_settings, check_target, follows_loss, settings
from etude.config.convert import UNRESOLVED, section
from etude.config.schema import GROUPS, SCHEMAS, Config, PlateauConf
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


def check(composed: DictConfig | Mapping[str, Any]) -> Config:
    """Turn a composed configuration into a typed one.

    Args:
        composed: The configuration as Hydra composed it, without the `hydra` node; or the same
            as plain values, with its interpolations resolved.

    Raises:
        UserError: One line for every key that is unknown, of the wrong type, missing or out of
            range, and for every pair of keys that contradict each other.
    """
    problems: list[str] = []
    values = _plain(composed, problems) if isinstance(composed, DictConfig) else composed
    parts = _parts(values, problems)
    typed = section({**values, **parts}, Config, "", problems)
    if problems:
        raise UserError("\n".join(problems))
    config = Config(**typed)
    if problems := list(_contradictions(config)):
        raise UserError("\n".join(problems))
    return config


def _plain(node: DictConfig, problems: list[str]) -> dict[str, Any]:
    try:
        return cast("dict[str, Any]", OmegaConf.to_container(node, resolve=True))
    except OmegaConfBaseException:
        return _resolved(node, "", problems)  # key by key, to tell which


def _resolved(node: DictConfig, prefix: str, problems: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name in map(str, node):
        try:
            value = "???" if OmegaConf.is_missing(node, name) else node[name]
            if isinstance(value, DictConfig):
                value = _resolved(value, f"{prefix}{name}.", problems)
            elif OmegaConf.is_config(value):
                value = OmegaConf.to_container(value, resolve=True)
            values[name] = value
        except InterpolationToMissingValueError:
            values[name] = UNRESOLVED  # the missing key is told by itself
        except OmegaConfBaseException as error:
            values[name] = UNRESOLVED
            problems.append(f"{prefix}{name}: {str(error).strip().partition(chr(10))[0]}")
    return values


def _parts(values: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    packages = values.get("packages")
    packages = [str(p) for p in cast("list[Any]", packages)] if isinstance(packages, list) else []
    parts: dict[str, Any] = {}
    for group in GROUPS:
        try:
            parts[group] = _part(values.get(group), group, packages, problems)
        except UserError as error:
            parts[group] = None
            problems.append(f"{group}: {error}")
    return parts


def _part(node: Any, group: str, packages: Sequence[str], problems: list[str]) -> object:
    if not isinstance(node, dict) or "_target_" not in node:
        raise UserError(f"a choice is needed: {group}=<choice>")
    part = cast("dict[str, Any]", node)
    if part["_target_"] == "???":
        raise UserError(f"_target_ must be given: {group}._target_=<class>")
    target = str(part["_target_"])
    schema = SCHEMAS.get(target)
    if schema is not None:
        told = len(problems)
        typed = section(part, schema, f"{group}.", problems)
        return schema(**typed) if len(problems) == told else None
    if group in _OURS:
        raise UserError(f"_target_={target} is none of Étude's; choose with {group}=<choice>")
    check_target(target, packages)
    check_settings(part, packages, CONTEXT[group])
    return part


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
    watches = isinstance(config.scheduler, PlateauConf) or follows_loss(
        config.scheduler, config.packages
    )
    if watches and unwatched:
        yield (
            "scheduler: a plateau watches the evaluation loss; "
            "set dataset.validation_split or train.test_every_epoch=true"
        )
