"""Steps that float16's scaling skips, as their gradients overflowed: nobody counts them as updates.

That a step is skipped is known on the device alone, and optimizers with a fused kernel are called
nevertheless. So who counts updates counts there. A learning rate's schedule goes by batches,
skipped or not, as all of an epoch's rates are known before it begins.
"""

from typing import Any

import torch
from torch import Tensor


class Updates:
    """Count an optimizer's updates on their device.

    Args:
        optimizer: Stepped by a `GradScaler`.
        device: Where its parameters are.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device) -> None:
        self.count = torch.zeros((), dtype=torch.float64, device=device)
        self._made = torch.zeros_like(self.count)
        optimizer.register_step_post_hook(self._stepped)

    def _stepped(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """Note whether it was an update; a class that extends another's step comes here twice."""
        found_inf: Tensor | None = getattr(optimizer, "found_inf", None)
        self._made.fill_(1) if found_inf is None else self._made.copy_(1 - found_inf)

    def made(self) -> Tensor:
        """Count the step that was just done: 1 if there was an update, else 0, () float64."""
        made = self._made.clone()
        self.count += made
        self._made.zero_()  # an optimizer without a fused kernel is not even called
        return made


def begin_velocities(optimizer: torch.optim.Optimizer) -> None:
    """Give SGD's velocities their first value, which PyTorch leaves to a first step.

    Its fused kernel takes memory as it finds it for the velocity, to be written by the first step;
    where that one is skipped, what happened to be there would become the velocity.
    """
    if not isinstance(optimizer, torch.optim.SGD):
        return
    for group in optimizer.param_groups:
        parameters: list[Tensor] = group["params"] if group["momentum"] else []
        for parameter in parameters:
            state: dict[str, Any] = optimizer.state[parameter]
            state["momentum_buffer"] = torch.zeros_like(parameter)
