"""Running averages of a network's weights, which are evaluated in the place of the last ones.

Polyak & Juditsky 1992, https://doi.org/10.1137/0330046; GoogLeNet and Inception v3 were evaluated
with such averages.
"""

# PyTorch documents its operations on lists of tensors under names with an underscore.
# pyright: reportPrivateUsage=false

import copy

import torch
from torch import Tensor, nn

from etude.base.errors import UserError
from etude.train.skipped import Updates


class WeightAverage:
    """A network whose parameters and running statistics are the averages of a trained one's.

    After step t its values v move to the trained ones w by v += share·(w - v), where the share is
    max(1 - decay, 1/t). So it is the mean of all steps so far until 1/(1 - decay) of them are done,
    and an exponential average from then on, which no first value weighs down; with a decay of 1 it
    is Polyak's mean of all steps. (`torch.optim.swa_utils.AveragedModel` counts on the device, and
    the host would wait for it.)

    Args:
        model: The network that is trained; it is copied.
        decay: Above 0 and at most 1.
        updates: Counts the steps instead, where float16 skips some; a skipped one moves nothing.

    Raises:
        UserError: The decay is out of its range.
    """

    def __init__(self, model: nn.Module, *, decay: float, updates: Updates | None = None) -> None:
        if not 0 < decay <= 1:
            raise UserError(f"train.average_decay={decay} must be above 0 and at most 1")
        self.model = copy.deepcopy(model).requires_grad_(requires_grad=False)
        self.updates = updates
        self._decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, steps: int) -> None:
        """Take the trained network in, after so many steps; nothing waits for the device."""
        ours, theirs = self.model.state_dict(), model.state_dict()
        real = [name for name, value in ours.items() if value.is_floating_point()]
        averages: list[Tensor] = [ours.pop(name) for name in real]
        self._move(averages, [theirs[name] for name in real], steps)
        for name, value in ours.items():  # counters
            value.copy_(theirs[name])

    def _move(self, averages: list[Tensor], values: list[Tensor], steps: int) -> None:
        if self.updates is None:
            torch._foreach_lerp_(averages, values, max(1 - self._decay, 1 / steps))
            return
        share = self.updates.made() * (1 / self.updates.count).clamp_(1 - self._decay, 1)
        ways = torch._foreach_sub(values, averages)
        torch._foreach_mul_(ways, share.float())
        torch._foreach_add_(averages, ways)
