"""Learning rates as functions of the step, in the durations that papers and Keras give.

A schedule is built from plain numbers, durations in epochs. `bind` tells it the run it belongs to;
after that `lr_at` is a pure function of the step, except for `Plateau`, which also follows the
evaluation loss.
"""

import math
import warnings
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Self

from etude.errors import UserError


class Schedule(ABC):
    """A learning rate for every step of a run."""

    base_lr: float
    steps_per_epoch: int
    epochs: int
    scale: float

    def bind(self, *, base_lr: float, steps_per_epoch: int, epochs: int, scale: float) -> Self:
        """Attach the schedule to a run, before its first step; return the schedule.

        Args:
            base_lr: The optimizer's rate.
            steps_per_epoch: Optimizer steps in an epoch.
            epochs: Length of the run as it will be trained, `scale` already applied.
            scale: Factor on every duration of the schedule.

        Raises:
            UserError: If the schedule does not fit into the run.
        """
        self.base_lr = base_lr
        self.steps_per_epoch = steps_per_epoch
        self.epochs = epochs
        self.scale = scale
        self._prepare()
        return self

    def _prepare(self) -> None:
        """Turn durations into steps, where there are any."""
        return

    @abstractmethod
    def lr_at(self, step: int) -> float:
        """Return the rate of a step, counted from 0 over the whole run."""

    def epoch_ended(self, loss: float) -> None:  # noqa: ARG002 # most schedules do not look at it
        """Take note of an epoch's evaluation loss, penalty included; only `Plateau` does."""
        return

    def state_dict(self) -> dict[str, float]:
        """Return what a resume needs beyond the configuration, as plain numbers."""
        return {}

    def load_state_dict(self, state: Mapping[str, float]) -> None:  # noqa: ARG002 # see above
        """Take up a saved state; call it after `bind`."""
        return

    def _steps(self, epochs: float) -> float:
        """Convert a duration in unscaled epochs to steps, not rounded."""
        return epochs * self.scale * self.steps_per_epoch


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
        factor: Multiplies the rate at every milestone. Either this or `values`.
        values: The rates themselves, one more than milestones. They replace the optimizer's rate,
            with a warning where that is not the first of them.

    Raises:
        UserError: If not exactly one of `factor` and `values` is given, if there is not one more
            value than milestones, if the milestones are not above 0 and increasing, or if a factor
            or value is out of range.
    """

    def __init__(
        self,
        *,
        milestones_epochs: Sequence[float],
        factor: float | None = None,
        values: Sequence[float] | None = None,
    ) -> None:
        self.milestones_epochs = [float(milestone) for milestone in milestones_epochs]
        self.factor = factor
        self.values = None if values is None else [float(value) for value in values]
        self._check()

    def _check(self) -> None:
        given, values = self.milestones_epochs, self.values
        _require(
            all(earlier < later for earlier, later in pairwise([0.0, *given])),
            f"milestones_epochs={given} must be above 0 and increasing",
        )
        _require(
            (self.factor is None) != (values is None),
            f"factor={self.factor} and values={values}: give exactly one, the other is null",
        )
        _require(
            self.factor is None or 0 < self.factor < math.inf, f"factor={self.factor} must be > 0"
        )
        if values is not None:
            _require(
                len(values) == len(given) + 1,
                f"values={values} must be one more than milestones_epochs={given}:"
                f" {len(given) + 1}, not {len(values)}",
            )
            _require(all(0 <= v < math.inf for v in values), f"values={values} must be >= 0")

    def _prepare(self) -> None:
        self._milestones = [_nearest(self._steps(epochs)) for epochs in self.milestones_epochs]
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
        _require(0 < factor < math.inf, f"factor={factor} must be > 0")
        _require(0 < every_epochs < math.inf, f"every_epochs={every_epochs} must be > 0")
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
        _require(0 <= decay_per_step < math.inf, f"decay_per_step={decay_per_step} must be >= 0")
        self.decay_per_step = decay_per_step

    def lr_at(self, step: int) -> float:
        """Return the rate of the step."""
        return self.base_lr / (1 + self.decay_per_step / self.scale * step)


class Plateau(Schedule):
    """Keras's ReduceLROnPlateau (2.2.4 and later), on the evaluation loss.

    `torch.optim.lr_scheduler.ReduceLROnPlateau` counts patience and cool-down from another epoch,
    and its threshold is relative unless told otherwise.

    Args:
        factor: Multiplies the rate, between 0 and 1.
        patience_epochs: Epochs without improvement after which the rate is reduced, at least 1,
            also once scaled.
        min_delta: What counts as an improvement, in units of the loss.
        cooldown_epochs: Epochs after a reduction in which patience is not counted.
        min_lr: The rate is not reduced below it.

    Raises:
        UserError: If a value is out of range.
    """

    def __init__(
        self,
        *,
        factor: float,
        patience_epochs: float,
        min_delta: float,
        cooldown_epochs: float,
        min_lr: float,
    ) -> None:
        _require(0 < factor < 1, f"factor={factor} must be between 0 and 1")
        _require(1 <= patience_epochs < math.inf, f"patience_epochs={patience_epochs} must be >= 1")
        _require(0 <= min_delta < math.inf, f"min_delta={min_delta} must be >= 0")
        _require(0 <= cooldown_epochs < math.inf, f"cooldown_epochs={cooldown_epochs} must be >= 0")
        _require(0 <= min_lr < math.inf, f"min_lr={min_lr} must be >= 0")
        self.factor = factor
        self.patience_epochs = patience_epochs
        self.min_delta = min_delta
        self.cooldown_epochs = cooldown_epochs
        self.min_lr = min_lr

    def _prepare(self) -> None:
        self._patience = max(1, _nearest(self.patience_epochs * self.scale))
        self._cooldown = _nearest(self.cooldown_epochs * self.scale)
        self._lr = self.base_lr
        self._best = math.inf
        self._waited = 0
        self._cooling = 0

    def lr_at(self, step: int) -> float:  # noqa: ARG002
        """Return the rate that the last `epoch_ended` left: no step further ahead is known."""
        return self._lr

    def epoch_ended(self, loss: float) -> None:
        """Reduce the rate if the loss has not improved for as long as patience lasts."""
        if self._cooling:
            # Patience is counted again from the cool-down's last epoch on, as in Keras.
            self._cooling -= 1
            self._waited = 0
        if loss < self._best - self.min_delta:
            self._best = loss
            self._waited = 0
        elif not self._cooling:
            self._waited += 1
            if self._waited >= self._patience:
                self._reduce()

    def _reduce(self) -> None:
        if self._lr > self.min_lr:
            self._lr = max(self._lr * self.factor, self.min_lr)
            self._cooling = self._cooldown
            self._waited = 0

    def state_dict(self) -> dict[str, float]:
        """Return the rate, the best loss (infinite before the first epoch) and the two counters."""
        return {
            "lr": self._lr,
            "best": self._best,
            "waited": self._waited,
            "cooling": self._cooling,
        }

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Take up a saved state; call it after `bind`."""
        self._lr = float(state["lr"])
        self._best = float(state["best"])
        self._waited = int(state["waited"])
        self._cooling = int(state["cooling"])


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
        _require(0 <= warmup_epochs < math.inf, f"warmup_epochs={warmup_epochs} must be >= 0")
        _require(0 <= final_fraction <= 1, f"final_fraction={final_fraction} must be from 0 to 1")
        self.warmup_epochs = warmup_epochs
        self.final_fraction = final_fraction

    def _prepare(self) -> None:
        self._warmup = _nearest(self._steps(self.warmup_epochs))
        self._last = self.epochs * self.steps_per_epoch - 1
        _require(
            self._warmup == 0 or self._warmup <= self._last,
            f"warmup_epochs={self.warmup_epochs} (times scale={self.scale}) must be shorter than"
            f" the run of {self.epochs} epochs",
        )

    def lr_at(self, step: int) -> float:
        """Return the rate of the step; after the run's last step it stays."""
        if step < self._warmup:
            return self.base_lr * (step + 1) / self._warmup
        top = max(self._warmup - 1, 0)  # the step that has the full rate
        progress = min(1.0, (step - top) / max(1, self._last - top))
        falling = 0.5 * (1 + math.cos(math.pi * progress))
        return self.base_lr * (self.final_fraction + (1 - self.final_fraction) * falling)


def _nearest(value: float) -> int:
    """Round to the nearest integer, halves up; Python's round() sends halves to even ones."""
    return math.floor(value + 0.5)


def _require(condition: bool, rule: str) -> None:  # noqa: FBT001 # reads like an assertion
    if not condition:
        raise UserError(rule)
