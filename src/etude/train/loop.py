"""The training loop: the one for every model, on one device, stoppable between any two steps."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from etude.data.batch import Split
from etude.runs.records import EpochRow
from etude.train.checkpoint import Checkpoints
from etude.train.evaluate import Score
from etude.train.evaluator import Evaluator
from etude.train.hardware import peak_memory, synchronize
from etude.train.optim.decay import Decay, penalty
from etude.train.state import Best, State
from etude.train.stop import Stop

log = logging.getLogger(__name__)


class Diverged(Exception):  # noqa: N818 (a result, not a mistake)
    """The loss became NaN or infinite.

    Args:
        loss: Its value.
        epoch: The epoch, counted from 1.
        step: The step of that epoch, counted from 1; None if it was seen in the evaluation.
        lr: The learning rate then.
        at: Of the weights whose loss it is: epochs done, and steps of the next.
    """

    def __init__(
        self, loss: float, epoch: int, step: int | None, lr: float, *, at: tuple[int, int]
    ) -> None:
        where = "evaluation" if step is None else f"step {step}"
        super().__init__(f"the loss became {loss} in epoch {epoch}, {where} (learning rate {lr:g})")
        self.at = at


class Stopped(Exception):  # noqa: N818 (asked for)
    """The run was asked to stop, and has saved.

    Args:
        exit_code: What the process should end with.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class Display(Protocol):
    """Where progress is shown."""

    def step(self, state: State) -> None:
        """Take note of a step; must not wait for the device."""
        ...


class StepRunner(Protocol):
    """How an epoch's steps are carried out: one after the other, or as a captured graph."""

    def begin(self, state: State, images: Split, *, seed: int, batch_size: int) -> None:
        """Take up what is left of the epoch under way."""
        ...

    def advance(self, state: State) -> None:
        """Do the next step, count it, and note its loss; must not wait for the device."""
        ...


@dataclass(frozen=True)
class Plan:
    """How long to train, on what, and what the epochs are judged by.

    Args:
        epochs: Epochs in all.
        batch_size: Images in a batch; the last one of an epoch may be smaller.
        seed: Of the data's order and augmentation.
        train: The images to learn from.
        evaluations: Splits to evaluate after every epoch, by name.
        test: The images for the final result.
        select: The one of them that chooses the best epoch; None keeps none.
        eval_batch_size: Images in a batch of evaluation.
        evaluator: Scores the network after every epoch.
        precision: float32, bfloat16 or float16.
        l2: Keras's λ; its penalty is reported apart from the losses.
        decay: Which parameters it is of.
        label_smoothing: Share of the target that is spread over all classes, while it is learned.
        test_views: Puts something around the network that asks it about several views of a test
            image; None asks about one, as in `evaluations`.
        behind: Gives what follows a network's frozen layers, and what these make of images; None
            where there are none to leave out.
    """

    epochs: int
    batch_size: int
    seed: int
    train: Split
    evaluations: Mapping[str, Split]
    test: Split
    select: str | None
    eval_batch_size: int
    evaluator: Evaluator
    precision: str
    l2: float
    decay: Decay = "kernels"
    label_smoothing: float = 0.0
    test_views: Callable[[nn.Module], nn.Module] | None = None
    behind: Callable[[nn.Module, Tensor], tuple[nn.Module, Tensor]] | None = None

    def tested(self, model: nn.Module) -> nn.Module:
        """Give what is asked about the images of the final test."""
        return model if self.test_views is None else self.test_views(model)


def fit(
    state: State,
    steps: StepRunner,
    plan: Plan,
    *,
    checkpoints: Checkpoints,
    stop: Stop,
    display: Display,
) -> Iterator[EpochRow]:
    """Train to the plan's end, and yield a line of metrics after every epoch.

    The line belongs into `metrics.jsonl` before the next is asked for: a checkpoint that is
    written later counts on it.

    Raises:
        Diverged: The loss became NaN or infinite; the last checkpoint is from before.
        Stopped: A signal came, and the state has been saved.
    """
    while state.epoch < plan.epochs:
        _train(state, steps, plan, checkpoints, stop, display)
        yield _finish_epoch(state, plan)
    checkpoints.save(state.state_dict())


