"""How much a step computes, and how fast the device multiplies matrices: what a share is of.

python -m benchmarks.rate cpu float32 bfloat16     one line of JSON: operations a second
"""

import argparse
import copy
import json
import time

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from etude.train.hardware import synchronize

SIDE = {"cpu": 2048, "cuda": 8192}
ROUNDS = 5


def step_flops(model: nn.Module, images: Tensor) -> int:
    """Count the operations of forward and backward: on the meta device, where it costs no time.

    Args:
        model: The network.
        images: A batch (N, C, H, W).
    """
    shadow = copy.deepcopy(model).to("meta")
    with FlopCounterMode(display=False) as counter:
        shadow(torch.empty_like(images, device="meta")).sum().backward()
    return counter.get_total_flops()


def matmul_flops_per_second(device: torch.device, precision: str) -> float:
    """Time a large product of square matrices in a precision; the best of some."""
    side = SIDE[device.type]
    left, right = torch.randn(2, side, side, device=device).to(getattr(torch, precision))
    seconds: list[float] = []
    for _ in range(ROUNDS):
        synchronize(device)
        start = time.perf_counter()
        torch.mm(left, right)
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    return 2 * side**3 / min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("device", choices=SIDE)
    parser.add_argument("precisions", nargs="+", choices=("float32", "bfloat16", "float16"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(chosen.device)
    print(json.dumps({p: matmul_flops_per_second(device, p) for p in chosen.precisions}))


if __name__ == "__main__":
    main()
