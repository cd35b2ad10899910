"""Whether runs can be made: their data, weights, schedules, networks and devices."""

import logging
import warnings
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from etude.base import startup
from etude.base.memo import Memo
from etude.config import Config, build, schedule_of, settings, source_of
from etude.data.sides import Sides
from etude.data.sources.source import DatasetInfo
from etude.data.splits import check_batch_size
from etude.runs.notify import check_receiver
from etude.train import weights
from etude.train.weights import WeightsSource

if TYPE_CHECKING:
    from etude.data.augment.augment import Augment

log = logging.getLogger(__name__)


class Inspected(NamedTuple):
    """A run whose settings agree with its data.

    Attributes:
        config: Of the run.
        facts: Of its data set.
        sides: Of its images.
        images: To train on.
        weights: That it begins with, unless they are still to be made.
    """

    config: Config
    facts: DatasetInfo
    sides: Sides
    images: int
    weights: WeightsSource


def inspect(configs: Sequence[Config], to_come: Collection[str]) -> None:
    """Check that runs' data and weights are there, and that their networks can be built.

    What needs no torch comes first, for all of them. Runs that differ in nothing but their seeds
    are one here, and what several share is tried once.

    Args:
        configs: Those that are to be trained on this machine.
        to_come: Folders of runs that are still to be made, whose weights others begin with.

    Raises:
        UserError: One could not be trained.
    """
    unlike: dict[str, Config] = {}
    for config in configs:
        unlike.setdefault(repr(replace(config, seed=0)), config)
    once = Memo()
    runs = [_inspected(config, to_come, once) for config in unlike.values()]
    if runs:
        log.info("loading PyTorch …")
        from etude.preflight import networks  # noqa: PLC0415 (seconds, which every job needs)

        startup.mark("PyTorch")
        networks.check(runs)
    startup.mark("checks")


def _inspected(config: Config, to_come: Collection[str], once: Memo) -> Inspected:
    dataset = config.dataset
    check_receiver(config.record.notify)
    facts: DatasetInfo = once(
        f"data {config.dataset} {config.packages}", lambda: source_of(config).facts()
    )
    sides = Sides.of(facts.size, input_size=dataset.input_size, load_size=dataset.load_size)
    images = min(facts.train_images, dataset.limit_train or facts.train_images)
    images, _ = facts.divided(images, dataset.validation_split, dataset.validation_fraction)
    check_batch_size(config.train.batch_size, images)
    wanted = WeightsSource.of(settings(config.init))
    if wanted.weights in to_come:
        wanted = wanted._replace(weights=None, weights_names=None)
    weights.find(wanted)
    make = partial(build, config.augment, config.packages)
    augment: Augment = once(f"augment {config.augment} {config.packages}", make)
    augment.check(channels=facts.channels, **sides._asdict())
    _bind(config, images)
    return Inspected(config, facts, sides, images, wanted)


def _bind(config: Config, images: int) -> None:
    """Try the schedule on the run; what it warns of is told when the run begins."""
    schedule = schedule_of(config)
    with warnings.catch_warnings(action="ignore"):
        schedule.bind(
            base_lr=settings(config.optimizer).get("lr", 1.0),
            steps_per_epoch=-(-images // config.train.batch_size),
            epochs=config.epochs,
            scale=config.scale,
        )
