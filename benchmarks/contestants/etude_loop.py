"""Étude's own loop over real data: every turn is an epoch of `loop.fit`, evaluation apart."""

from collections.abc import Iterator
from typing import Any

import torch

import etude
from benchmarks.network import compose
from benchmarks.referee import Referee, options
from etude.config import Config
from etude.train.bfloat16_gains import gains
from etude.train.builders import make_parts
from etude.train.hardware import choose_precision, peak_memory
from etude.train.loop import fit
from etude.train.state import State
from etude.train.stop import Stop


class NoCheckpoints:
    """Never due."""

    def due(self, _step: int) -> bool:
        """Say no."""
        return False

    def save(self, _state: dict[str, Any]) -> None:
        """Refuse."""
        raise AssertionError("a checkpoint was not due")


class NoDisplay:
    """Shows nothing."""

    def step(self, _state: State) -> None:
        """Do nothing."""


def epochs_of(config: Config, precision: str) -> tuple[Iterator[dict[str, Any]], torch.device]:
    """Make a run's parts as a run does; each item of the iterator is an epoch's metrics."""
    state, steps, plan, *_ = make_parts(config, precision)
    without: Any = NoCheckpoints()
    epochs = fit(state, steps, plan, checkpoints=without, stop=Stop(), display=NoDisplay())
    return epochs, state.device


def main() -> None:
    row, chosen = options(__doc__)
    config = compose(row, device=chosen.device, precision=chosen.precision, step=chosen.step)
    epochs, device = epochs_of(config, chosen.precision)
    auto = choose_precision("auto", device, gains=gains(config)) == chosen.precision
    referee = Referee(None, lambda: peak_memory(device))
    referee.ready(versions={"etude": etude.__version__, "torch": torch.__version__}, auto=auto)
    referee.serve(lambda: next(epochs))


if __name__ == "__main__":
    main()
