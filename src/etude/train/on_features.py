"""Learning and evaluating on kept features: what takes the place of a run's steps and evaluations.

The loop hands over images, as to all; where a network's body can be left out, its end is given
features instead. Everybody else asks the whole network about images.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from etude.base.errors import UserError
from etude.base.text import counted
from etude.data.batch import Ordered, Split
from etude.models.auxiliary import WithHeads
from etude.train.body import Cut, changing, cut
from etude.train.evaluate import Score
from etude.train.evaluator import Evaluator
from etude.train.features import CannotKeep, Features, KeptBatches, through
from etude.train.loop import Plan, StepRunner
from etude.train.loss import OwnLoss
from etude.train.state import State
from etude.train.step import Step

log = logging.getLogger(__name__)

# Whose networks do what they are traced to do, whatever else the process does.
_KNOWN = ("etude", "torch", "torchvision")
_KEY = "train.cache_features"

MakeSteps = Callable[[Step], StepRunner]


def keep_features(
    step: Step, plan: Plan, state: State, *, kept: str, parts: int, make_steps: MakeSteps
) -> tuple[StepRunner, Plan]:
    """Have steps and evaluations leave out a frozen body, where there is one.

    Args:
        step: What is done with each batch.
        plan: Says what is learned from, and evaluates through the body.
        state: With the network, all of whose weights may still be loaded.
        kept: `auto` where no bit changes by it, `true` or an error, `false`.
        parts: That a batch is computed in.
        make_steps: Says how a step is carried out again and again.

    Raises:
        UserError: `kept` is `true`, and the body cannot be left out.
    """
    model, steps, exact = state.model.train(), make_steps(step), kept != "true"
    frozen = any(not parameter.requires_grad for parameter in model.parameters())
    if kept == "false" or (exact and not frozen):
        return steps, plan
    changes = changing(model)
    found = cut(model, changes)
    if reason := _obstacle(model, found, exact=exact):
        _refuse(reason, exact=exact)
        return steps, plan
    evaluator = OnFeaturesEvaluation(plan.evaluator, changes, plan.precision, state.device)
    plan = replace(plan, evaluator=evaluator, behind=evaluator.behind)
    reason = _obstacle_to_learning(plan.train, parts if exact else 1)
    if reason or found is None:
        _refuse(reason, exact=exact)
        return steps, plan
    ends = make_steps(step.of_features(found.end))
    return OnFeatures(steps, ends, found, plan.precision, exact=exact), plan


def _obstacle(model: nn.Module, found: Cut | None, *, exact: bool) -> str:
    """Say why a network is asked about images, if it must be."""
    if isinstance(model, OwnLoss):
        return f"{type(model).__name__} has a loss of its own"
    if found is None:
        return f"{type(model).__name__} has no frozen layers that all others come after"
    strange = [m for m in model.modules() if type(m).__module__.partition(".")[0] not in _KNOWN]
    if exact and strange:
        return f"{type(strange[0]).__name__} may do another thing every time; {_KEY}=true trusts it"
    return ""


def _obstacle_to_learning(images: Split, parts: int) -> str:
    if images.varies:
        return "augmentation makes other images for each"
    if parts > 1:
        return f"a batch is computed in {parts} parts; {_KEY}=true computes other bits"
    return ""


def _refuse(reason: str, *, exact: bool) -> None:
    """Tell why features are computed in every epoch.

    Raises:
        UserError: It was asked for that they are not.
    """
    if not exact:
        raise UserError(f"{_KEY}=true: {reason}; set it to auto")
    log.info("frozen layers are computed in every epoch: %s", reason)


class OnFeatures:
    """Carry out steps on features, once it is known that they can be kept; else through the body.

    Args:
        whole: Steps that take images.
        ends: Steps that take features.
        found: The network in two.
        precision: Of the steps.
        exact: Whether no bit may change.
    """

    def __init__(
        self, whole: StepRunner, ends: StepRunner, found: Cut, precision: str, *, exact: bool
    ) -> None:
        self._whole, self._ends, self._found = whole, ends, found
        self._precision, self._exact = precision, exact
        self._features: Features | None = None
        self._steps: StepRunner | None = None

    def begin(self, state: State, images: Split, *, seed: int, batch_size: int) -> None:
        """Take up what is left of the epoch under way.

        Raises:
            UserError: Features were asked for, and cannot be kept.
        """
        if self._steps is None:
            self._features = self._kept(state, images, seed, batch_size)
            self._steps = self._whole if self._features is None else self._ends
        self._steps.begin(state, self._features or images, seed=seed, batch_size=batch_size)

    def advance(self, state: State) -> None:
        """Do the next step, count it, and note its loss."""
        assert self._steps is not None, "begin comes first"  # noqa: S101
        self._steps.advance(state)

    def _kept(self, state: State, images: Split, seed: int, batch_size: int) -> Features | None:
        """Compute features, with the weights as they are now; None where they cannot be kept."""
        if self._exact and state.compiler.on:
            _refuse(f"steps are compiled; {_KEY}=true computes other bits", exact=True)
            return None
        try:
            features = Features(
                images,
                through(self._found.body, self._precision, state.device),
                state.device,
                seed=seed,
                epoch=state.epoch,
                batch_size=batch_size,
                exact=self._exact,
            )
        except CannotKeep as error:
            _refuse(error.reason, exact=self._exact)
            return None
        told = counted(len(features), "image"), features.bytes / 2**20
        log.info("frozen layers: computed once for %s, %.1f MiB of features", *told)
        return features


class OnFeaturesEvaluation:
    """Score networks by the features of their bodies, which are kept from the first time on.

    Args:
        evaluator: Scores a network on a split.
        changes: What steps change of the network, by name.
        precision: Of the evaluations.
        device: Where they are.
    """

    def __init__(
        self, evaluator: Evaluator, changes: frozenset[str], precision: str, device: torch.device
    ) -> None:
        self._evaluator, self._changes = evaluator, changes
        self._through = partial(through, precision=precision, device=device)
        self._cuts: dict[nn.Module, Cut | None] = {}
        self._kept: dict[tuple[nn.Module, Ordered], KeptBatches] = {}

    def __call__(self, model: nn.Module, data: Ordered) -> Score:
        """Score a network."""
        found = self._cut(model)
        if found is None:
            return self._evaluator(model, data)
        if (model, data) not in self._kept:
            self._kept[model, data] = KeptBatches(data, self._through(found.body))
        return self._evaluator(found.end, self._kept[model, data])

    def behind(self, model: nn.Module, images: Tensor) -> tuple[nn.Module, Tensor]:
        """Give a network's end, and the features of images, in the place of both."""
        found = None if isinstance(model, WithHeads) else self._cut(model)
        return (model, images) if found is None else (found.end, self._through(found.body)(images))

    def _cut(self, model: nn.Module) -> Cut | None:
        model.eval()
        if model not in self._cuts:
            self._cuts[model] = cut(model, self._changes)
        return self._cuts[model]
