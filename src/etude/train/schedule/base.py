"""What every schedule has: a run that it is bound to, and a rate for each of its steps."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from etude.base.errors import UserError


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

    def epoch_ended(self, *, loss: float | None, train_error: float) -> None:  # noqa: ARG002
        """Take note of an epoch; only the schedules of `following` do.

        Args:
            loss: The evaluation loss, penalty included; None where nothing is evaluated.
            train_error: Part of the training images that were classified wrongly, as seen while
                learning.
        """
        return

    def state_dict(self) -> Mapping[str, Any]:
        """Return what a resume needs beyond the configuration, as plain numbers."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Take up a saved state; call it after `bind`."""
        return

    def _steps(self, epochs: float) -> float:
        """Convert a duration in unscaled epochs to steps, not rounded."""
        return epochs * self.scale * self.steps_per_epoch


def nearest(value: float) -> int:
    """Round to the nearest integer, halves up; Python's round() sends halves to even ones."""
    return math.floor(value + 0.5)


def require(condition: bool, rule: str) -> None:  # noqa: FBT001 # reads like an assertion
    """Refuse a setting that breaks a rule.

    Raises:
        UserError: The condition is false.
    """
    if not condition:
        raise UserError(rule)
