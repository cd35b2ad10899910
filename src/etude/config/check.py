"""Holding a composed configuration against the schema: every problem, each in one line."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from etude.base.errors import UserError
from etude.base.nearest import unknown
from etude.base.text import exact, first_line
from etude.config.build import PER, Settings, check_target, follows_loss, locate, settings
from etude.config.convert import UNRESOLVED, section, shown
from etude.config.known import Problem, declared
from etude.config.schema import GROUPS, SCHEMAS, Config, PlateauConf

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


class ConfigError(UserError):
    """A configuration with problems: all of them in its text, a line each."""

    problems: Sequence[Problem] = ()
    keys: Sequence[str] = ()  # what the configuration may have


def check(
    composed: DictConfig | Mapping[str, Any], origins: Mapping[str, str] | None = None
) -> Config:
    """Turn a composed configuration into a typed one.

    Args:
        composed: The configuration as Hydra composed it, without the `hydra` node; or the same
            as plain values, with its interpolations resolved.
        origins: For a dotted key, the file that wrote its value, as `experiment=<name>`; it is
            named beside a problem with the key. The user's own words need no entry.

    Raises:
        ConfigError: One line for every key that is unknown, of the wrong type, missing or out
            of range, and for every pair of keys that contradict each other.
    """
    problems: list[Problem] = []
    values = _plain(composed, problems) if isinstance(composed, DictConfig) else composed
    parts = _parts(values, problems)
    typed = section({**values, **parts}, Config, "", problems)
    if problems:
        raise _config_error(problems, values, origins or {})
    config = Config(**typed)
    if contradictions := list(_contradictions(config)):
        raise UserError("\n".join(contradictions))
    return config


def with_origin(problem: Problem, origins: Mapping[str, str]) -> str:
    """Give a problem's line, with the file that wrote the key."""
    if problem.key not in origins:
        return problem.text
    way_out = f"; ~{problem.key} takes it out" if problem.unknown else ""
    return f"{problem.text} ({origins[problem.key]} writes it{way_out})"


def _config_error(
    problems: Iterable[Problem], values: Mapping[str, Any], origins: Mapping[str, str]
) -> ConfigError:
    keys = declared(values) if any(problem.unknown for problem in problems) else []
    told = [
        p._replace(text=f"{p.key}: {unknown(p.key, keys)}") if p.unknown else p for p in problems
    ]
    # Not its arguments: an error comes back from another process by its text.
    error = ConfigError("\n".join(with_origin(problem, origins) for problem in told))
    error.problems, error.keys = told, keys
    return error


def _plain(node: DictConfig, problems: list[Problem]) -> Mapping[str, object]:
    try:
        return cast("Mapping[str, object]", OmegaConf.to_container(node, resolve=True))
    except OmegaConfBaseException:
        return _resolved(node, "", problems)  # key by key, to tell which


def _resolved(node: DictConfig, prefix: str, problems: list[Problem]) -> Mapping[str, object]:
    values: dict[str, object] = {}
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
            problems.append(Problem(f"{prefix}{name}", f"{prefix}{name}: {first_line(error)}"))
    return values


def _parts(values: Mapping[str, object], problems: list[Problem]) -> Mapping[str, object]:
    packages = values.get("packages")
    packages = [str(p) for p in cast("list[Any]", packages)] if isinstance(packages, list) else []
    parts: dict[str, object] = {}
    for group in GROUPS:
        try:
            parts[group] = _part(values.get(group), group, packages, problems)
        except UserError as error:
            parts[group] = None
            problems.append(Problem(group, f"{group}: {error}"))
    return parts


def _part(node: Any, group: str, packages: Sequence[str], problems: list[Problem]) -> object:
    if node is not None and not isinstance(node, dict):
        raise UserError(
            f"{shown(node)} is a value, not a part; a file chooses one in its defaults, "
            f"with '- override /{group}: {shown(node)}'"
        )
    if node is None or "_target_" not in node:
        raise UserError(f"a choice is needed: {group}=<choice>")
    part = cast("Settings", node)
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
    problems += _against_signature(part, group, packages)
    return part


def _against_signature(
    part: Mapping[str, Any], group: str, packages: Sequence[str]
) -> Iterable[Problem]:
    """Yield the settings that the target of a part without a schema does not take, or lacks."""
    parameters = inspect.signature(locate(str(part["_target_"]), packages)).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    own = {"per"} if group == "scheduler" and "optimizer" in parameters else set[str]()
    if own and part.get("per") not in PER:
        given = f"scheduler.per={part['per']}" if "per" in part else "scheduler.per"
        whose = f"whichever {part['_target_']} is stepped by"
        text = f"{given} must be epoch or step, {whose}; +scheduler.per=epoch"
        yield Problem("scheduler.per", text)
    for key in part:
        strange = key not in {*parameters, *own} and not key.startswith("_")
        if strange and inspect.Parameter.VAR_KEYWORD not in kinds:
            yield Problem(f"{group}.{key}", "", unknown=True)
    for key, parameter in parameters.items():
        named = parameter.kind in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}
        needed = named and parameter.default is parameter.empty
        if needed and key not in part and key not in CONTEXT[group]:
            yield Problem(f"{group}.{key}", f"{group}.{key} must be given: +{group}.{key}=<value>")


def _impossible_steps(config: Config) -> Iterable[str]:
    if config.train.step == "graph" and config.precision == "float16":
        yield (
            "train.step=graph cannot look at the gradients, as float16's loss scaling must; "
            "set precision=bfloat16 or train.step=eager"
        )
    if config.train.step == "compile":
        yield "train.step=compile is now train.compile=true, beside train.step=auto"


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
    if config.train.parts > config.train.batch_size:
        yield (
            f"train.accumulate={config.train.accumulate} must be at most "
            f"train.batch_size={config.train.batch_size}"
        )
    yield from _impossible_steps(config)
    values, lr = settings(config.scheduler).get("values"), optimizer.get("lr")
    if values and lr is not None and values[0] != lr:
        yield (
            f"optimizer.lr={exact(lr)} has no effect beside scheduler.values={values}, which are "
            f"the rates themselves; set optimizer.lr={exact(values[0])}, or scheduler.factors"
        )
    betas = optimizer.get("betas")
    if isinstance(betas, list) and len(cast("list[object]", betas)) != 2:
        yield f"optimizer.betas={betas} must be two numbers, as [0.9,0.999]"
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
