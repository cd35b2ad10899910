"""Whether runs can be made: their data, weights, schedules, networks and devices."""

import logging
import warnings
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from etude.base import startup
from etude.base.errors import UserError
from etude.config import Config, build, schedule_of, settings, source_of
from etude.data.sides import Sides
from etude.train import weights
from etude.train.weights import WeightsSource

if TYPE_CHECKING:
    from etude.data.augment.augment import Augment
    from etude.data.sources.source import DatasetInfo
log = logging.getLogger(__name__)


def inspect(configs: Sequence[Config], to_come: Collection[str]) -> None:
    """Check that runs' data and weights are there, and that their networks can be built.

    What needs no torch comes first, for all of them.

    Args:
        configs: Those that are to be trained on this machine.
        to_come: Folders of runs that are still to be made, whose weights others begin with.

    Raises:
        UserError: One could not be trained.
    """
    facts = [(config, _facts(config, to_come)) for config in configs]
    if facts:
        _build(facts, to_come)
    startup.mark("checks")


def _wanted(config: Config, to_come: Collection[str]) -> WeightsSource:
    """Give the weights that a run begins with, unless they are still to be made."""
    wanted = WeightsSource.of(settings(config.init))
    made = wanted.weights in to_come
    return wanted._replace(weights=None, weights_names=None) if made else wanted


def _facts(config: Config, to_come: Collection[str]) -> "DatasetInfo":
    facts: DatasetInfo = source_of(config).facts()
    sides = _sides(config, facts)
    images = _images(config, facts)
    if config.train.batch_size > images:
        raise UserError(
            f"train.batch_size={config.train.batch_size} is larger than "
            f"the training split of {images} images"
        )
    weights.find(_wanted(config, to_come))
    augment: Augment = build(config.augment, config.packages)
    augment.check(channels=facts.channels, **sides._asdict())
    _bind(config, images)
    return facts


def _sides(config: Config, facts: "DatasetInfo") -> Sides:
    dataset = config.dataset
    return Sides.of(facts.size, input_size=dataset.input_size, load_size=dataset.load_size)


def _images(config: Config, facts: "DatasetInfo") -> int:
    from etude.data.splits import held_out  # noqa: PLC0415 (not needed to show a finished run)

    dataset = config.dataset
    images = min(facts.train_images, dataset.limit_train or facts.train_images)
    return images - held_out(images, dataset.validation_split, dataset.validation_fraction)


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


def _build(jobs: Sequence[tuple[Config, Any]], to_come: Collection[str]) -> None:
    log.info("loading PyTorch …")
    import torch  # noqa: PLC0415 (seconds, and no job could start without it)

    from etude.preflight import forward  # noqa: PLC0415 (with it)
    from etude.train.test_time_views import check_test_views  # noqa: PLC0415 (with it)

    startup.mark("PyTorch")
    for choices in {(config.device, config.precision, config.train.step) for config, _ in jobs}:
        _check_device(*choices)
    for config, facts in jobs:
        with torch.device("meta"), warnings.catch_warnings(action="ignore"):  # shapes only
            model = build(
                config.model,
                config.packages,
                in_channels=facts.channels,
                num_classes=facts.num_classes,
                input_size=config.dataset.input_size or facts.size,
            )
        sides = _sides(config, facts)
        check_test_views(model, config.train.test_crops, kept=sides.kept, seen=sides.seen)
        weights.check(model, _wanted(config, to_come))
        _check_last_batch(config, facts, model)
    forward.check(jobs)


def _check_device(device: str, precision: str, step: str) -> None:
    from etude.train.hardware import choose_device, choose_precision  # noqa: PLC0415

    chosen = choose_device(device)
    choose_precision(precision, chosen)
    if step == "graph" and chosen.type != "cuda":
        raise UserError(f"train.step=graph needs CUDA, and device={device} is {chosen.type} here")


def _check_last_batch(config: Config, facts: "DatasetInfo", model: Any) -> None:
    """Refuse a last batch of one image where batch norm would have nothing to average over.

    Args:
        config: Says how many images a batch has.
        facts: Of the data set.
        model: On the meta device, where it is tried on one image.
    """
    import torch  # noqa: PLC0415

    size = config.train.batch_size
    if _images(config, facts) % size != 1:
        return
    side = config.dataset.input_size or facts.size
    try:
        model.train()(torch.empty(1, facts.channels, side, side, device="meta"))
    except ValueError as error:
        if "more than 1 value per channel" in str(error):
            raise UserError(
                f"train.batch_size={size} leaves one image for the last batch, and batch norm "
                f"needs two; set train.batch_size={size + 1}"
            ) from error
        raise
    except RuntimeError as error:  # a network of one's own that needs values, not shapes alone
        log.debug("the last batch of one image was not tried: %s", error)
