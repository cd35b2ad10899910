"""Whether networks can be built, and trained where they are to be: the checks that need PyTorch."""

import logging
import warnings
from collections.abc import Sequence

import torch
from torch import nn

from etude.base.errors import UserError
from etude.preflight import forward
from etude.preflight.checks import Inspected
from etude.preflight.forward import Network
from etude.train import weights
from etude.train.choices import needs_two
from etude.train.hardware import choose_device, choose_precision
from etude.train.optim.decay import decayed
from etude.train.test_time_views import check_test_views
from etude.train.trained import Trained

log = logging.getLogger(__name__)


def check(runs: Sequence[Inspected]) -> None:
    """Check that runs' devices are there, and that their networks take images and weights.

    Raises:
        UserError: One could not be trained.
    """
    for choices in {(c.device, c.precision, c.train.step) for c, *_ in runs}:
        _check_device(*choices)
    networks = {_question(run): (Network.of(run.config, run.facts), run) for run in runs}
    for network, run in networks.values():
        with torch.device("meta"), warnings.catch_warnings(action="ignore"):  # shapes only
            model = network.build()
        sides = run.sides
        check_test_views(model, run.config.train.test_crops, kept=sides.kept, seen=sides.seen)
        weights.check(model, run.weights)
        decayed(model, run.config.train.decay)
        _check_last_batch(run, network, model)
    forward.check([network for network, run in networks.values() if _is_foreign(run)])


def _question(run: Inspected) -> str:
    """Give all that a network's check depends on; many runs ask the same."""
    config, train = run.config, run.config.train
    network = (config.model, config.packages, config.dataset.input_size, run.facts, run.weights)
    trained = Trained.of(config), train.decay
    return repr((network, trained, train.test_crops, train.batch_size, run.sides, run.images))


def _is_foreign(run: Inspected) -> bool:
    """Whether Étude has no schema for the network, and so no test of it."""
    return isinstance(run.config.model, dict)


def _check_device(device: str, precision: str, step: str) -> None:
    chosen = choose_device(device)
    choose_precision(precision, chosen, gains=False)
    if step == "graph" and chosen.type != "cuda":
        raise UserError(f"train.step=graph needs CUDA, and device={device} is {chosen.type} here")


def _check_last_batch(run: Inspected, network: Network, model: nn.Module) -> None:
    """Refuse a batch of one image where batch norm would have nothing to average over.

    The model is on the meta device, where it is tried on one image.
    """
    size = run.config.train.batch_size
    if size > 1 and run.images % size != 1:
        return
    try:
        refused = needs_two(model, (network.channels, network.side, network.side))
    except RuntimeError as error:  # a network of one's own that needs values, not shapes alone
        log.debug("the last batch of one image was not tried: %s", error)
        return
    if refused:
        other = next(n for n in range(size + 1, run.images + 1) if run.images % n != 1)
        each = "every batch" if size == 1 else "the last batch"
        raise UserError(
            f"train.batch_size={size} leaves one image for {each}, and batch norm "
            f"needs two; set train.batch_size={other}"
        )
