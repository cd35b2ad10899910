"""The bare step: forward, backward and update on one fixed batch, as any PyTorch user writes it."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.network import Network, compose, fixed_batch, make_network
from benchmarks.rate import step_flops
from benchmarks.referee import Referee, options
from etude.base.allocator import keep_memory
from etude.train.hardware import make_deterministic, peak_memory, synchronize


def bare_step(
    network: Network, images: Tensor, labels: Tensor, precision: str
) -> Callable[[], None]:
    """Give the step over one batch."""
    dtype = torch.bfloat16 if precision == "bfloat16" else None

    def step() -> None:
        with torch.autocast(network.device.type, dtype=dtype, enabled=dtype is not None):
            loss = functional.cross_entropy(network.model(images), labels)
        loss.backward()
        network.optimizer.step()
        network.optimizer.zero_grad()

    return step


def captured(step: Callable[[], None]) -> Callable[[], None]:
    """Capture the step as a CUDA graph, after the three steps on a side stream that this needs."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def main() -> None:
    row, chosen = options(__doc__)
    config = compose(row, device=chosen.device, precision=chosen.precision, step=chosen.step)
    make_deterministic(deterministic=config.train.deterministic)
    keep_memory()  # as a run does: what is measured is the loop
    network = make_network(config)
    images, labels = fixed_batch(network, chosen.arrays)
    flops = step_flops(network.model, images)
    step = bare_step(network, images, labels, chosen.precision)
    if chosen.step == "graph":
        step = captured(step)

    def turn() -> None:
        for _ in range(row.steps):
            step()

    referee = Referee(lambda: synchronize(network.device), lambda: peak_memory(network.device))
    referee.ready(versions={"torch": torch.__version__}, step_flops=flops)
    referee.serve(turn)


if __name__ == "__main__":
    main()
