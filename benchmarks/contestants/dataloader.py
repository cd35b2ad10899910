"""The DataLoader idiom: a torchvision data set, transforms image by image, the loss every step."""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.nn import functional

from benchmarks.network import Network, compose, make_network
from benchmarks.pictures import loader
from benchmarks.referee import Referee, options
from etude.train.hardware import peak_memory, synchronize


def steps(network: Network, batches: Iterable[Any]) -> Iterator[float]:
    """Learn from batch after batch; each step gives its loss, read at once."""
    model, optimizer, layout, device = network
    for images, labels in batches:
        images = images.to(device, memory_format=layout, non_blocking=True)  # noqa: PLW2901
        labels = labels.to(device, non_blocking=True)  # noqa: PLW2901
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        yield loss.item()


def main() -> None:
    row, chosen = options(__doc__)
    config = compose(row, device=chosen.device, precision="float32")
    network = make_network(config)
    device = network.device
    batches = loader(config, row, chosen.workers)

    def turn() -> float:
        return sum(steps(network, batches)) / len(batches)

    referee = Referee(lambda: synchronize(device), lambda: peak_memory(device))
    referee.ready(versions={"torch": torch.__version__})
    referee.serve(turn)


if __name__ == "__main__":
    main()
