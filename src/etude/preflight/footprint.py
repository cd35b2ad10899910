"""The memory that a run is predicted to need on a GPU: by a rehearsal, else by document 004."""

import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import asdict, replace
from typing import Any

import torch

from etude.base.errors import UserError
from etude.config import Config, settings, source_of
from etude.data.sides import Sides
from etude.data.sources.source import DatasetInfo
from etude.preflight.forward import Network
from etude.preflight.rehearsal import rehearse
from etude.train.memory import count_outputs, count_parameters, predicted_bytes, state_copies, walk

_KNOWN: dict[str, Future[int | None]] = {}  # the jobs of a sweep have much in common
_ASKING = threading.Lock()


def predicted(config: Config) -> int | None:
    """Predict the most bytes that a run holds at a time; None if nobody can.

    Args:
        config: A run that has passed every check.
    """
    kind = _kind(config)
    with _ASKING:
        asked_before = kind in _KNOWN
        answer = _KNOWN.setdefault(kind, Future())
    if not asked_before:
        try:
            answer.set_result(_predicted(config, source_of(config).facts()))
        except BaseException as error:
            answer.set_exception(error)
            with _ASKING:
                del _KNOWN[kind]
            raise
    return answer.result()


def _kind(config: Config) -> str:
    """Name what a run's memory depends on: of a rate or a factor, whether there is one."""
    same = (config.model, config.dataset, config.augment, config.precision, bool(config.l2))
    learning = settings(config.optimizer), asdict(replace(config.train, epochs=1))
    return repr((same, config.record.gradients, *map(_without_factors, learning)))


def _without_factors(part: Mapping[str, Any]) -> dict[str, Any]:
    return {key: bool(value) if isinstance(value, float) else value for key, value in part.items()}


def precisions(config: Config) -> tuple[str, ...]:
    """Name the precisions that a run may have on a GPU that is not known."""
    return ("bfloat16", "float32") if config.precision == "auto" else (config.precision,)


def _predicted(config: Config, facts: DatasetInfo) -> int | None:
    try:
        rehearsals = rehearse(config, facts, precisions(config))
    except UserError:  # it waits, or is a network of the user's own that needs values
        return _by_formula(config, facts)
    return max(rehearsal.peak_bytes for rehearsal in rehearsals)


def _by_formula(config: Config, facts: DatasetInfo) -> int | None:
    """Predict by the model of document 004, with the resident data."""
    copies = state_copies(settings(config.optimizer))
    if copies is None:
        return None
    dataset = config.dataset
    kept, size = Sides.of(facts.size, input_size=dataset.input_size, load_size=dataset.load_size)
    image = (facts.channels, size, size)
    with torch.device("meta"):
        model = Network.of(config, facts).build()
    try:
        layers = walk(model, image)
    except (RuntimeError, TypeError, ValueError):  # a network of the user's own
        return None
    data = (facts.train_images + facts.test_images) * facts.channels * kept**2
    outputs = count_outputs(layers, image)
    parameters = count_parameters(model).trainable
    return data + predicted_bytes(parameters, outputs, config.train.images_at_a_time, copies)
