"""An experiment's parts over made images: what is timed and compared where the data is not."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from etude.base.errors import UserError
from etude.cli.summary import without_files
from etude.config import Config, source_of
from etude.data.prepare import Data
from etude.data.sides import Sides
from etude.data.sources.source import DatasetInfo, Labelled
from etude.preflight.stand_in import stand_in
from etude.train.bfloat16_gains import gains
from etude.train.builders import make_model, make_plan, make_state
from etude.train.hardware import (
    choose_device,
    choose_precision,
    make_deterministic,
    set_tf32,
    synchronize,
)
from etude.train.loop import Plan, StepRunner
from etude.train.state import State
from etude.train.step import Step


class Made(NamedTuple):
    """What a run is made of."""

    state: State
    step: Step
    plan: Plan


def facts_of(config: Config) -> DatasetInfo:
    """Tell the shape of a data set as published; of folders that are not here, a guess."""
    try:
        return source_of(without_files(config)).facts()
    except UserError:
        return DatasetInfo(1000, 1000, num_classes=2, channels=3, size=256)


def made(config: Config, images: int) -> Made:
    """Make a run's parts over so many made images, in which there is something to learn."""
    device = choose_device(config.device)
    precision = choose_precision(config.precision, device, gains=gains(config))
    make_deterministic(deterministic=config.train.deterministic)
    set_tf32(precision)
    torch.manual_seed(7)
    data = _images(config, facts_of(config), images)
    model = make_model(config, data, device)
    state, step = make_state(config, model, data, device, precision)
    return Made(state, step, make_plan(config, data, device, precision))


def _images(config: Config, facts: DatasetInfo, count: int) -> Data:
    dataset = config.dataset
    sides = Sides.of(facts.size, input_size=dataset.input_size, load_size=dataset.load_size)
    shape = (count, facts.channels, sides.kept, sides.kept)
    random = torch.Generator().manual_seed(1)
    labels = torch.randint(facts.num_classes, (count,), generator=random)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=random)
    images[:, :, 0, :] = (labels * (255 // facts.num_classes)).byte()[:, None, None]
    test = Labelled(images[:100].clone(), labels[:100].clone())
    return stand_in(facts, Labelled(images, labels), test=test, size=sides.seen)


def advance(parts: Made, steps: StepRunner) -> Iterator[Tensor]:
    """Do steps, epoch after epoch; each gives its loss, still on the device."""
    state, plan = parts.state, parts.plan
    while True:
        state.model.train()
        steps.begin(state, plan.train, seed=3, batch_size=plan.batch_size)
        while state.step < state.steps:
            steps.advance(state)
            yield state.losses[state.step - 1]
        state.epoch, state.step = state.epoch + 1, 0


def finished(parts: Made) -> None:
    """Wait for the device."""
    synchronize(parts.state.device)
