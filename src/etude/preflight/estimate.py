"""How long jobs will take, from a few timed steps on made-up images."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch

from etude.base.allocator import keep_memory
from etude.base.duration import STARTING
from etude.base.memo import Memo
from etude.config import Config, source_of
from etude.data.prepare import Data
from etude.data.sides import Sides
from etude.data.sources.source import DatasetInfo, Labelled
from etude.preflight.footprint import predicted
from etude.preflight.stand_in import stand_in
from etude.train.batch_parts import choose_parts, in_parts
from etude.train.bfloat16_gains import gains
from etude.train.builders import make_model, make_plan, make_state
from etude.train.hardware import choose_device, choose_precision, synchronize

_STEPS = 3
_FORWARD_SHARE = 1 / 3  # of a step; the backward pass takes the rest


def seconds_of_each(configs: Sequence[Config]) -> list[float]:
    """Estimate the seconds that each run takes by itself, reading large data left out.

    Several runs have one thread each, as the local launcher gives them where there are not more
    cores than runs.
    """
    if len(configs) > 1:
        torch.set_num_threads(1)
    once = Memo()
    all_gain = all(gains(config) for config in configs)
    seconds: list[float] = []
    for config in configs:
        facts = once(f"data {config.dataset} {config.packages}", partial(_facts, config))
        kind = repr((config.model, config.dataset, config.augment, config.train, config.precision))
        step = once(kind, partial(_seconds_of_step, config, facts, gains=all_gain))
        seconds.append(STARTING + step * _steps(config, facts) * config.epochs)
    return seconds


def _facts(config: Config) -> DatasetInfo:
    return source_of(config).facts()


def _steps(config: Config, facts: DatasetInfo) -> float:
    """Give the steps of an epoch, evaluation included as the part of a step that it costs."""
    dataset = config.dataset
    images = min(facts.train_images, dataset.limit_train or facts.train_images)
    images, validation = facts.divided(
        images, dataset.validation_split, dataset.validation_fraction
    )
    test = facts.test_images if config.train.test_every_epoch else 0
    evaluated = validation + min(test, dataset.limit_test or test)
    return (images + _FORWARD_SHARE * evaluated) / config.train.batch_size


def _seconds_of_step(config: Config, facts: DatasetInfo, *, gains: bool) -> float:
    # A schedule's epochs are longer than the one batch that stands for them here.
    config = replace(config, scheduler={"_target_": "etude.train.schedule.Constant"})
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device, gains=gains)
    config = in_parts(config, choose_parts(config, device, precision, predicted).parts)
    if config.train.keep_memory:
        keep_memory()
    data = _made_up(config, facts)
    state, step = make_state(config, make_model(config, data, device), data, device, precision)
    plan = make_plan(config, data, device, precision)
    seconds: list[float] = []
    for epoch in range(_STEPS + 1):
        start = time.monotonic()
        (batch,) = plan.train.epoch(0, epoch, config.train.batch_size)
        step(*batch)
        synchronize(device)
        seconds.append(time.monotonic() - start)
    del state
    # The first also allocates and chooses kernels; what else the machine does makes others slow.
    return min(seconds[1:])


def _made_up(config: Config, facts: DatasetInfo) -> Data:
    """Make one batch of noise in the data set's shape."""
    dataset = config.dataset
    kept, size = Sides.of(facts.size, input_size=dataset.input_size, load_size=dataset.load_size)
    shape = (config.train.batch_size, facts.channels, kept, kept)
    images = torch.randint(256, shape, dtype=torch.uint8)
    noise = Labelled(images, torch.randint(facts.num_classes, (len(images),)))
    return stand_in(facts, noise, size=size)
