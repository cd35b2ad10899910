"""What a run writes and says before its first step."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etude.config import Config, fingerprint, results
from etude.hardware import describe
from etude.memory import count_parameters
from etude.parts import Parts
from etude.record.environment import since, write_environment
from etude.record.folder import SUMMARY, write_json, write_text

log = logging.getLogger(__name__)


def begin(config: Config, folder: Path, texts: Mapping[str, str], parts: Parts) -> dict[str, Any]:
    """Write what is known already; a resumed run keeps the environment that it began with.

    Args:
        config: Of the run.
        folder: The run's.
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
    summary = _first_summary(config, parts)
    write_json(folder / SUMMARY, summary)
    _announce(parts, summary)
    return summary


def _first_summary(config: Config, parts: Parts) -> dict[str, Any]:
    return {
        "state": "running",
        "name": config.name,
        "fingerprint": fingerprint(config),
        "seed": config.seed,
        "scale": config.scale,
        "parameters": count_parameters(parts.state.model)._asdict(),
        "device": describe(parts.state.device),
        "precision": parts.plan.precision,
        "data": parts.images._asdict(),
        "weights": None if parts.loaded is None else parts.loaded.plain(),
        "hyperparameters": results(config),
    }


def _announce(parts: Parts, summary: dict[str, Any]) -> None:
    images = parts.images
    log.info(
        "%s: %s parameters; %s images to train on, %s to validate, %s to test; %s on %s",
        type(parts.state.model).__name__,
        f"{summary['parameters']['trainable']:,}",
        f"{images.train:,}",
        f"{images.validation:,}",
        f"{images.test:,}",
        summary["precision"],
        summary["device"],
    )
    for line in parts.loaded.lines() if parts.loaded is not None else ():
        log.info("%s", line)
