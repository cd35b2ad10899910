"""`train.accumulate=auto`: in how few parts a batch is computed, for a run to fit its GPU's memory.

It is chosen where a run begins, by what the GPU has free there and then, and kept for the run's
life: batch norm sees each part by itself, so the parts change the numbers.
"""

import logging
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple, cast

import torch

from etude.base.errors import UserError
from etude.base.gpu_memory import MIB, fits, room_for
from etude.config import Config
from etude.train.hardware import describe, free_memory

log = logging.getLogger(__name__)

Predict = Callable[[Config], int | None]  # the most bytes at a time on a GPU; None: nobody can


class BatchParts(NamedTuple):
    """In how many parts a batch is computed.

    Attributes:
        parts: As many.
        predicted_bytes: The most that a run in these parts holds at a time; None where nobody knows
            or asked.
        free_bytes: Of the GPU's memory; None where nobody asked.
    """

    parts: int
    predicted_bytes: int | None = None
    free_bytes: int | None = None


def choose_parts(
    config: Config, device: torch.device, precision: str, predict: Predict
) -> BatchParts:
    """Take as many parts as configured; `auto`, on a GPU, the fewest that are predicted to fit.

    Args:
        config: Of the run.
        device: Where it is to be.
        precision: That it computes in.
        predict: Tells what a run like it holds.

    Raises:
        UserError: It is predicted not to fit in any number of parts.
    """
    if config.train.accumulate != "auto" or device.type == "cpu":
        return BatchParts(config.train.parts)
    config = replace(config, precision=cast("Any", precision))
    free = free_memory(device)
    chosen = fewest_parts(config, free, predict)
    if chosen is None:
        raise UserError(
            "train.accumulate=auto: image by image the run is predicted to need "
            f"{_needed(config, predict)}, and {describe(device)} has {free / MIB:,.0f} MiB free; "
            "end what else holds memory there, or try it with train.accumulate=<parts>"
        )
    if chosen.predicted_bytes is None:
        log.warning("train.accumulate=auto: what the run needs cannot be predicted; it is 1")
    return chosen


def fewest_parts(config: Config, free: int, predict: Predict) -> BatchParts | None:
    """Find the fewest parts that are predicted to fit, None if even single images do not.

    Where nothing is predicted that is one part. The first guess is usually right, and each further
    one takes seconds: so they are doubled until they fit, and then halved in between.

    Args:
        config: Of the run.
        free: Bytes.
        predict: Tells what a run like it holds.
    """

    @cache  # what is found is asked about again
    def predicted(count: int) -> int | None:
        return predict(in_parts(config, count))

    def suits(count: int) -> bool:
        return (needed := predicted(count)) is None or fits(needed, free)

    count, too_few = 1, 0
    while not suits(count):
        if count == config.train.batch_size:
            return None
        too_few, count = count, min(2 * count, config.train.batch_size)
    between = range(too_few + 1, count)
    count = between.start + bisect_left(between, x=True, key=suits)
    return BatchParts(count, predicted(count), free)


def in_parts(config: Config, count: int) -> Config:
    """Give a configuration with batches in so many parts."""
    return replace(config, train=replace(config.train, accumulate=count))


def _needed(config: Config, predict: Predict) -> str:
    predicted = predict(in_parts(config, config.train.batch_size))
    return "more" if predicted is None else f"{room_for(predicted) / MIB:,.0f} MiB"
