"""Experiments' steps, captured against eager on made images: a line of JSON for each.

python -m benchmarks.check_steps --device cuda lenet5_mnist vgg11_mnist
python -m benchmarks.check_steps --at-once 16 lenet5_mnist vgg11_mnist …
"""

import argparse
import gc
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import islice
from typing import Any

import torch

import etude
from benchmarks import machine
from benchmarks.made import advance, finished, made
from etude.base.errors import UserError
from etude.data.batch import Gathered, Split
from etude.train.graph import Captured, Epoch, whole_step
from etude.train.state import State
from etude.train.step import Eager, Step

STEPS = 8  # three before the capture, the last one of an epoch smaller than the others
LARGE = 64  # side of an image from which on a batch has few


def words_of(experiment: str, device: str) -> list[str]:
    """Give an experiment's words for steps that must agree to the bit."""
    return [
        f"experiment={experiment}",
        f"device={device}",
        "precision=float32",
        "train.compile=false",
        "train.step=eager",
        "train.epochs=1000",
    ]


def check(experiment: str, device: str) -> dict[str, Any]:
    """Train an experiment's network eagerly and captured; compare losses and weights."""
    start = time.monotonic()
    try:
        pairs = [_trained(experiment, device, captured=way) for way in (False, True)]
    except (UserError, RuntimeError, ValueError) as error:
        problem = f"{type(error).__name__}: {error}".partition("\n")[0]
        return {"experiment": experiment, "same": False, "problem": problem}
    eager, captured = pairs
    return {
        "experiment": experiment,
        "same": torch.equal(eager, captured),
        "difference": float((eager - captured).abs().max()),
        "finite": bool(eager.isfinite().all()),
        "seconds": time.monotonic() - start,
    }


def _trained(experiment: str, device: str, *, captured: bool) -> torch.Tensor:
    words = words_of(experiment, device)
    config = etude.compose(words)
    size = config.dataset.input_size or 0
    batch = 4 if size > LARGE else 16
    config = etude.compose([*words, f"train.batch_size={batch}", "train.accumulate=1"])
    parts = made(config, 4 * batch - 2)
    capture = AtOnce if device == "cpu" else Captured
    steps = capture(parts.step) if captured else Eager(parts.step)
    losses = [loss.clone() for loss in islice(advance(parts, steps), STEPS)]
    finished(parts)
    weights = [weight.detach().reshape(-1) for weight in parts.state.model.parameters()]
    return torch.cat([torch.stack(losses), *weights]).cpu()


class AtOnce:
    """What is captured on a GPU, done one after the other on a CPU.

    Args:
        step: What is done with each batch.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._epoch: Epoch | None = None

    def begin(self, state: State, images: Split, *, seed: int, batch_size: int) -> None:
        """Take up what is left of the epoch under way."""
        assert isinstance(images, Gathered)  # noqa: S101
        if self._epoch is None:
            self._epoch = Epoch.of(state, images, seed, batch_size)
        self._epoch.begin(state, seed)

    def advance(self, state: State) -> None:
        """Do the next step, and note what it saw."""
        assert self._epoch is not None, "begin comes first"  # noqa: S101
        state.set_rate()  # a CPU's optimizers take no rate from a tensor
        done = state.step * self._epoch.batch_size
        whole_step(
            self._epoch,
            self._step,
            state,
            min(self._epoch.batch_size, len(self._epoch.images) - done),
        )
        state.step_done()


def check_and_forget(experiment: str, device: str) -> dict[str, Any]:
    """Check an experiment, and leave its memory to the next."""
    told = check(experiment, device)
    gc.collect()  # graphs and their networks hold each other
    if device == "cuda":
        torch.cuda.empty_cache()
    return told


def check_all(experiments: Sequence[str], device: str, at_once: int) -> Iterator[dict[str, Any]]:
    """Check experiments in so many processes, each of which takes the next one when it is done."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=spawn) as pool:
        tasks = [pool.submit(check_and_forget, name, device) for name in experiments]
        for task in as_completed(tasks):
            yield task.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--at-once", type=int, default=1, help="processes")
    parser.add_argument("experiments", nargs="+")
    chosen = parser.parse_args()
    machine.require(chosen.device)
    for told in check_all(chosen.experiments, chosen.device, chosen.at_once):
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
