"""What a run writes and says before its first step."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from etude.base.atomic import write_text
from etude.base.identity import Identity
from etude.base.text import counted
from etude.config import Config
from etude.runs.environment import since, write_environment
from etude.runs.names import INFERENCE, SUMMARY
from etude.runs.records import write_json
from etude.train.builders import Parts
from etude.train.hardware import describe
from etude.train.memory import ParameterCount, count_parameters

log = logging.getLogger(__name__)


def begin(
    config: Config, folder: Path, identity: Identity, texts: Mapping[str, str], parts: Parts
) -> dict[str, object]:
    """Write what is known already; a resumed run keeps the environment that it began with.

    Args:
        config: Of the run, with batches in the parts that it computes them in.
        folder: The run's.
        identity: What makes it this run.
        texts: Texts for the folder, by path.
        parts: What the run is made of.

    Returns:
        The summary as it is written: of a run at work.
    """
    for name, text in texts.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_text(folder / name, text)
    for change in since(folder):
        log.warning("since this run began: %s", change)
    write_environment(folder)
    parameters = count_parameters(parts.state.model)
    summary = _first_summary(config, identity, parts, parameters)
    write_json(folder / INFERENCE, parts.preparation.plain())
    write_json(folder / SUMMARY, summary)
    _announce(parts, parameters)
    auto = identity.decisive.get("train.accumulate") == "auto"
    if told := _parts_told(config.train.parts, parts.part_sizes, auto=auto):
        log.info("%s", told)
    return summary


def _first_summary(
    config: Config, identity: Identity, parts: Parts, parameters: ParameterCount
) -> dict[str, object]:
    return {
        "state": "running",
        "name": config.name,
        "fingerprint": identity.fingerprint,
        "contents": identity.contents,
        "seed": config.seed,
        "scale": config.scale,
        "parameters": parameters._asdict(),
        "device": describe(parts.state.device),
        "precision": parts.plan.precision,
        "compiled": parts.state.compiler.on,
        "accumulate": config.train.parts,
        "threads": torch.get_num_threads(),
        "data": parts.images._asdict(),
        "weights": None if parts.loaded is None else parts.loaded.plain(),
        "hyperparameters": identity.decisive,
    }


def _parts_told(asked: int, sizes: Sequence[int], *, auto: bool) -> str:
    """Say in how many parts batches are computed; nothing where nobody asked.

    They may be fewer than asked for: of 5 parts of 8 images four have two, and where batch norm
    needs two images no part has one.
    """
    if asked > 1:
        key = f"train.accumulate={'auto' if auto else asked}"
        parts, largest = counted(len(sizes), "part"), counted(max(sizes), "image")
        return f"{key}: each batch is computed in {parts} of up to {largest}"
    return "train.accumulate=auto: each batch is computed as a whole" if auto else ""


def _announce(parts: Parts, parameters: ParameterCount) -> None:
    images = parts.images
    log.info(
        "%s: %s parameters; %s images to train on, %s to validate, %s to test; %s on %s",
        type(parts.state.model).__name__,
        f"{parameters.trainable:,}",
        f"{images.train:,}",
        f"{images.validation:,}",
        f"{images.test:,}",
        parts.plan.precision,
        describe(parts.state.device),
    )
    for line in parts.loaded.lines() if parts.loaded is not None else ():
        log.info("%s", line)
