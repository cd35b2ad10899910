"""A run's step, rehearsed on a GPU that computes nothing: what it launches, and what it must hold.

What it leaves out: the workspaces of cuDNN and cuBLAS, CUDA's context, and what the allocator holds
in blocks that are too large; `base.gpu_memory` has an estimate for these.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException

from etude.base.errors import UserError
from etude.base.in_subprocess import in_subprocess
from etude.base.text import first_line
from etude.config import Config, settings, source_of
from etude.data.prepare import Data
from etude.data.resident import Resident
from etude.data.sides import Sides
from etude.data.sources.source import DatasetInfo, Labelled
from etude.preflight.forward import Network
from etude.preflight.pretend import Pretend
from etude.preflight.stand_in import stand_in
from etude.train.builders import make_plan, make_state
from etude.train.choices import eval_batch_size_of, outlook_of
from etude.train.graph import Epoch, obstacle, whole_step
from etude.train.hardware import autocast
from etude.train.loop import Plan
from etude.train.record.gradients import gradients
from etude.train.state import State
from etude.train.step import Step

_TOO_LATE = "device_ready_queues_"  # where PyTorch has counted its devices, in a backward pass


class Rehearsal(NamedTuple):
    """What a run on a GPU takes there, in bytes as its allocator rounds them.

    Attributes:
        precision: It was rehearsed in.
        batch_size: Images in a step.
        operations: That a step launches, by name.
        data_bytes: Of the images that stay on the device.
        kept_bytes: Of what else is kept between steps: the weights, what the optimizer keeps, the
            weights' average and the best ones.
        step_bytes: The most that a step or an evaluation takes for itself: outputs, gradients, and
            what operations make.
        beside_bytes: What is computed beside that, where captured steps hold on to their memory: an
            epoch's smaller last batch until it is captured too, the gradients that are recorded.
        peak_bytes: The most at a time: while images are laid out, or of all these together.
    """

    precision: str
    batch_size: int
    operations: Mapping[str, int]
    data_bytes: int
    kept_bytes: int
    step_bytes: int
    beside_bytes: int
    peak_bytes: int

    def plain(self) -> Mapping[str, object]:
        """Give it as JSON has it."""
        return {**self._asdict(), "operations": sum(self.operations.values())}


def rehearse(config: Config, facts: DatasetInfo, precisions: Sequence[str]) -> list[Rehearsal]:
    """Do a run's first steps without computing them, captured or not being the same operations.

    Args:
        config: A run that has passed every check but those of its device.
        facts: Of its data set.
        precisions: float32, bfloat16 or float16, each of which gives a rehearsal; tf32 holds what
            float32 does.

    Raises:
        UserError: It waits for the device, mixes it with the CPU, or needs values otherwise.
    """
    if not torch.cuda.is_available():
        return [_rehearse(config, facts, precision) for precision in precisions]
    # Where a device has been made up, PyTorch's autograd has no GPU any more.
    answer = in_subprocess(partial(_attempt, config, facts, precisions), threads=1)
    if isinstance(answer, list):
        return answer
    raise UserError(answer or "the step cannot be rehearsed: its process ended without a word")


def _attempt(
    config: Config, facts: DatasetInfo, precisions: Sequence[str]
) -> list[Rehearsal] | str:
    """Rehearse; give the reason where it cannot be."""
    try:
        return [_rehearse(config, facts, precision) for precision in precisions]
    except UserError as error:
        return str(error)


def _rehearse(config: Config, facts: DatasetInfo, precision: str) -> Rehearsal:
    numbers = "float32" if precision == "tf32" else precision
    config = _chosen(config, facts)
    with Pretend() as pretend, warnings.catch_warnings(action="ignore"):
        try:
            return _rehearsed(config, facts, numbers, pretend)
        except DataDependentOutputException as error:
            raise UserError(f"the step waits for the device ({error})") from error
        except (RuntimeError, TypeError, ValueError, AssertionError) as error:
            reason = first_line(error)
            if _TOO_LATE in reason:
                reason = "this process has trained before; a process of its own can do it"
            raise UserError(f"the step cannot be rehearsed: {reason}") from error


def _chosen(config: Config, facts: DatasetInfo) -> Config:
    """Choose what a run on a GPU chooses there; its operations one by one, as nothing compiles."""
    size = config.train.eval_batch_size
    if size == "auto":
        sizes = {"channels": facts.channels, "classes": facts.num_classes}
        side = config.dataset.input_size or facts.size
        outlook = outlook_of(config, **sizes, size=side)
        size = str(eval_batch_size_of(outlook, max(facts.train_images, facts.test_images)))
    return replace(config, train=replace(config.train, eval_batch_size=size, compile="false"))


def _rehearsed(config: Config, facts: DatasetInfo, precision: str, pretend: Pretend) -> Rehearsal:
    device, size = pretend.device, config.train.batch_size
    # A schedule of the user's own may look at what it is given.
    config = replace(config, scheduler={"_target_": "etude.train.schedule.Constant"})
    data = made_up(config, facts)
    plan = make_plan(config, data, device, precision)
    data_bytes = pretend.live
    model = _network(config, facts, device)
    state, step = make_state(config, model, data, device, precision)
    run = _Run(state, step, plan)
    run.step(size)
    best = {key: value.clone() for key, value in state.evaluated.state_dict().items()}
    kept = pretend.live - data_bytes
    with pretend.watched():
        own = pretend.taken_by(partial(run.step, size))
    own = max(own, pretend.taken_by(partial(_evaluate, state, plan)))
    beside = pretend.taken_by(partial(_record, config, state, plan, step))
    if not _captured(config, facts, state):
        beside = max(0, beside - own)  # the same memory, one after the other
    elif rest := len(plan.train) % size:
        beside = max(beside, pretend.taken_by(partial(run.step, rest)))
    del best
    peak = max(pretend.peak, data_bytes + kept + own + beside)
    return Rehearsal(precision, size, dict(pretend.operations), data_bytes, kept, own, beside, peak)


def _captured(config: Config, facts: DatasetInfo, state: State) -> bool:
    """Tell whether its steps would be captured on a GPU, as far as that can be known."""
    streamed, stays_eager = _streams(config, facts), config.train.step == "eager"
    return not (stays_eager or obstacle(state.optimizer, state.scaler, streamed=streamed))


class _Run:
    """The steps of a run's first epoch, as `whole_step` does them."""

    def __init__(self, state: State, step: Step, plan: Plan) -> None:
        assert isinstance(plan.train, Resident)  # noqa: S101 (see `made_up`)
        self._epoch = Epoch.of(state, plan.train, 0, plan.batch_size)
        self._state, self._step = state, step
        for group in state.optimizer.param_groups:
            group["lr"] = self._epoch.lr

    def step(self, size: int) -> None:
        """Do one."""
        whole_step(self._epoch, self._step, self._state, size)


