"""Steps a second of one network on a GPU: Étude's, the bare step's, the DataLoader idiom's.

python -m benchmarks.check_speed lenet vgg11            a line of JSON for each
python -m benchmarks.check_speed lenet --compile-only   fill the compiler's cache, time nothing

The images are made, so that no data set is needed; every contestant trains the same network.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms.v2.functional import to_pil_image

from benchmarks.contestants.bare import captured
from benchmarks.made import Made, advance, compose, finished, made
from benchmarks.pictures import AUGMENTS, ERASE
from benchmarks.rows import ROWS
from etude.train.builders import make_steps
from etude.train.compiler import one_kernel
from etude.train.hardware import autocast

ROUNDS = 3
IMAGES = 12_850  # the last batch of an epoch is a smaller one
WORKERS = 8


def words_of(row: str, device: str, *more: str) -> list[str]:
    """Give a row's words, its data set's folder apart."""
    own = [word for word in ROWS[row].words if not word.startswith("dataset")]
    if row in ("vgg19", "resnet20"):
        own.append("dataset=cifar10")
    return [*own, f"device={device}", "train.batch_size=128", "train.epochs=1000000", *more]


def ours(row: str, device: str, images: int, *more: str) -> tuple[Made, Iterator[Tensor]]:
    """Give Étude's parts, and its steps one by one."""
    config = compose(words_of(row, device, *more))
    parts = made(config, images)
    return parts, advance(parts, make_steps(config, parts.step, parts.state.device))


def bare(row: str, device: str, images: int) -> Callable[[], object]:
    """Give the bare step over one batch: compiled and captured where there is a GPU."""
    parts = made(compose(words_of(row, device)), images)
    state, plan = parts.state, parts.plan
    state.model.train()
    batch = next(plan.train.epoch(0, 0, plan.batch_size))
    fast = device == "cuda"
    model: Callable[[Tensor], Tensor] = torch.compile(state.model) if fast else state.model
    optimizer = state.optimizer
    update: Callable[[], object] = optimizer.step
    if fast:
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(group["lr"], device=device)
        update = optimizer.step if one_kernel(optimizer) else torch.compile(optimizer.step)

    def step() -> None:
        with autocast(plan.precision, state.device):
            loss = functional.cross_entropy(model(batch.images).float(), batch.labels)
        loss.backward()
        update()
        optimizer.zero_grad()

    if not fast:
        return step
    replay = captured(step)

    def replayed() -> object:
        replay()
        return step  # which keeps the memory that the graph works on

    return replayed


class Pictures(Dataset[tuple[Any, int]]):
    """Made images, each prepared by itself, as torchvision's data sets do it."""

    def __init__(self, images: Tensor, augment: str) -> None:
        erase = [ERASE] if augment.endswith("erase") else []
        self._images = images
        self._transform = transforms.Compose([*AUGMENTS[augment], transforms.ToTensor(), *erase])

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self._transform(to_pil_image(self._images[index])), index % 10

    def __len__(self) -> int:
        return len(self._images)


def idiom(row: str, device: str, images: int, workers: int) -> Iterator[float]:
    """Give the DataLoader idiom's steps in float32, eager, the loss read after each."""
    parts = made(compose(words_of(row, device, "precision=float32", "train.step=eager")), images)
    model: nn.Module = parts.state.model.train()
    side = next(parts.plan.train.epoch(0, 0, 1)).images.shape[1:]
    data = Pictures(torch.randint(256, (images, *side), dtype=torch.uint8), ROWS[row].augment)
    loader = DataLoader(data, 128, shuffle=True, num_workers=workers, pin_memory=device == "cuda",
                        persistent_workers=workers > 0)  # fmt: skip
    optimizer = parts.state.optimizer
    while True:
        for pictures, labels in loader:
            loss = functional.cross_entropy(
                model(pictures.to(device, non_blocking=True)), labels.to(device, non_blocking=True)
            )
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            yield loss.item()


def rate(step: Callable[[], object], finish: Callable[[], None], seconds: float) -> float:
    """Do steps for so long; give how many a second."""
    start, done = time.perf_counter(), 0
    while True:
        for _ in range(10):
            step()
        finish()
        done += 10
        if (passed := time.perf_counter() - start) >= seconds:
            return done / passed


def measure(row: str, device: str, images: int, seconds: float, workers: int) -> dict[str, Any]:
    """Let all take turns; give the median of each one's rates."""
    auto, auto_steps = ours(row, device, images)
    eager, eager_steps = ours(row, device, images, "train.step=eager")
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
    rates: dict[str, list[float]] = {name: [] for name in each}
    for step in each.values():
        rate(step, lambda: finished(eager), seconds / 4)
    for _ in range(ROUNDS):
        for name, step in each.items():
            rates[name].append(rate(step, lambda: finished(eager), seconds))
    told: dict[str, Any] = {name: median(values) for name, values in rates.items()}
    return {"row": row, "seconds_of_the_first_six": first,
            "compiled": auto.state.compiler.on, **told}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="+", choices=ROWS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--seconds", type=float, default=0.7, help="of each turn")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--compile-only", action="store_true")
    chosen = parser.parse_args()
    for row in chosen.rows:
        if chosen.compile_only:
            compile_for(row, chosen.device, chosen.images)
        else:
            how = chosen.device, chosen.images, chosen.seconds, chosen.workers
            print(json.dumps(measure(row, *how)), flush=True)


def compile_for(row: str, device: str, images: int) -> None:
    """Do a few steps, so that the compiler's cache has their kernels."""
    parts, steps = ours(row, device, images)
    list(islice(steps, 6))
    bare(row, device, images)()
    finished(parts)


if __name__ == "__main__":
    main()
