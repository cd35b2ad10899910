"""What weight decay applies to, and the penalty that it stands for.

Which parameters those are is a word or a list: `kernels` (the weights of convolutions and linear
layers), `all` (biases and normalisation parameters too, as Caffe's recipes have it), or patterns of
parameters' names, as a shell has them: `["*conv*.weight"]`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from etude.base.errors import UserError
from etude.train.names import named

Decay = str | Sequence[str]
Group = dict[str, Any]
KERNELS, ALL = "kernels", "all"


def parameter_groups(model: nn.Module, *, weight_decay: float, decay: Decay) -> list[Group]:
    """Split the trainable parameters into those that are decayed and those that are not.

    Args:
        model: Its order of parameters is kept within each group.
        weight_decay: PyTorch's coefficient: the gradient gains `weight_decay * w`. Keras's λ, for a
            loss with `λ·Σw²`, is `weight_decay = 2λ`.
        decay: Which of them are.

    Returns:
        Groups for a `torch.optim` optimizer, decayed first; a group without parameters is left out.

    Raises:
        UserError: `decay` is no such word, or one of its patterns fits no parameter.
    """
    chosen = {id(parameter) for parameter in decayed(model, decay)}
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups: list[Group] = [
        {"params": [p for p in trainable if id(p) in chosen], "weight_decay": weight_decay},
        {"params": [p for p in trainable if id(p) not in chosen], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def decayed(model: nn.Module, decay: Decay) -> list[nn.Parameter]:
    """Give the parameters that weight decay applies to, frozen ones included.

    Raises:
        UserError: `decay` is no such word, or one of its patterns fits no parameter.
    """
    if decay == ALL:
        return list(model.parameters())
    if decay == KERNELS:
        return [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    if isinstance(decay, str):
        raise UserError(
            f"train.decay={decay} must be kernels, all, or a list of patterns of names, as "
            '["*conv*.weight"]'
        )
    return list(named(model, decay, "train.decay").values())


@torch.no_grad()
def penalty(model: nn.Module, l2: float, decay: Decay = KERNELS) -> Tensor:
    """Compute λ·Σw² over what is decayed, frozen parameters included: what Keras adds to its loss.

    The gradient comes from `parameter_groups(weight_decay=2 * l2)`, so none flows through here.

    Args:
        model: The network.
        l2: λ of Keras's `kernel_regularizer=l2(λ)`, without a factor ½.
        decay: Which parameters have the regulariser.

    Returns:
        A tensor of shape () on the parameters' device, which the host does not wait for; float32,
        or float64 if they are.
    """
    # A norm reads the kernel once; squaring first would write a copy of every weight.
    norms: list[Tensor] = [
        torch.linalg.vector_norm(p, dtype=torch.promote_types(p.dtype, torch.float32))
        for p in decayed(model, decay)
    ]
    return l2 * torch.stack(norms).square().sum() if norms else torch.zeros(())