def _evaluate(state: State, plan: Plan) -> None:
    """Ask the network about one batch, as after every epoch."""
    model = state.evaluated.eval()
    with torch.no_grad():
        (split, *_) = (*plan.evaluations.values(), plan.test)
        with autocast(plan.precision, state.device):
            model(next(iter(split.in_order(plan.eval_batch_size))).images)


def _record(config: Config, state: State, plan: Plan, step: Step) -> None:
    """Compute the gradients that TensorBoard shows after an epoch, where it does."""
    if config.record.gradients:
        batch = next(plan.train.epoch(0, 0, plan.batch_size))
        smoothing, sizes = plan.label_smoothing, step.part_sizes(len(batch.labels))
        how = partial(gradients, precision=plan.precision, label_smoothing=smoothing)
        how(state.model, batch, sizes=sizes)


def _network(config: Config, facts: DatasetInfo, device: torch.device) -> nn.Module:
    """Build the network where it is to be, in the layout that it is to have."""
    with device:
        model = Network.of(config, facts).build()
    if config.train.channels_last:
        for module in model.modules():
            for name, parameter in module.named_parameters(recurse=False):
                laid_out = _channels_last(parameter.detach())
                setattr(module, name, nn.Parameter(laid_out, parameter.requires_grad))
    return model.train()


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor


def made_up(config: Config, facts: DatasetInfo) -> Data:
    """Make images without values, as many as a run holds: all, or a batch where it streams."""
    size, sides = config.train.batch_size, _sides(config, facts)
    counts = _counts(config, facts)
    if _streams(config, facts):
        counts = (size, size if counts[1] else 0, int(config.train.eval_batch_size))
    shape = (facts.channels, sides.kept, sides.kept)
    train, validation, test = (
        Labelled(torch.empty(n, *shape, dtype=torch.uint8), torch.empty(n, dtype=torch.int64))
        for n in counts
    )
    mode = "caffe" if settings(config.dataset)["normalize"] == "caffe" else "unit"  # one operation
    return stand_in(
        facts, train, validation if counts[1] else None, test, size=sides.seen, normalize=mode
    )


def _sides(config: Config, facts: DatasetInfo) -> Sides:
    dataset = config.dataset
    return Sides.of(facts.size, input_size=dataset.input_size, load_size=dataset.load_size)


def _counts(config: Config, facts: DatasetInfo) -> tuple[int, int, int]:
    """Count the images to train on, to validate by and to test by."""
    dataset = config.dataset
    images = min(facts.train_images, dataset.limit_train or facts.train_images)
    tested = min(facts.test_images, dataset.limit_test or facts.test_images)
    divided = facts.divided(images, dataset.validation_split, dataset.validation_fraction)
    return (*divided, tested)


def _streams(config: Config, facts: DatasetInfo) -> bool:
    pixels = sum(_counts(config, facts)) * facts.channels * _sides(config, facts).kept ** 2
    source = source_of(config)
    return hasattr(source, "streams") and source.streams(pixels)
