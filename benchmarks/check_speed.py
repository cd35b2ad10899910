"""Steps a second of one network on a GPU: Étude's, the bare step's, the DataLoader idiom's.

python -m benchmarks.check_speed lenet vgg11            a line of JSON for each
python -m benchmarks.check_speed lenet --compile-only   fill the compiler's cache, time nothing

The images are made, as many as the data set has, so that none is needed; every contestant trains
the same network. Étude's turns are of an epoch or more, which has an end and a beginning.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from statistics import median
from typing import Any

import torch
from torch import Tensor

import etude
from benchmarks import machine
from benchmarks.contestants.bare import bare_step, captured
from benchmarks.contestants.dataloader import steps
from benchmarks.made import Made, advance, facts_of, finished, made
from benchmarks.network import Network
from benchmarks.pictures import Pictures, loaded, transform_of
from benchmarks.rows import ROWS
from etude.train.builders import make_steps
from etude.train.compiler import one_kernel, use_cache
from etude.train.loop import StepRunner
from etude.train.replay import WARM_UP_STEPS

ROUNDS = 3
WORKERS = 8


def words_of(row: str, device: str, *more: str) -> list[str]:
    """Give a row's words, its data set's folder apart."""
    own = [word for word in ROWS[row].words if not word.startswith("dataset")]
    if row in ("vgg19", "resnet20"):
        own.append("dataset=cifar10")
    return [*own, f"device={device}", "train.batch_size=128", "train.epochs=1000000", *more]


def images_of(row: str, device: str) -> int:
    """Give how many images the row's data set is published with."""
    return facts_of(etude.compose(words_of(row, device))).train_images


def ours(row: str, device: str, images: int, *more: str) -> tuple[Made, StepRunner]:
    """Give Étude's parts, and what carries out their steps."""
    config = etude.compose(words_of(row, device, *more))
    parts = made(config, images)
    return parts, make_steps(config, parts.step, parts.state.device)


def after_last_batches(parts: Made, runner: StepRunner) -> Iterator[Tensor]:
    """Do the smaller last batch of as many epochs as come before its capture; give what follows."""
    for parts.state.epoch in range(1, 1 + WARM_UP_STEPS):
        parts.state.step = parts.state.steps - 1
        next(advance(parts, runner))
    parts.state.epoch, parts.state.step = 1 + WARM_UP_STEPS, 0
    return advance(parts, runner)


def bare(row: str, device: str, images: int) -> Callable[[], object]:
    """Give the bare step over one batch: compiled and captured where there is a GPU."""
    parts = made(etude.compose(words_of(row, device)), images)
    batch = next(parts.plan.train.epoch(0, 0, parts.plan.batch_size))
    network = network_of(parts)
    if device == "cuda":
        network = compiled(network)
    step = bare_step(network, batch.images, batch.labels, parts.plan.precision)
    if device != "cuda":
        return step
    replay = captured(step)

    def replayed() -> object:
        replay()
        return step  # which keeps the memory that the graph works on

    return replayed


def network_of(parts: Made) -> Network:
    """Give the network and its optimizer as the other loops take them."""
    model = parts.state.model.train()
    return Network(model, parts.state.optimizer, torch.channels_last, parts.state.device)


def compiled(network: Network) -> Network:
    """Compile a network and its update, which reads its rates from the device."""
    optimizer: Any = network.optimizer
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"], device=network.device)
    if not one_kernel(optimizer):
        optimizer.step = torch.compile(optimizer.step)
    model: Any = torch.compile(network.model)
    return network._replace(model=model)


def idiom(row: str, device: str, images: int, workers: int) -> Iterator[float]:
    """Give the DataLoader idiom's steps in float32, eager, the loss read after each."""
    words = words_of(row, device, "precision=float32", "train.step=eager")
    parts = made(etude.compose(words), images)
    channels, *side = next(parts.plan.train.epoch(0, 0, 1)).images.shape[1:]
    pixels = torch.randint(256, (images, *side, channels), dtype=torch.uint8).numpy()
    labels = [index % 10 for index in range(images)]
    dataset = Pictures(pixels, labels, transform_of(ROWS[row], None))
    batches = loaded(dataset, ROWS[row].on_cuda(), workers, device)
    while True:
        yield from steps(network_of(parts), batches)


def rate(
    step: Callable[[], object], finish: Callable[[], None], seconds: float, least: int = 0
) -> float:
    """Do steps for so long, and so many at least; give how many a second."""
    start, done = time.perf_counter(), 0
    while True:
        for _ in range(10):
            step()
        finish()
        done += 10
        if (passed := time.perf_counter() - start) >= seconds and done >= least:
            return done / passed


def measure(row: str, device: str, images: int, seconds: float, workers: int) -> dict[str, Any]:
    """Let all take turns; give the median of each one's rates."""
    begun = time.perf_counter()
    auto, runner = ours(row, device, images)
    eager, eager_runner = ours(row, device, images, "train.step=eager")
    auto_steps, eager_steps = advance(auto, runner), advance(eager, eager_runner)
    loaded = idiom(row, device, images, workers)
    each: dict[str, Callable[[], object]] = {
        "auto": lambda: next(auto_steps),
        "eager": lambda: next(eager_steps),
        "bare": bare(row, device, images),
        "dataloader": lambda: next(loaded),
    }
    start = time.perf_counter()
    list(islice(auto_steps, 6))
    finished(auto)
    first = time.perf_counter() - start
    auto_steps = after_last_batches(auto, runner)
    rates: dict[str, list[float]] = {name: [] for name in each}
    least = {"auto": auto.state.steps}
    for name, step in each.items():
        rate(step, lambda: finished(eager), seconds / 4, least.get(name, 0))
    prepared = time.perf_counter() - begun
    for _ in range(ROUNDS):
        for name, step in each.items():
            rates[name].append(rate(step, lambda: finished(eager), seconds, least.get(name, 0)))
    told: dict[str, Any] = {name: median(values) for name, values in rates.items()}
    return {"row": row, "seconds_of_the_first_six": first, "seconds_until_ready": prepared,
            "compiled": auto.state.compiler.on, **told}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="+", choices=ROWS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--seconds", type=float, default=0.7, help="of each turn")
    parser.add_argument("--images", type=int, help="default: the data set's")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--compile-only", action="store_true")
    chosen = parser.parse_args()
    machine.require(chosen.device)
    use_cache()  # before PyTorch's compiler takes a folder of its own, where nothing lies
    for row in chosen.rows:
        images = chosen.images or images_of(row, chosen.device)
        if chosen.compile_only:
            compile_for(row, chosen.device, images)
        else:
            how = chosen.device, images, chosen.seconds, chosen.workers
            print(json.dumps(measure(row, *how)), flush=True)


def compile_for(row: str, device: str, images: int) -> None:
    """Do a few steps, so that the compiler's cache has their kernels."""
    parts, runner = ours(row, device, images)
    list(islice(advance(parts, runner), 6))
    bare(row, device, images)()
    finished(parts)


if __name__ == "__main__":
    main()
