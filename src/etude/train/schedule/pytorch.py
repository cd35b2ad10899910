"""PyTorch's own schedules: `torch.optim.lr_scheduler`, or a class of one's own that is like them.

They change the rate of an optimizer that they are given. Here that is a stand-in which has nothing
but a rate, so that the rate of any step is known by stepping on from the run's beginning: a resume
needs nothing but the losses that a plateau has been told.
"""

import inspect
import math
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import torch
from torch.optim.lr_scheduler import LRScheduler

from etude.base.errors import UserError
from etude.train.schedule.base import Schedule, require

_TRIED = 10_000  # rates that are computed before the run begins, to see that they can be


class Planned(Schedule):
    """A schedule that is stepped every epoch or every step, whatever the run achieves.

    A `scale` of 0.1 steps it ten times as fast, so that its settings stay those of the whole run.

    Args:
        scheduler: Makes it; called with an optimizer.
        per: What it is stepped by: epoch or step.
    """

    def __init__(self, *, scheduler: "partial[Any]", per: str) -> None:
        self._make = scheduler
        self._per = per

    def _prepare(self) -> None:
        self._interval = self._steps(1) if self._per == "epoch" else self.scale
        last = self._count(self.epochs * self.steps_per_epoch - 1)
        self._scheduler, self._rate = _begin(_with_length(self._make, last + 1), self.base_lr)
        self._rates = [self._rate.lr]
        total = getattr(self._scheduler, "total_steps", None)
        require(
            total is None or last < total,
            f"scheduler: total_steps={total} must be at least the run's {last + 1} "
            f"{self._per}s; leave it out, and it is",
        )
        self._rate_of(min(last, _TRIED))

    def lr_at(self, step: int) -> float:
        """Return the rate of the step."""
        return self._rate_of(self._count(step))

    def _count(self, step: int) -> int:
        """Say how often it has been stepped before a step of the run."""
        return math.floor(step / self._interval + 1e-6)

    def _rate_of(self, count: int) -> float:
        while len(self._rates) <= count:
            _step(self._scheduler)
            self._rates.append(self._rate.lr)
        return self._rates[count]


class Followed(Schedule):
    """A schedule that is told the evaluation loss after every epoch: ReduceLROnPlateau.

    Its patience is not scaled; a warning says so.

    Args:
        scheduler: Makes it; called with an optimizer.
    """

    def __init__(self, *, scheduler: "partial[Any]") -> None:
        self._make = scheduler
        mode = scheduler.keywords.get("mode", "min")
        require(mode == "min", f"mode={mode}: what is watched is the evaluation loss; set mode=min")

    def _prepare(self) -> None:
        self._scheduler, self._rate = _begin(self._make, self.base_lr)
        self._losses: list[float] = []
        if self.scale != 1:
            warnings.warn(
                f"scale={self.scale:g} does not change the patience of {_name(self._make)}, which "
                "is PyTorch's own, in epochs; scheduler=plateau's is scaled",
                stacklevel=3,
            )

    def lr_at(self, step: int) -> float:  # noqa: ARG002
        """Return the rate that the last `epoch_ended` left: no step further ahead is known."""
        return self._rate.lr

    def epoch_ended(self, *, loss: float | None, train_error: float) -> None:  # noqa: ARG002
        """Tell it the loss."""
        if loss is None:  # the configuration's check does not let it come to this
            raise ValueError("a plateau is told every epoch's evaluation loss")
        self._losses.append(loss)
        _step(self._scheduler, loss)

    def state_dict(self) -> Mapping[str, Any]:
        """Return the losses that it has been told."""
        return {"losses": list(self._losses)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Tell it the losses again; call it after `bind`."""
        for loss in state["losses"]:
            self.epoch_ended(loss=loss, train_error=1.0)


def wrapped(*, scheduler: "partial[Any]", per: str) -> Schedule:
    """Make a schedule of a class that takes an optimizer.

    Args:
        scheduler: Makes it; called with an optimizer, as are those among its settings.
        per: What it is stepped by: epoch or step.

    Raises:
        UserError: It is told a loss every epoch, and was to be stepped every step.
    """
    step = getattr(scheduler.func, "step", None)  # a function that makes one has none
    if step is None or "metrics" not in inspect.signature(step).parameters:
        return Planned(scheduler=scheduler, per=per)
    require(
        per == "epoch",
        f"scheduler.per={per}: {_name(scheduler)} is told the loss of an epoch; set it to epoch",
    )
    return Followed(scheduler=scheduler)


class _Rate(torch.optim.Optimizer):
    """Stands in for the optimizer: one group, and nothing that could be changed but its rate."""

    def __init__(self, lr: float) -> None:
        super().__init__([torch.zeros(1)], {"lr": lr})

    @property
    def lr(self) -> float:
        """The rate.

        Raises:
            UserError: It is none.
        """
        lr = float(self.param_groups[0]["lr"])
        require(0 <= lr < math.inf, f"scheduler: a rate of {lr} must be >= 0")
        return lr

    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Do nothing; PyTorch warns where a schedule is stepped and its optimizer was not."""


def _begin(make: "partial[Any]", lr: float) -> tuple[LRScheduler, _Rate]:
    rate = _Rate(lr)
    try:
        scheduler = _made(make, rate)
    except UserError:
        raise
    except Exception as error:  # whatever its settings made it raise
        raise _refusal(make.func, error) from error
    rate.step()
    return scheduler, rate


def _made(value: Any, rate: _Rate) -> Any:
    """Give the stand-in to everything that waits for an optimizer, the innermost first."""
    if isinstance(value, list):
        return [_made(item, rate) for item in cast("list[Any]", value)]
    if isinstance(value, partial):
        part = cast("partial[Any]", value)
        if "optimizer" in inspect.signature(part.func).parameters:
            settings = {key: _made(item, rate) for key, item in part.keywords.items()}
            return part.func(*part.args, optimizer=rate, **settings)
    return value


def _with_length(make: "partial[Any]", count: int) -> "partial[Any]":
    """Tell OneCycleLR the run's length, unless it was given one."""
    takes = "total_steps" in inspect.signature(make.func).parameters
    if not takes or {"total_steps", "epochs"} & make.keywords.keys():
        return make
    return partial(make, total_steps=count)


def _step(scheduler: LRScheduler, *loss: float) -> None:
    try:
        cast("Any", scheduler).step(*loss)
    except Exception as error:  # what its settings made of it shows only now
        raise _refusal(type(scheduler), error) from error


def _refusal(scheduler: Any, error: Exception) -> UserError:
    reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
    hint = "; only the rate is scheduled here: +scheduler.cycle_momentum=false"
    return UserError(
        f"scheduler: {scheduler.__name__}: {reason}{hint if 'cycle_momentum' in reason else ''}"
    )


def _name(make: "partial[Any]") -> str:
    return make.func.__name__
