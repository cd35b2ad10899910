"""Learning rates that are known before a run begins: functions of the step alone."""

import math
import warnings
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

from etude.base.text import counted
from etude.train.schedule.base import Schedule, nearest, require


class Constant(Schedule):
    """The optimizer's rate throughout."""

    def lr_at(self, step: int) -> float:  # noqa: ARG002
        """Return the optimizer's rate."""
        return self.base_lr


class Steps(Schedule):
    """A rate that changes at given epochs, as Keras's LearningRateScheduler is mostly used.

    Args:
        milestones_epochs: Epochs after which the rate changes: 81 gives 81 epochs at the first
            rate, which is document 004's `epoch <= 80` with epochs counted from 0. A milestone
            that falls between two steps is moved to the nearer one.
        factor: Multiplies the rate at every milestone. Either this, `factors` or `values`.
        factors: The rates as multiples of the optimizer's, one more than milestones.
        values: The rates themselves, one more than milestones. They replace the optimizer's rate,
            with a warning where that is not the first of them.

    Raises:
        UserError: If not exactly one of `factor`, `factors` and `values` is given, if there is not
            one more value than milestones, if the milestones are not above 0 and increasing, or if
            a factor or value is out of range.
    """

    def __init__(
        self,
        *,
        milestones_epochs: Sequence[float],
        factor: float | None = None,
        factors: Sequence[float] | None = None,
        values: Sequence[float] | None = None,
    ) -> None:
        self.milestones_epochs = [float(milestone) for milestone in milestones_epochs]
        self.factor = factor
        self.factors = None if factors is None else [float(value) for value in factors]
        self.values = None if values is None else [float(value) for value in values]
        self._check()

    def _check(self) -> None:
        given = self.milestones_epochs
        require(
            all(earlier < later for earlier, later in pairwise([0.0, *given])),
            f"milestones_epochs={given} must be above 0 and increasing",
        )
        ways = {"factor": self.factor, "factors": self.factors, "values": self.values}
        require(
            sum(way is not None for way in ways.values()) == 1,
            f"{', '.join(f'{key}={way}' for key, way in ways.items())}: give exactly one, the "
            "others are null",
        )
        require(
            self.factor is None or 0 < self.factor < math.inf, f"factor={self.factor} must be > 0"
        )
        for key, each in (("factors", self.factors), ("values", self.values)):
            if each is None:
                continue
            require(
                len(each) == len(given) + 1,
                f"{key}={each} must be one more than milestones_epochs={given}:"
                f" {len(given) + 1}, not {len(each)}",
            )
            require(all(0 <= v < math.inf for v in each), f"{key}={each} must be >= 0")

    def _prepare(self) -> None:
        self._milestones = [nearest(self._steps(epochs)) for epochs in self.milestones_epochs]
        if self.values is not None and self.values[0] != self.base_lr:
            warnings.warn(
                f"the optimizer's lr={self.base_lr} is ignored, because the schedule's"
                f" values={self.values} are the rates themselves; set lr={self.values[0]}",
                stacklevel=3,
            )

    def lr_at(self, step: int) -> float:
        """Return the rate after the milestones that lie at or before the step."""
        passed = bisect_right(self._milestones, step)
        if self.values is not None:
            return self.values[passed]
        if self.factors is not None:
            return self.base_lr * self.factors[passed]
        assert self.factor is not None  # the constructor saw to it  # noqa: S101
        return self.base_lr * self.factor**passed


class Exponential(Schedule):
    """A rate multiplied by a factor at every interval: `lr · factor^(t / interval)`.

    Inception v3 (Szegedy et al., CVPR 2016, https://arxiv.org/abs/1512.00567, section 8) has factor
    0.94 every 2 epochs; GoogLeNet 0.96 every 8.

    Args:
        factor: Above 0.
        every_epochs: The interval, above 0.
        staircase: Apply the factor at the end of each interval at once, not a little every step.

    Raises:
        UserError: If `factor` or `every_epochs` is out of range.
    """

    def __init__(self, *, factor: float, every_epochs: float, staircase: bool) -> None:
        require(0 < factor < math.inf, f"factor={factor} must be > 0")
        require(0 < every_epochs < math.inf, f"every_epochs={every_epochs} must be > 0")
        self.factor = factor
        self.every_epochs = every_epochs
        self.staircase = staircase

    def lr_at(self, step: int) -> float:
        """Return the rate after the intervals, or parts of intervals, before the step."""
        interval = self._steps(self.every_epochs)
        if not self.staircase:
            return self.base_lr * self.factor ** (step / interval)
        # Ends of intervals before step + 0.5, so that one between two steps goes to the nearer.
        passed = math.ceil((step + 0.5) / interval) - 1
        return self.base_lr * self.factor**passed


class InverseTime(Schedule):
    """Keras 2's `decay` of an optimizer: `lr / (1 + decay · t)`, t in steps from 0.

    Args:
        decay_per_step: Not below 0. A `scale` below 1 makes it larger, as it makes a duration
            shorter.

    Raises:
        UserError: If `decay_per_step` is below 0.
    """

    def __init__(self, *, decay_per_step: float) -> None:
        require(0 <= decay_per_step < math.inf, f"decay_per_step={decay_per_step} must be >= 0")
        self.decay_per_step = decay_per_step

    def lr_at(self, step: int) -> float:
        """Return the rate of the step."""
        return self.base_lr / (1 + self.decay_per_step / self.scale * step)


class Cosine(Schedule):
    """A linear warm-up, then half a cosine down to a fraction of the rate at the last step.

    Loshchilov & Hutter, ICLR 2017, https://arxiv.org/abs/1608.03983, equation 5, without restarts;
    the warm-up as in Goyal et al. 2017, https://arxiv.org/abs/1706.02677, section 2.2.

    Args:
        warmup_epochs: Length of the warm-up, whose W steps have 1/W, 2/W, … 1 of the rate.
        final_fraction: The last step's rate over the optimizer's, from 0 to 1.

    Raises:
        UserError: If a value is out of range.
    """

    def __init__(self, *, warmup_epochs: float, final_fraction: float) -> None:
        require(0 <= warmup_epochs < math.inf, f"warmup_epochs={warmup_epochs} must be >= 0")
        require(0 <= final_fraction <= 1, f"final_fraction={final_fraction} must be from 0 to 1")
        self.warmup_epochs = warmup_epochs
        self.final_fraction = final_fraction

    def _prepare(self) -> None:
        self._warmup = nearest(self._steps(self.warmup_epochs))
        self._last = self.epochs * self.steps_per_epoch - 1
        require(
            self._warmup == 0 or self._warmup <= self._last,
            f"warmup_epochs={self.warmup_epochs} (times scale={self.scale}), that is "
            f"{counted(self._warmup, 'step')}, must be shorter than the run of "
            f"{counted(self.epochs, 'epoch')}, that is {counted(self._last + 1, 'step')}",
        )

    def lr_at(self, step: int) -> float:
        """Return the rate of the step; after the run's last step it stays."""
        if step < self._warmup:
            return self.base_lr * (step + 1) / self._warmup
        top = max(self._warmup - 1, 0)  # the step that has the full rate
        progress = min(1.0, (step - top) / max(1, self._last - top))
        falling = 0.5 * (1 + math.cos(math.pi * progress))
        return self.base_lr * (self.final_fraction + (1 - self.final_fraction) * falling)
