"""A row's network and optimizer, as Étude builds them, for the loops that are not Étude's."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.rows import Row
from etude.cli.compose import composing
from etude.config import Config, settings, source_of
from etude.data.sides import Sides
from etude.train.builders import make_model, make_state
from etude.train.hardware import choose_device


class Part(NamedTuple):
    """As much of a split as a network and its schedule ask about: shape and number."""

    images: Tensor
    labels: range


class Shape(NamedTuple):
    """As much of a data set as a network and its schedule ask about: a batch of nothing."""

    train: Part
    channels: int
    classes: range
    size: int


class Network(NamedTuple):
    """A network in training mode, with its optimizer and the layout of its input."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    layout: torch.memory_format
    device: torch.device


def compose(row: Row, *, device: str, precision: str, step: str = "eager") -> Config:
    """Compose a row's configuration."""
    return compose_words(row.etude_words(device=device, precision=precision, step=step))


def compose_words(words: list[str]) -> Config:
    """Compose a configuration as the command would; PyTorch keeps to one thread from here on."""
    torch.set_num_threads(1)
    with composing() as composer:
        (job,) = composer.run(words).jobs
    return job.config


def shape_of(config: Config) -> Shape:
    """Tell the shape of a data set's images without loading them."""
    facts = source_of(config).facts()
    dataset = settings(config.dataset)
    sides = Sides.of(facts.size, input_size=dataset["input_size"], load_size=dataset["load_size"])
    count = config.train.batch_size
    images = torch.empty(count, facts.channels, sides.kept, sides.kept, device="meta")
    train = Part(images, range(count))
    return Shape(train, facts.channels, range(facts.num_classes), sides.seen)


def make_network(config: Config) -> Network:
    """Build the network, and the very optimizer that Étude would use, over plain parameters."""
    device = choose_device(config.device)
    shape: Any = shape_of(config)
    model = make_model(config, shape, device).train()
    state, _ = make_state(config, model, shape, device, "float32")
    theirs = state.optimizer
    decayed = any(group["weight_decay"] for group in theirs.param_groups)
    # What is not decayed needs a group of its own; else users have one.
    params = [
        {"params": group["params"], "weight_decay": group["weight_decay"]}
        for group in theirs.param_groups
    ]
    optimizer = type(theirs)(params if decayed else model.parameters(), **theirs.defaults)
    layout = torch.channels_last if config.train.channels_last else torch.contiguous_format
    return Network(model, optimizer, layout, device)


def fixed_batch(network: Network, arrays: Path) -> tuple[Tensor, Tensor]:
    """Read the batch that `benchmarks.pictures` has written, and nothing else of the data set."""
    with np.load(arrays) as written:
        images, labels = (torch.from_numpy(written[key]) for key in ("batch", "batch_labels"))
    return images.to(network.device, memory_format=network.layout), labels.to(network.device)
