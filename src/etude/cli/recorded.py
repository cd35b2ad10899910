"""A run's configuration, read back from its folder as plain values."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from etude.base.errors import UserError
from etude.base.places import shipped_conf
from etude.cli.experiments import CONFIG_NAME
from etude.config.schema import SCHEMAS, Config, Record, Train
from etude.runs.names import CONFIG

# Of the sections that are no parts, the keys that decide no result, of which some came later.
_FREE = {
    "train": [f.name for f in fields(Train) if not f.metadata.get("result", True)],
    "record": [f.name for f in fields(Record)],
}


def recorded(folder: Path) -> Mapping[str, Any]:
    """Give what a run's `config.yaml` says, whichever version of Étude wrote it.

    Keys that came later stand as runs were without them. Nothing is built, imported or resolved.

    Raises:
        UserError: There is none, or it is damaged.
    """
    try:
        found: Any = OmegaConf.to_container(OmegaConf.load(folder / CONFIG), resolve=False)
        known = {f.name for f in fields(Config)}  # a study's words stand in the file as well
        values = {key: _filled(key, found[key]) for key in found if key in known}
    except Exception as error:  # whatever a damaged file makes the parser raise
        raise UserError(
            f"{folder} has no {CONFIG} that can be read; give the folder of one run"
        ) from error
    if not values:
        raise UserError(f"{folder} has no {CONFIG} that can be read; it holds no configuration")
    return values


def _filled(key: str, part: Any) -> Any:
    """Give a part the keys that it lacks, after its own."""
    if not isinstance(part, dict):
        return part
    if key in _FREE:
        lacking = {**_shipped(key), **(_later(Train) if key == "train" else {})}
    else:
        schema = SCHEMAS.get(str(part.get("_target_", "")))
        lacking = {} if schema is None else _later(schema)
    return {**part, **{name: value for name, value in lacking.items() if name not in part}}


def _later(schema: type) -> Mapping[str, Any]:
    return {f.name: f.metadata["since"] for f in fields(schema) if "since" in f.metadata}


def _shipped(section: str) -> Mapping[str, Any]:
    """Give what the default recipe has for the keys that decide no result."""
    whole = OmegaConf.load(shipped_conf() / f"{CONFIG_NAME}.yaml")
    values: Any = OmegaConf.to_container(whole, resolve=False)
    return {key: values[section][key] for key in _FREE[section]}
