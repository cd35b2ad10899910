"""What a run has become so far: all that a checkpoint holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from etude.train.compiler import Compiler
from etude.train.optim.capturable import follows_device
from etude.train.schedule import Schedule
from etude.train.weight_average import WeightAverage

# What an optimizer computes with, not what it has learned: a run may go on with another choice.
_IMPLEMENTATION = ("capturable", "foreach", "fused")


@dataclass
class Best:
    """The epoch that was selected, with its weights (parameters and buffers) on the device."""

    epoch: int
    accuracy: float
    loss: float
    weights: dict[str, Tensor]


class Saved(TypedDict):
    """A state in a checkpoint: tensors and plain values, so that nothing is unpickled."""

    model: Mapping[str, Tensor]
    average: Mapping[str, Tensor] | None
    updates: Tensor | None
    compiled: bool
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    schedule: Mapping[str, Any]
    epoch: int
    step: int
    seconds: float
    epoch_seconds: float
    losses: Tensor
    correct: Tensor
    best: dict[str, Any] | None
    random: Tensor
    random_cuda: Tensor | None


@dataclass
class State:
    """All that a run has become so far: what a checkpoint holds.

    Args:
        model: The network, on the device.
        optimizer: Over its parameters.
        scaler: For float16; disabled otherwise.
        schedule: Bound to the run.
        device: Where the model is.
        steps: Steps in an epoch.
        average: Of the network's weights, where that is what is evaluated.
        compiler: Says whether steps are compiled.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    schedule: Schedule
    device: torch.device
    steps: int
    average: WeightAverage | None = None
    compiler: Compiler = field(default_factory=Compiler)
    epoch: int = 0  # epochs finished
    step: int = 0  # steps done of the epoch under way
    seconds: float = 0.0  # spent training and evaluating
    epoch_seconds: float = 0.0  # of these, training in the epoch under way
    best: Best | None = None
    rate: Tensor | None = field(init=False)  # of the step under way, () on a GPU
    losses: Tensor = field(init=False)  # (steps,) of the epoch under way, on the device
    correct: Tensor = field(init=False)  # (steps,) images told right, likewise

    def __post_init__(self) -> None:
        there = self.device.type != "cpu" and follows_device(self.optimizer)
        self.rate = torch.zeros((), device=self.device) if there else None
        # PyTorch's wonder why one that can be captured is not, in the eager steps.
        vars(self.optimizer)["_warned_capturable_if_run_uncaptured"] = True
        self.losses = torch.zeros(self.steps, device=self.device)
        self.correct = torch.zeros(self.steps, dtype=torch.int64, device=self.device)

    @property
    def global_step(self) -> int:
        """Steps done in the whole run."""
        return self.epoch * self.steps + self.step

    @property
    def updates(self) -> Tensor | None:
        """Steps that were not skipped, on the device: where somebody counts them, and some are."""
        counted = None if self.average is None else self.average.updates
        return None if counted is None else counted.count

    @property
    def evaluated(self) -> nn.Module:
        """The network that is evaluated and kept: the averaged one, if there is one."""
        return self.model if self.average is None else self.average.model

    def state_dict(self) -> Saved:
        """Give everything that training on needs, random states included."""
        cuda = self.device.type == "cuda"
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.model.state_dict(),
            "updates": self.updates,
            "compiled": self.compiler.on,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
            "step": self.step,
            "seconds": self.seconds,
            "epoch_seconds": self.epoch_seconds,
            "losses": self.losses,
            "correct": self.correct,
            "best": None if self.best is None else vars(self.best),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.device) if cuda else None,
        }

    def load_state_dict(self, saved: Saved) -> None:
        """Become what `state_dict` gave."""
        self.compiler.settle(on=saved.get("compiled", False))  # earlier checkpoints do not say it
        self.model.load_state_dict(saved["model"])
        if self.average is not None:
            self.average.model.load_state_dict(saved["average"] or {})
        if self.updates is not None:  # earlier checkpoints know the steps alone
            updates = saved.get("updates")
            steps = saved["epoch"] * self.steps + saved["step"]
            self.updates.fill_(steps if updates is None else float(updates))
        self.optimizer.load_state_dict(self._as_implemented(saved["optimizer"]))
        self.scaler.load_state_dict(saved["scaler"])
        self.schedule.load_state_dict(saved["schedule"])
        self.epoch, self.step = saved["epoch"], saved["step"]
        self.seconds, self.epoch_seconds = saved["seconds"], saved["epoch_seconds"]
        self.losses.copy_(saved["losses"])
        self.correct.copy_(saved["correct"])
        if saved["best"] is not None:
            self.best = Best(**saved["best"])
            weights = self.best.weights
            self.best.weights = {key: value.to(self.device) for key, value in weights.items()}
        torch.set_rng_state(saved["random"])
        if saved["random_cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(saved["random_cuda"], self.device)

    def _as_implemented(self, saved: dict[str, Any]) -> dict[str, Any]:
        """Give an optimizer's saved state this optimizer's way of computing."""
        own = self.optimizer.param_groups[0]
        keys = {key: own[key] for key in _IMPLEMENTATION if key in own}
        return {**saved, "param_groups": [{**group, **keys} for group in saved["param_groups"]]}

    def step_done(self) -> None:
        """Count a step of the epoch under way, and take it into the average."""
        self.step += 1
        if self.average is not None:
            self.average.update(self.global_step)

    def set_rate(self) -> float:
        """Give the optimizer the rate of the step to come: on a GPU where a captured step has it.

        By a rate in a number, PyTorch's optimizers take other operations than by one in a tensor.
        """
        lr = self.schedule.lr_at(self.global_step)
        if self.rate is not None:
            self.rate.fill_(lr)
        for group in self.optimizer.param_groups:
            group["lr"] = lr if self.rate is None else self.rate
        return lr
