"""What a configuration's network is made of, and what training it takes; see `etude-summary`.

The network is built and walked through on the meta device; only measuring trains, a few steps.
"""

import logging
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from etude.base.errors import UserError
from etude.base.text import first_line
from etude.cli.terminal import times
from etude.config import Config, settings
from etude.data.batch import memory_format
from etude.data.prepare import Data
from etude.data.sources.source import DatasetInfo, Labelled
from etude.preflight import forward
from etude.preflight.footprint import precisions, predicted
from etude.preflight.rehearsal import Rehearsal, rehearse
from etude.preflight.stand_in import stand_in
from etude.train.batch_parts import BatchParts, choose_parts, in_parts
from etude.train.bfloat16_gains import gains
from etude.train.builders import make_state
from etude.train.hardware import (
    choose_device,
    choose_precision,
    describe,
    make_deterministic,
    peak_memory,
)
from etude.train.memory import (
    Layer,
    ParameterCount,
    count_outputs,
    count_parameters,
    predicted_bytes,
    state_copies,
    walk,
)

log = logging.getLogger(__name__)


class Memory(NamedTuple):
    """The memory that training is predicted to take, and what from; None where it is not known."""

    predicted_bytes: int | None
    copies: int | None
    optimizer: str
    batch_size: int
    outputs: int


class Measured(NamedTuple):
    """The peak of a few steps."""

    measured_bytes: int
    precision: str
    device: str


class ShownNetwork(NamedTuple):
    """All that is shown of a network."""

    model: str
    image: tuple[int, int, int]
    num_classes: int
    layers: list[Layer]
    parameters: ParameterCount
    macs: int
    memory: Memory
    measured: Measured | None = None
    rehearsals: Sequence[Rehearsal] = ()
    accumulate: BatchParts | None = None

    def plain(self) -> dict[str, object]:
        """Give it as JSON has it."""
        values = self._asdict()
        measured = values.pop("measured")
        on_gpu = {rehearsal.precision: rehearsal.plain() for rehearsal in self.rehearsals}
        values.pop("rehearsals")
        chosen = self.accumulate
        return {
            **values,
            "layers": [layer._asdict() for layer in self.layers],
            "parameters": self.parameters._asdict(),
            "memory": self.memory._asdict() | (measured._asdict() if measured else {}),
            "on_gpu": on_gpu,
            "accumulate": None if chosen is None else chosen._asdict(),
        }


def summarize(config: Config, facts: DatasetInfo, *, steps: int) -> ShownNetwork:
    """Build a network, and say what it is made of.

    Args:
        config: With it.
        facts: Of the data set.
        steps: To train for the peak of the memory; 0 measures none. The optimizer's state is there
            after the first.

    Raises:
        UserError: It does not take the images, or cannot be measured here.
    """
    chosen = _parts_here(config)
    config = config if chosen is None else in_parts(config, chosen.parts)
    size = config.dataset.input_size or facts.size
    image = (facts.channels, size, size)
    model = _build(config, facts, "meta")
    layers = _walk(model, image)
    parameters = count_parameters(model)
    return ShownNetwork(
        model=type(model).__name__,
        image=image,
        num_classes=facts.num_classes,
        layers=layers,
        parameters=parameters,
        macs=sum(layer.macs for layer in layers),
        memory=_memory(config, parameters.trainable, count_outputs(layers, image)),
        measured=_measure(config, facts, steps) if steps else None,
        rehearsals=_rehearse(config, facts),
        accumulate=chosen,
    )


def _parts_here(config: Config) -> BatchParts | None:
    """Choose for `auto` what a run would that begins here now; None for what is given."""
    if config.train.accumulate != "auto":
        return None
    try:
        device = choose_device(config.device)
    except UserError:  # a GPU that is not here, which can be planned for
        return BatchParts(1)
    precision = choose_precision(config.precision, device, gains=gains(config))
    return choose_parts(config, device, precision, predicted)


def _rehearse(config: Config, facts: DatasetInfo) -> Sequence[Rehearsal]:
    """Do the run's step without computing it, if it can be done so."""
    try:
        return rehearse(config, facts, precisions(config))
    except UserError as error:
        log.warning("%s", error)
        return ()


def _build(config: Config, facts: DatasetInfo, device: torch.device | str) -> nn.Module:
    with torch.device(device):
        return forward.Network.of(config, facts).build()


def _walk(model: nn.Module, image: tuple[int, int, int]) -> list[Layer]:
    try:
        return walk(model, image)
    except (RuntimeError, TypeError, ValueError) as error:  # a network of the user's own
        raise UserError(
            f"{type(model).__name__} does not take images of {times(image)}: {first_line(error)}"
        ) from error


def _memory(config: Config, parameters: int, outputs: int) -> Memory:
    optimizer = settings(config.optimizer)
    copies = state_copies(optimizer)
    batch_size = config.train.images_at_a_time
    return Memory(
        predicted_bytes=copies and predicted_bytes(parameters, outputs, batch_size, copies),
        copies=copies,
        optimizer=optimizer["_target_"].rpartition(".")[2],
        batch_size=batch_size,
        outputs=outputs,
    )


def _measure(config: Config, facts: DatasetInfo, steps: int) -> Measured:
    """Train as a run would, on random images; say what the device held at the most."""
    device = choose_device(config.device)
    if device.type != "cuda":
        raise UserError(
            f"--measure needs CUDA, and device={config.device} is the CPU here; "
            "leave it out for the prediction alone"
        )
    precision = choose_precision(config.precision, device, gains=gains(config))
    make_deterministic(deterministic=config.train.deterministic)
    try:
        peak = _peak(config, facts, device, precision, steps)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"train.batch_size={config.train.batch_size} does not fit into the memory of "
            f"{describe(device)}; set a smaller one, or train.accumulate=auto"
        ) from error
    return Measured(peak, precision, describe(device))


def _peak(
    config: Config, facts: DatasetInfo, device: torch.device, precision: str, steps: int
) -> int:
    data = _random_data(config, facts)
    layout = memory_format(channels_last=config.train.channels_last)
    model = _build(config, facts, device).to(memory_format=layout)  # no init: any values
    with warnings.catch_warnings(action="ignore"):  # of the schedule, which is not what is measured
        _, step = make_state(config, model, data, device, precision)
    batch_size = config.train.batch_size
    images = torch.rand(batch_size, data.channels, data.size, data.size, device=device)
    images = images.to(memory_format=layout)
    labels = torch.randint(facts.num_classes, (batch_size,), device=device)
    torch.cuda.reset_peak_memory_stats(device)
    for _ in range(steps):
        step(images, labels)
    return peak_memory(device)


def _random_data(config: Config, facts: DatasetInfo) -> Data:
    """Stand in for the data set: as many labels as it has, and one image."""
    size = config.dataset.input_size or facts.size
    image = torch.zeros(1, facts.channels, size, size, dtype=torch.uint8)
    part = Labelled(image, torch.zeros(facts.train_images, dtype=torch.int64))
    return stand_in(facts, part, size=size, normalize="none")
