"""Running averages of a network's weights, which are evaluated in the place of the last ones.

Polyak & Juditsky 1992, https://doi.org/10.1137/0330046; GoogLeNet and Inception v3 were evaluated
with such averages.
"""

# PyTorch documents its operations on lists of tensors under names with an underscore.
# pyright: reportPrivateUsage=false

import copy
from typing import Any, NamedTuple

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
        self._values = _Values(self.model), _Values(model)

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Take the trained network in, after so many steps; nothing waits for the device."""
        ours, theirs = (values.now() for values in self._values)
        self._move(ours.real, theirs.real, steps)
        if ours.counts:
            torch._foreach_copy_(ours.counts, theirs.counts)

    def _move(self, averages: list[Tensor], values: list[Tensor], steps: int) -> None:
        if self.updates is None:
            torch._foreach_lerp_(averages, values, max(1 - self._decay, 1 / steps))
            return
        share = self.updates.made() * (1 / self.updates.count).clamp_(1 - self._decay, 1)
        ways = torch._foreach_sub(values, averages)
        torch._foreach_mul_(ways, share.float())
        torch._foreach_add_(averages, ways)


class _Now(NamedTuple):
    real: list[Tensor]
    counts: list[Tensor]


class _Values:
    """A network's parameters and running statistics, found once; a step has no time for it.

    What is found is where a layer holds each, as a layer may put another tensor there. One that
    several layers hold is there once.
    """

    def __init__(self, model: nn.Module) -> None:
        found: dict[int, tuple[dict[str, Any], str]] = {}
        for module in model.modules():
            passing: set[str] = module._non_persistent_buffers_set
            for held in (module._parameters, module._buffers):
                for name, value in held.items():
                    if value is not None and name not in passing:
                        found.setdefault(id(value), (held, name))
        places = found.values()
        self._real = [(held, name) for held, name in places if held[name].is_floating_point()]
        self._counts = [(held, name) for held, name in places if not held[name].is_floating_point()]

    def now(self) -> _Now:
        """Give them as they are."""
        return _Now(*([held[name] for held, name in each] for each in (self._real, self._counts)))
