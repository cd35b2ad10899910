"""RMSprop as TensorFlow 1 wrote it, with which the Inception networks were trained."""

# PyTorch documents its operations on lists of tensors under names with an underscore.
# pyright: reportPrivateUsage=false

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT


class TensorFlowRMSprop(torch.optim.Optimizer):
    """RMSprop with ε inside of the root, a first mean square of 1, and the rate in the momentum.

    TensorFlow's kernel does, with g the gradient,

        s = s + (1 - ρ)·(g² - s)        s = 1 before the first step
        v = μ·v + lr·g / √(s + ε)       v = 0 before the first step
        w = w - v

    PyTorch's has √s + ε, s = 0 at first, and applies the rate to v: with the ε of 1 that Inception
    v3's paper gives (section 8) the two have little in common. No release of PyTorch has this one.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate.
        alpha: ρ, the decay of the mean square.
        eps: ε.
        momentum: μ; 0 keeps no v.
        weight_decay: The gradient gains `weight_decay * w`.

    Raises:
        ValueError: A number is out of its range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 0.045,
        alpha: float = 0.9,
        eps: float = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
    ) -> None:
        for name, value, fits in (
            ("lr", lr, lr >= 0),
            ("alpha", alpha, 0 <= alpha < 1),
            ("eps", eps, eps > 0),
            ("momentum", momentum, 0 <= momentum < 1),
            ("weight_decay", weight_decay, weight_decay >= 0),
        ):
            if not fits:
                raise ValueError(f"{name}={value} is out of range for TensorFlow's RMSprop")
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "momentum": momentum,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(  # pyright: ignore[reportIncompatibleMethodOverride] (torch's is overloaded)
        self, closure: Callable[[], float] | None = None
    ) -> float | None:
        """Update the parameters once; return what `closure` returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters: list[Tensor] = [p for p in group["params"] if p.grad is not None]
            if parameters:
                self._update(parameters, group)
        return loss

    def _update(self, parameters: list[Tensor], group: Mapping[str, Any]) -> None:
        """Update a group, all of its parameters at once in each operation."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if group["weight_decay"]:
            gradients = torch._foreach_add(gradients, parameters, alpha=group["weight_decay"])
        squares = [self._kept(p, "mean_square", 1.0) for p in parameters]
        torch._foreach_mul_(squares, group["alpha"])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["alpha"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        updates = torch._foreach_div(gradients, roots)
        torch._foreach_mul_(updates, group["lr"])
        if group["momentum"]:
            velocities = [self._kept(p, "velocity", 0.0) for p in parameters]
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, updates)
            updates = velocities
        torch._foreach_sub_(parameters, updates)

    def _kept(self, parameter: Tensor, name: str, first: float) -> Tensor:
        """Give a parameter's state of this name, made at its first step."""
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.full_like(parameter, first, memory_format=torch.preserve_format)
        return state[name]
