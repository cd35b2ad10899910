"""Learning rates that follow what a run achieves, looked at when an epoch ends."""

import math
from collections.abc import Mapping, Sequence

from etude.train.schedule.base import Schedule, nearest, require
from etude.train.schedule.planned import Steps


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
        require(0 < factor < 1, f"factor={factor} must be between 0 and 1")
        require(1 <= patience_epochs < math.inf, f"patience_epochs={patience_epochs} must be >= 1")
        require(0 <= min_delta < math.inf, f"min_delta={min_delta} must be >= 0")
        require(0 <= cooldown_epochs < math.inf, f"cooldown_epochs={cooldown_epochs} must be >= 0")
        require(0 <= min_lr < math.inf, f"min_lr={min_lr} must be >= 0")
        self.factor = factor
        self.patience_epochs = patience_epochs
        self.min_delta = min_delta
        self.cooldown_epochs = cooldown_epochs
        self.min_lr = min_lr

    def _prepare(self) -> None:
        self._patience = max(1, nearest(self.patience_epochs * self.scale))
        self._cooldown = nearest(self.cooldown_epochs * self.scale)
        self._lr = self.base_lr
        self._best = math.inf
        self._waited = 0
        self._cooling = 0

    def lr_at(self, step: int) -> float:  # noqa: ARG002
        """Return the rate that the last `epoch_ended` left: no step further ahead is known."""
        return self._lr

    def epoch_ended(self, *, loss: float | None, train_error: float) -> None:  # noqa: ARG002
        """Reduce the rate if the loss has not improved for as long as patience lasts."""
        if loss is None:  # the configuration's check does not let it come to this
            raise ValueError("a plateau is told every epoch's evaluation loss")
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


class WarmedSteps(Steps):
    """`Steps` after a warm-up at a low rate, which lasts until the network has begun to learn.

    He et al., CVPR 2016, https://arxiv.org/abs/1512.03385, section 4.2: ResNet-110 trains at 0.01
    until the training error is below 80 %, "about 400 iterations", then goes on at 0.1. Here the
    error is an epoch's (391 steps there), so that nothing waits for the device inside one.

    Args:
        warmup_lr: The rate until then.
        until_error: The warm-up ends with the first epoch whose training error is below this,
            between 0 and 1.
        milestones_epochs: See `Steps`; counted from the run's beginning.
        factor: See `Steps`.
        factors: See `Steps`.
        values: See `Steps`.

    Raises:
        UserError: If a value is out of range.
    """

    def __init__(
        self,
        *,
        warmup_lr: float,
        until_error: float,
        milestones_epochs: Sequence[float],
        factor: float | None = None,
        factors: Sequence[float] | None = None,
        values: Sequence[float] | None = None,
    ) -> None:
        super().__init__(
            milestones_epochs=milestones_epochs, factor=factor, factors=factors, values=values
        )
        require(0 < warmup_lr < math.inf, f"warmup_lr={warmup_lr} must be > 0")
        require(0 < until_error < 1, f"until_error={until_error} must be between 0 and 1")
        self.warmup_lr = warmup_lr
        self.until_error = until_error

    def _prepare(self) -> None:
        super()._prepare()
        self._warming = True

    def lr_at(self, step: int) -> float:
        """Return the rate of a step of the epoch under way."""
        return self.warmup_lr if self._warming else super().lr_at(step)

    def epoch_ended(self, *, loss: float | None, train_error: float) -> None:  # noqa: ARG002
        """End the warm-up if the training error is low enough."""
        self._warming = self._warming and train_error >= self.until_error

    def state_dict(self) -> dict[str, float]:
        """Return whether the warm-up lasts."""
        return {"warming": float(self._warming)}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Take up a saved state; call it after `bind`."""
        self._warming = bool(state["warming"])
