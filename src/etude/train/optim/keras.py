"""Optimizers as Keras 2 wrote them.

SGD and Adam differ from PyTorch's at one point each, and have a class here. Keras's Adadelta and
RMSprop are `torch.optim.Adadelta(lr=1.0, rho=0.95, eps=1e-7)` and
`torch.optim.RMSprop(alpha=0.9, eps=1e-7)`: only the constants differ, so they need no class.
"""

# PyTorch documents its operations on lists of tensors under names with an underscore.
# pyright: reportPrivateUsage=false

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

Group = dict[str, Any]

# A step from which on PyTorch's Adam finds nothing left to correct of its running means.
_LONG_AGO = 1e30


class KerasSGD(torch.optim.SGD):
    """SGD whose velocity keeps its scale when the learning rate changes, as in Keras 2.

    Keras's velocity is `v = m·v - lr·g`, and the rate is inside it; PyTorch's buffer is
    `b = m·b + g`, and the rate is applied afterwards: v = -lr·b. While the rate stands still both
    are the same. At a change, Keras's steps shrink over 1 / (1 - m) steps; PyTorch's shrink at
    once. Here the buffer is multiplied by old / new rate.

    Takes what `torch.optim.SGD` takes. The last rate is kept in the parameter group as `last_lr`,
    so it travels with `state_dict`. A rate held in a tensor is followed on its device, without a
    wait, also from inside a captured CUDA graph.

    Departure: at a rate of 0 Keras's parameters coast on their velocity; here they stand still, and
    the buffer waits at the scale of the last rate above 0.
    """

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update the parameters once; return what `closure` returned."""
        for group in self.param_groups:
            self._keep_velocity(group)
        return super().step(closure)

    @torch.no_grad()
    def _keep_velocity(self, group: Group) -> None:
        lr: float | Tensor = group["lr"]
        buffers = list(self._buffers(group))
        if isinstance(lr, Tensor):
            _rescale_on_device(buffers, group, lr)
        elif lr > 0:
            last = float(group.get("last_lr", lr))
            if buffers and last != lr:
                torch._foreach_mul_(buffers, last / lr)
            group["last_lr"] = lr

    def _buffers(self, group: Group) -> Iterator[Tensor]:
        for parameter in group["params"]:
            # `.get`: reading a missing entry would create it, and state_dict would change.
            buffer = self.state.get(parameter, {}).get("momentum_buffer")
            if buffer is not None:
                yield buffer


def _rescale_on_device(buffers: list[Tensor], group: Group, lr: Tensor) -> None:
    """Multiply the buffers by old / new rate without asking the device whether they differ."""
    last = group.get("last_lr", lr)
    # First step, or resumed from a plain number or from a checkpoint on the CPU.
    if last is lr or not isinstance(last, Tensor) or last.device != lr.device:
        last = torch.as_tensor(last, dtype=lr.dtype, device=lr.device).clone()
        group["last_lr"] = last
    new = torch.where(lr > 0, lr, last)
    old = torch.where(last > 0, last, new)
    if buffers:
        # 0 / 0 where no rate has been above 0 yet.
        torch._foreach_mul_(buffers, (old / new).nan_to_num_(nan=1.0))
    last.copy_(new)


class _Constants(NamedTuple):
    """What a group's steps read on its device; made once, as a captured graph needs.

    Attributes:
        betas: (2,) float64.
        long_ago: () float32.
    """

    betas: Tensor
    long_ago: Tensor


class KerasAdam(torch.optim.Optimizer):
    """Adam with Keras's ε, which stands beside √v before the bias is corrected.

    Keras 2 does, with g the gradient and t the number of the step,

        m = β₁·m + (1-β₁)·g
        v = β₂·v + (1-β₂)·g²
        w = w - lr·√(1-β₂ᵗ)/(1-β₁ᵗ) · m / (√v + ε)

    the "ε-hat" of Kingma & Ba, ICLR 2015, https://arxiv.org/abs/1412.6980, end of section 2;
    PyTorch adds ε to √(v / (1-β₂ᵗ)). Its fused kernel does this in one pass over the weights, as it
    is told of a step so late that it corrects nothing, and of a rate that is corrected already.

    That rate is computed in float64 on the weights' device, where the steps are counted as well:
    one formula, captured in a CUDA graph or not, that never waits. A step that float16's scaling
    skips is not counted. The count is in the group, so that it travels with `state_dict`.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate; one held in a tensor is followed on its device.
        betas: Decay of the running means of the gradient and of its square.
        eps: ε.
        weight_decay: The gradient gains `weight_decay * w`.

    Raises:
        ValueError: A number is out of its range.
    """

    # GradScaler then hands over what it found, on the device, where it would wait for it.
    _step_supports_amp_scaling = True

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-7,
        weight_decay: float = 0.0,
    ) -> None:
        for name, value, fits in (
            ("lr", lr, lr >= 0),
            ("betas", betas, all(0 <= beta < 1 for beta in betas)),
            ("eps", eps, eps > 0),
            ("weight_decay", weight_decay, weight_decay >= 0),
        ):
            if not fits:
                raise ValueError(f"{name}={value} is out of range for Keras's Adam")
        self._constants: dict[tuple[object, ...], _Constants] = {}
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take up a saved state; those of earlier versions were PyTorch's Adam's, and more."""
        super().__setstate__(state)
        known = {"params", "initial_lr", "steps_taken", *self.defaults}
        for group in self.param_groups:
            for key in group.keys() - known:
                del group[key]
            states = [self.state[p] for p in group["params"] if p in self.state]
            counts = [float(own.pop("step")) for own in states if "step" in own]
            if counts:  # without the steps that float16 skipped, which the group's count had
                group["steps_taken"] = max(counts)

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

    def _update(self, parameters: list[Tensor], group: Group) -> None:
        """Update a group, all of its parameters of one kind at once."""
        found_inf: Tensor | None = getattr(self, "found_inf", None)
        constants = self._constants_of(group, parameters[0].device)
        rate = _corrected_rate(group, constants.betas, found_inf)
        means, squares = (
            [self._kept(p, key) for p in parameters] for key in ("exp_avg", "exp_avg_sq")
        )
        lists: list[Any] = [parameters, [p.grad for p in parameters], means, squares]
        for alike, _ in self._group_tensors_by_device_and_dtype(lists).values():
            update: list[Any] = [*alike, [], [constants.long_ago] * len(alike[0])]
            torch._fused_adam_(
                *update,
                lr=rate,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=False,
                grad_scale=getattr(self, "grad_scale", None),
                found_inf=found_inf,
            )

    def _kept(self, parameter: Tensor, name: str) -> Tensor:
        """Give a parameter's running mean of this name, made at its first step."""
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        return state[name]

    def _constants_of(self, group: Group, device: torch.device) -> _Constants:
        key = (*group["betas"], device)
        if key not in self._constants:
            self._constants[key] = _Constants(
                torch.tensor(group["betas"], dtype=torch.float64, device=device),
                torch.tensor(_LONG_AGO, device=device),
            )
        return self._constants[key]


def _corrected_rate(group: Group, betas: Tensor, found_inf: Tensor | None) -> Tensor:
    """Count the step about to be taken, unless it is skipped; give lr·√(1-β₂ᵗ)/(1-β₁ᵗ) for it."""
    count = group.get("steps_taken", 0)
    # First step, or resumed from a plain number or from a checkpoint on the CPU.
    if not isinstance(count, Tensor) or count.device != betas.device:
        count = torch.as_tensor(count, dtype=torch.float64).to(betas.device)
        group["steps_taken"] = count
    count += 1 if found_inf is None else 1 - found_inf
    left1, left2 = (1 - betas**count).unbind()
    rate = left2.sqrt_().mul_(group["lr"]).div_(left1)
    return rate if rate.is_cpu else rate.float()  # the kernel's type; a CPU's takes any
