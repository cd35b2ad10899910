"""An experiment: K networks trained as one program, beside one after the other.

Parameters and buffers of K networks that differ in their seeds are stacked and mapped over by
`torch.func.vmap`; one SGD updates all of them. In float64 each must equal its sequential twin.

    python -m benchmarks.stacked
    python -m benchmarks.stacked --device cuda --precision bfloat16 --models 16
"""

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional

from benchmarks import machine, tables
from benchmarks.contestants.bare import captured
from benchmarks.statistics_of import Spread, ratios
from etude.models.lenet import LeNet5
from etude.models.resnet_cifar import ResNetSmall
from etude.train.hardware import autocast, synchronize

CHECKED_STEPS = 20
WORST = 1e-12
ROUNDS = 5
# Network, shape of its images, steps of a turn on the CPU and on a GPU, where a step one by one is
# 16 eager ones of 4 to 16 ms.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int], dict[str, int]]] = {
    "LeNet": (lambda: LeNet5(1, 10, input_size=28), (1, 28, 28), {"cpu": 5, "cuda": 10}),
    "ResNet-20": (lambda: ResNetSmall(3, 10, depth=20), (3, 32, 32), {"cpu": 1, "cuda": 2}),
}


class Batches(NamedTuple):
    """A batch for each of K networks: images (K, N, C, H, W) and labels (K, N)."""

    images: Tensor
    labels: Tensor


def make_models(make: Callable[[], nn.Module], count: int, like: Tensor) -> list[nn.Module]:
    """Build networks that differ in their seed, with the dtype and device of a tensor."""
    models: list[nn.Module] = []
    for seed in range(count):
        torch.manual_seed(seed)
        models.append(make().to(like))
    return models


def make_batches(shape: tuple[int, int, int], count: int, size: int, like: Tensor) -> Batches:
    """Draw a batch for each network."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, size, *shape, generator=generator).to(like)
    labels = torch.randint(10, (count, size), generator=generator).to(like.device)
    return Batches(images, labels)


def optimizer_over(parameters: Any) -> torch.optim.Optimizer:
    """Give SGD as for ResNet-20."""
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4)


def one_by_one(models: list[nn.Module], batches: Batches, precision: str) -> Callable[[], None]:
    """Give a step of each network in turn."""
    optimizers = [optimizer_over(model.parameters()) for model in models]
    device = batches.images.device

    def step() -> None:
        for model, optimizer, images, labels in zip(models, optimizers, *batches, strict=True):
            with autocast(precision, device):
                logits = model(images)
            functional.cross_entropy(logits.to(batches.images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()

    return step


def stacked(
    models: list[nn.Module], batches: Batches, precision: str
) -> tuple[Callable[[], None], dict[str, Tensor]]:
    """Give a step of all networks at once, and their stacked parameters, (K, ...) each."""
    parameters, buffers = stack_module_state(models)
    template = models[0].to("meta")
    optimizer = optimizer_over(parameters.values())
    device = batches.images.device

    def logits_of(parameters: Any, buffers: Any, images: Tensor) -> Tensor:
        return functional_call(template, (parameters, buffers), (images,))

    def step() -> None:
        with autocast(precision, device):
            logits = vmap(logits_of)(parameters, buffers, batches.images)
        losses = vmap(functional.cross_entropy)(logits.to(batches.images), batches.labels)
        losses.sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step, parameters


def difference(name: str, count: int, device: str) -> float:
    """Train both ways in float64; give the largest difference of any weight."""
    make, shape, _ = NETWORKS[name]
    like = torch.empty(0, dtype=torch.float64, device=device)
    batches = make_batches(shape, count, 16, like)
    twins = make_models(make, count, like)
    apart = one_by_one(twins, batches, "float32")
    together, parameters = stacked(make_models(make, count, like), batches, "float32")
    for _ in range(CHECKED_STEPS):
        apart()
        together()
    ones = [dict(twin.named_parameters()) for twin in twins]
    return max(
        float((value - torch.stack([one[key] for one in ones])).detach().abs().max())
        for key, value in parameters.items()
    )


def speedup(name: str, chosen: argparse.Namespace, *, capture: bool) -> Spread:
    """Alternate both ways; give seconds one after the other ÷ seconds together."""
    make, shape, steps = NETWORKS[name]
    like = torch.empty(0, device=chosen.device)
    batches = make_batches(shape, chosen.models, chosen.batch_size, like)
    apart = one_by_one(make_models(make, chosen.models, like), batches, chosen.precision)
    together, _ = stacked(make_models(make, chosen.models, like), batches, chosen.precision)
    ways = [captured(way) if capture else way for way in (apart, together)]
    turns: list[list[float]] = [
        [_seconds(way, steps[chosen.device], like.device) for way in ways]
        for _ in range(ROUNDS + 1)
    ]
    slow, fast = zip(*turns[1:], strict=True)  # the first warms up
    return ratios(slow, fast)


def _seconds(step: Callable[[], None], steps: int, device: torch.device) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        step()
    synchronize(device)
    return time.perf_counter() - start


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--models", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=128)
    return parser.parse_args()


def main() -> None:
    chosen = _options()
    machine.require(chosen.device)
    torch.set_num_threads(1)
    told: dict[str, Any] = {}
    for name in NETWORKS:
        told[name] = {"worst_difference": difference(name, 3, chosen.device)}
        for capture in (False, True) if chosen.device == "cuda" else (False,):
            way = "captured" if capture else "eager"
            told[name][way] = speedup(name, chosen, capture=capture)._asdict()
    text = show(told, chosen)
    print(text)
    results = {"options": vars(chosen), "networks": told}
    tables.save("stacked", results, text, device=chosen.device)


def show(told: dict[str, Any], chosen: argparse.Namespace) -> str:
    """Lay the results out."""
    lines = [
        [
            f"{name}, {way}",
            "{median:.2f} ({low:.2f}–{high:.2f})".format(**each[way]),
            f"{each['worst_difference']:.0e}",
            tables.MARKS[each["worst_difference"] <= WORST],
        ]
        for name, each in told.items()
        for way in ("eager", "captured")
        if way in each
    ]
    head = ["network", "one after the other ÷ stacked", "worst difference", f"≤ {WORST:g}"]
    title = f"### {chosen.models} networks stacked, {chosen.precision}, batch {chosen.batch_size}"
    return f"{title}\n\n{tables.table(head, lines)}\n"


if __name__ == "__main__":
    main()
