"""Which optimizers a captured graph can hold."""

import torch

from etude.train.optim.keras import KerasAdam, KerasSGD
from etude.train.optim.tensorflow import TensorFlowRMSprop

# They count nothing on the host, and take a rate in a tensor; PyTorch's others say `capturable`.
_FOLLOW = (torch.optim.SGD, KerasSGD, KerasAdam, TensorFlowRMSprop)


def follows_device(optimizer: torch.optim.Optimizer) -> bool:
    """Say whether an optimizer reads its rate on the device, and keeps its count of steps there.

    A class of one's own, which may do otherwise unseen, says so by taking `capturable`.
    """
    if type(optimizer) in _FOLLOW:
        return True
    return all(group.get("capturable") for group in optimizer.param_groups)
