"""What a run leaves to be chosen by its device and its network: what is captured and compiled.

A choice follows from the configuration and the kind of the device, so that one command means one
run.
"""

import logging
from collections.abc import Sequence

import torch
from torch import nn

from etude.config import Config
from etude.data.prepare import Data
from etude.data.sources.files import Files
from etude.train.compiler import one_kernel
from etude.train.graph import obstacle
from etude.train.memory import count_parameters, walk
from etude.train.outlook import Outlook
from etude.train.trained import network_for

log = logging.getLogger(__name__)

_EVALUATED = 256  # images at a time, where nothing else is known


def may_capture(config: Config, device: torch.device) -> bool:
    """Say whether steps and evaluations are captured, where they can be."""
    return device.type == "cuda" and config.train.step != "eager"


def choose_eval_batch_size(config: Config, data: Data, device: torch.device) -> int:
    """Take as many images as configured; `auto`, on a GPU, those that memory is there for."""
    given = config.train.eval_batch_size
    if given != "auto":
        return int(given)
    if device.type == "cpu":
        return _EVALUATED
    validated = 0 if data.validation is None else len(data.validation.labels)
    images = max(validated, len(data.test.labels))
    return eval_batch_size_of(_outlook(config, data), images)


def eval_batch_size_of(outlook: Outlook | None, images: int) -> int:
    """Give what `auto` is on a GPU, for splits of at most so many images."""
    return min(_EVALUATED, images) if outlook is None else outlook.evaluated(images)


def choose_compiled(
    config: Config,
    data: Data,
    device: torch.device,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> bool:
    """Choose for a run that begins; one that goes on has its checkpoint's choice."""
    if config.train.compile != "auto":
        return config.train.compile == "true"
    streamed = isinstance(data.train.images, Files)
    if not may_capture(config, device):
        return False
    if obstacle(optimizer, scaler, streamed=streamed):
        return False
    outlook = _outlook(config, data)
    steps = -(-len(data.train.labels) // config.train.batch_size) * config.epochs
    return outlook is not None and outlook.worth_compiling(steps, one_kernel=one_kernel(optimizer))


def choose_smallest_part(config: Config, data: Data) -> int:
    """Give the fewest images that a part of a batch may have: 2 where one is too few to learn from.

    Where no batch is divided nothing is tried: preflight looks after the last batch itself.
    """
    if config.train.parts == 1:
        return 1
    image = data.channels, data.size, data.size
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            sizes = {"channels": data.channels, "classes": len(data.classes), "size": data.size}
            return 1 + needs_two(network_for(config, **sizes), image)
    except (RuntimeError, TypeError, ValueError) as error:  # a network of the user's own
        log.debug("one image was not tried: %s", error)
        return 1


def needs_two(model: nn.Module, image: Sequence[int]) -> bool:
    """Say whether a network's batch norm has nothing to average over in one image.

    Args:
        model: On the meta device.
        image: (C, H, W).

    Raises:
        RuntimeError: It needs values, not shapes alone.
    """
    try:
        model.train()(torch.empty(1, *image, device="meta"))
    except ValueError as error:
        if "more than 1 value per channel" in str(error):
            return True
        raise
    return False


def _outlook(config: Config, data: Data) -> Outlook | None:
    return outlook_of(config, channels=data.channels, classes=len(data.classes), size=data.size)


def outlook_of(config: Config, *, channels: int, classes: int, size: int) -> Outlook | None:
    """Walk through the network without computing it; None for one that needs values."""
    image = channels, size, size
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            sizes = {"channels": channels, "classes": classes, "size": size}
            model = network_for(config, **sizes)
            layers = walk(model, image)
    except (RuntimeError, TypeError, ValueError) as error:  # a network of the user's own
        log.debug("the network was not walked through: %s", error)
        return None
    at_a_time = config.train.images_at_a_time
    return Outlook(layers, image, count_parameters(model).trainable, at_a_time)