def _train(
    state: State,
    steps: StepRunner,
    plan: Plan,
    checkpoints: Checkpoints,
    stop: Stop,
    display: Display,
) -> None:
    """Do the rest of an epoch's steps. Nothing in here waits for the device but a checkpoint."""
    state.model.train()
    clock = _Clock(state)
    steps.begin(state, plan.train, seed=plan.seed, batch_size=plan.batch_size)
    while state.step < state.steps:
        if stop.exit_code is not None or checkpoints.due(state.global_step):
            clock.stop()
            check_finite(state)
            checkpoints.save(state.state_dict())
            if (code := stop.exit_code) is not None:
                told = (stop.signal_name, state.epoch + 1, state.step)
                log.debug("%s: saved at epoch %d, step %d", *told)
                if stop.hand_on():
                    raise Stopped(code)
            clock = _Clock(state)
        steps.advance(state)
        display.step(state)
    clock.stop()


class _Clock:
    """Add the time until `stop` to a state's seconds."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._start = time.monotonic()

    def stop(self) -> None:
        synchronize(self._state.device)
        passed = time.monotonic() - self._start
        self._state.epoch_seconds += passed
        self._state.seconds += passed


def check_finite(state: State) -> None:
    """Look at all losses of the epoch under way; this waits for the device.

    Raises:
        Diverged: One is NaN or infinite.
    """
    losses = state.losses[: state.step].cpu()
    bad = (~losses.isfinite()).nonzero()
    if len(bad):
        index = int(bad[0])
        lr = state.schedule.lr_at(state.epoch * state.steps + index)
        at = state.epoch, index
        raise Diverged(float(losses[index]), state.epoch + 1, index + 1, lr, at=at)


def _finish_epoch(state: State, plan: Plan) -> EpochRow:
    """Evaluate, select, and step on to the next epoch."""
    check_finite(state)
    start = time.monotonic()
    images = len(plan.train)
    train = _train_score(state, images, plan.batch_size)
    scores = {
        name: plan.evaluator(state.evaluated, data) for name, data in plan.evaluations.items()
    }
    decay = float(penalty(state.evaluated, plan.l2, plan.decay)) if plan.l2 else 0.0
    lr = state.schedule.lr_at(state.global_step - 1)
    for loss in (*(score.loss for score in scores.values()), decay):
        check_loss(loss, state, state.epoch + 1)
    state.seconds += time.monotonic() - start
    told: dict[str, float] = {}
    for name, score in {"train": train, **scores}.items():
        told |= {f"{name}_loss": score.loss, f"{name}_accuracy": score.accuracy}
    row = {
        "epoch": state.epoch + 1,
        "step": state.global_step,
        **told,
        "penalty": decay,
        "lr": lr,
        "images_per_second": images / max(state.epoch_seconds, 1e-9),
        "seconds": state.epoch_seconds + time.monotonic() - start,
        "memory_bytes": peak_memory(state.device),
    }
    _select(state, plan, scores)
    followed = None if plan.select is None else scores[plan.select].loss + decay
    state.schedule.epoch_ended(loss=followed, train_error=1 - train.accuracy)
    state.epoch, state.step, state.epoch_seconds = state.epoch + 1, 0, 0.0
    return cast("EpochRow", row)


def _train_score(state: State, images: int, batch_size: int) -> Score:
    """Average an epoch's steps over its images, as seen while learning (dropout on)."""
    sizes = torch.full((state.steps,), batch_size, dtype=torch.float64)
    sizes[-1] = images - batch_size * (state.steps - 1)
    loss = (state.losses.cpu().double() * sizes).sum() / images
    return Score(float(loss), int(state.correct.sum()) / images)


def check_loss(loss: float, state: State, epoch: int) -> None:
    """Look at an evaluation's loss, after the last step of an epoch.

    Raises:
        Diverged: It is NaN or infinite.
    """
    if not math.isfinite(loss):
        lr = state.schedule.lr_at(state.global_step - 1)
        raise Diverged(loss, epoch, None, lr, at=(state.epoch, state.step))


def _select(state: State, plan: Plan, scores: Mapping[str, Score]) -> None:
    """Keep the weights of the epoch with the best accuracy; of equal ones, the lowest loss."""
    if plan.select is None:
        return
    score, best = scores[plan.select], state.best
    if best is None or (score.accuracy, -score.loss) > (best.accuracy, -best.loss):
        state.best = None  # whose memory the new ones can have
        weights = state.evaluated.state_dict()
        weights = {key: value.detach().clone() for key, value in weights.items()}
        state.best = Best(state.epoch + 1, score.accuracy, score.loss, weights)
