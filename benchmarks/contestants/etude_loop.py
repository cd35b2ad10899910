"""Étude's own loop over real data: every turn is an epoch of `loop.fit`, evaluation apart."""

from collections.abc import Iterator
from typing import Any

import torch

import etude
from benchmarks.network import compose
from benchmarks.referee import Referee, options
from etude.config import Config
from etude.train.builders import load_data, make_model, make_plan, make_state, make_steps
from etude.train.hardware import choose_device, make_deterministic, peak_memory
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
    device = choose_device(config.device)
    make_deterministic(deterministic=config.train.deterministic)
    data = load_data(config)
    model = make_model(config, data, device)
    state, step = make_state(config, model, data, device, precision)
    plan = make_plan(config, data, device, precision)
    without: Any = NoCheckpoints()
    steps = make_steps(config, step, state.device)
    epochs = fit(state, steps, plan, checkpoints=without, stop=Stop(), display=NoDisplay())
    return epochs, device


def main() -> None:
    row, chosen = options()
    config = compose(row, device=chosen.device, precision=chosen.precision, step=chosen.step)
    epochs, device = epochs_of(config, chosen.precision)
    referee = Referee(None, lambda: peak_memory(device))
    referee.ready(versions={"etude": etude.__version__, "torch": torch.__version__})
    referee.serve(lambda: next(epochs))


if __name__ == "__main__":
    main()
