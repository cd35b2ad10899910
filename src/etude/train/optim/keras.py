"""Optimizers as Keras 2 wrote them, what weight decay applies to, and the penalty it stands for.

SGD and Adam differ from PyTorch's at one point each, and have a class here. Keras's Adadelta and
RMSprop are `torch.optim.Adadelta(lr=1.0, rho=0.95, eps=1e-7)` and
`torch.optim.RMSprop(alpha=0.9, eps=1e-7)`: only the constants differ, so they need no class.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from etude.base.errors import UserError

Group = dict[str, Any]


def parameter_groups(model: nn.Module, *, weight_decay: float, decay: str) -> list[Group]:
    """Split the trainable parameters into those that are decayed and those that are not.

    Args:
        model: Its order of parameters is kept within each group.
        weight_decay: PyTorch's coefficient: the gradient gains `weight_decay * w`. Keras's λ, for a
            loss with `λ·Σw²`, is `weight_decay = 2λ`.
        decay: "kernels" decays the weights of convolutions and linear layers only; "all" decays
            biases and normalisation parameters too, as Caffe's recipes do.

    Returns:
        Groups for a `torch.optim` optimizer, decayed first; a group without parameters is left out.

    Raises:
        UserError: If `decay` is neither "kernels" nor "all".
    """
    if decay not in ("kernels", "all"):
        raise UserError(f"decay={decay!r} is not known; take 'kernels' or 'all'")
    trainable = [p for p in model.parameters() if p.requires_grad]
    decayed = [p for p in trainable if decay == "all" or _is_kernel(p)]
    spared = [p for p in trainable if decay == "kernels" and not _is_kernel(p)]
    groups: list[Group] = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


@torch.no_grad()
def penalty(model: nn.Module, l2: float) -> Tensor:
    """Compute λ·Σw² over the kernels, frozen ones included: what Keras adds to the loss it reports.

    The gradient comes from `parameter_groups(weight_decay=2 * l2)`, so none flows through here.

    Args:
        model: Parameters of two or more dimensions count as kernels.
        l2: λ of Keras's `kernel_regularizer=l2(λ)`, without a factor ½.

    Returns:
        A tensor of shape () on the kernels' device, which the host does not wait for; float32, or
        float64 if kernels are.
    """
    # A norm reads the kernel once; squaring first would write a copy of every weight.
    norms: list[Tensor] = [
        torch.linalg.vector_norm(p, dtype=torch.promote_types(p.dtype, torch.float32))
        for p in model.parameters()
        if _is_kernel(p)
    ]
    return l2 * torch.stack(norms).square().sum() if norms else torch.zeros(())


def _is_kernel(parameter: Tensor) -> bool:
    return parameter.ndim >= 2


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
            for buffer in buffers if last != lr else ():
                buffer.mul_(last / lr)
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
    # 0 / 0 where no rate has been above 0 yet.
    ratio = torch.where(new > 0, old / new, torch.ones_like(new))
    for buffer in buffers:
        buffer.mul_(ratio)
    last.copy_(new)


class KerasAdam(torch.optim.Adam):
    """Adam with Keras's ε, which stands beside √v before the bias is corrected.

    Keras 2 updates by lr·√(1-β₂ᵗ)/(1-β₁ᵗ) · m / (√v + ε): the "ε-hat" of Kingma & Ba, ICLR 2015,
    https://arxiv.org/abs/1412.6980, end of section 2. PyTorch adds ε to √(v / (1-β₂ᵗ)), so it is
    given ε / √(1-β₂ᵗ) for the step about to be taken: 32 times ε at the first step, ε in the end.

    The group's `eps` is the configured ε before and after every step; the number of steps taken is
    kept beside it as `steps_taken`, so both travel with `state_dict`.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate.
        betas: Decay of the running means of the gradient and of its square.
        eps: Keras's ε.
        fused: Update all parameters in one kernel; when `capturable`, in a few: the fused kernel
            takes ε as a constant, which a captured graph would repeat for ever.
        capturable: Keep the count of steps on the device, for a captured graph.
        options: The other options of `torch.optim.Adam`.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-7,
        *,
        fused: bool | None = None,
        capturable: bool = False,
        **options: Any,
    ) -> None:
        if capturable and fused:
            fused, options["foreach"] = False, True
        super().__init__(params, lr, betas, eps, fused=fused, capturable=capturable, **options)

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update the parameters once; return what `closure` returned."""
        configured = [group["eps"] for group in self.param_groups]
        try:
            for group in self.param_groups:
                group["eps"] = _epsilon_for_torch(group)
            return super().step(closure)
        finally:
            for group, eps in zip(self.param_groups, configured, strict=True):
                group["eps"] = eps


@torch.no_grad()
def _epsilon_for_torch(group: Group) -> float | Tensor:
    """Count the step about to be taken, and return ε / √(1-β₂ᵗ) for it."""
    beta2 = float(group["betas"][1])
    if not group["capturable"]:
        group["steps_taken"] = int(group.get("steps_taken", 0)) + 1
        return group["eps"] / math.sqrt(1 - beta2 ** group["steps_taken"])
    # A captured graph repeats what the device does, so the count has to live there.
    steps = torch.as_tensor(group.get("steps_taken", 0), dtype=torch.float32)
    group["steps_taken"] = steps.to(group["params"][0].device)
    group["steps_taken"] += 1
    return group["eps"] * (1 - beta2 ** group["steps_taken"]).rsqrt()
