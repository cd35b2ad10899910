"""From a configuration to the parts of a run: data, network, optimizer, schedule, plan."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from etude.base import startup
from etude.base.allocator import keep_memory
from etude.base.seeds import mix
from etude.config import Config, build, schedule_of, settings, source_of
from etude.config.schema import DATASET
from etude.data.augment.augment import Augment
from etude.data.batch import Split, memory_format
from etude.data.preparation import Preparation
from etude.data.prepare import Data, prepare
from etude.data.resident import Resident, lay_out
from etude.data.sources.files import Files
from etude.data.sources.source import Labelled
from etude.data.splits import check_batch_size
from etude.data.stream import Stream
from etude.train.automatic import Automatic
from etude.train.bfloat16_gains import gains
from etude.train.choices import (
    choose_compiled,
    choose_eval_batch_size,
    choose_smallest_part,
    may_capture,
)
from etude.train.compiler import Compiler
from etude.train.evaluate import evaluate
from etude.train.evaluator import CapturedEvaluation
from etude.train.graph import Captured
from etude.train.hardware import (
    choose_device,
    choose_precision,
    make_current,
    make_deterministic,
    set_tf32,
)
from etude.train.images import Images, preparation_of
from etude.train.layers import LoadedLayers
from etude.train.loop import Plan, StepRunner
from etude.train.on_features import keep_features
from etude.train.optim.decay import parameter_groups
from etude.train.optim.spare_compiler import spare_compiler
from etude.train.schedule import Schedule
from etude.train.skipped import Updates, begin_velocities
from etude.train.state import State
from etude.train.step import Eager, Step
from etude.train.test_time_views import MeanOfViews, check_test_views
from etude.train.trained import network_for
from etude.train.weight_average import WeightAverage
from etude.train.weights import WeightsSource, load

log = logging.getLogger(__name__)


class Parts(NamedTuple):
    """All that a run needs before its first step.

    Attributes:
        state: What the run becomes.
        steps: How an epoch's steps are carried out.
        plan: How long, on what, and what judges.
        images: What the data set is.
        preparation: What becomes of an image; it has the classes' names.
        loaded: The weights that it begins with; None for random ones.
        part_sizes: Images of each part that a batch is computed in.
    """

    state: State
    steps: StepRunner
    plan: Plan
    images: Images
    preparation: Preparation
    loaded: LoadedLayers | None
    part_sizes: Sequence[int]

    @property
    def classes(self) -> Sequence[str]:
        """Names, in the order of the labels."""
        return self.preparation.classes


def make_parts(config: Config, precision: str | None = None) -> Parts:
    """Make a run's parts, and put them on their device.

    Args:
        config: Of the run.
        precision: That it computes in; None chooses for this configuration alone.

    Raises:
        UserError: Something asked for is not possible.
    """
    device = choose_device(config.device)
    precision = precision or choose_precision(config.precision, device, gains=gains(config))
    make_current(device)
    make_deterministic(deterministic=config.train.deterministic)
    set_tf32(precision)
    data = load_data(config)
    startup.mark("data")
    model = make_model(config, data, device)
    loaded = load_weights(config, model)
    state, step = make_state(config, model, data, device, precision)
    plan = make_plan(config, data, device, precision)
    if config.train.keep_memory and device.type == "cpu":
        keep_memory()  # from here on: what reading the data took is given back
    startup.mark("network and optimizer")
    make = partial(make_steps, config, device=device)
    kept, parts = config.train.cache_features, config.train.parts
    steps, plan = keep_features(step, plan, state, kept=kept, parts=parts, make_steps=make)
    images, prepared = Images.of(config, data), preparation_of(config, data)
    sizes = step.part_sizes(min(plan.batch_size, len(plan.train)))
    return Parts(state, steps, plan, images, prepared, loaded, sizes)


def load_data(config: Config) -> Data:
    """Read the data set and divide it."""
    dataset = settings(config.dataset)
    return prepare(source_of(config), **{key: dataset[key] for key in DATASET})


def make_model(config: Config, data: Data, device: torch.device) -> nn.Module:
    """Build and initialise the network on the CPU, so that a seed means one network everywhere."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mix(config.seed, "model"))
        sizes = {"channels": data.channels, "classes": len(data.classes), "size": data.size}
        model = network_for(config, **sizes)
    init = settings(config.init)
    kept = data.train.images.shape[-1]
    check_test_views(model, config.train.test_crops, kept=kept, seen=data.size)
    own = {key: value for key, value in init.items() if key not in WeightsSource._fields}
    build(own, config.packages)(model, seed=mix(config.seed, "init"))
    layout = memory_format(channels_last=config.train.channels_last)
    return model.to(device).to(memory_format=layout)


def load_weights(config: Config, model: nn.Module) -> LoadedLayers | None:
    """Put weights from elsewhere over the random ones where `init` asks for it; tell which."""
    loaded = load(model, WeightsSource.of(settings(config.init)))
    if config.train.trainable and loaded is None:
        log.warning(
            "train.trainable without init.weights: what does not train stays as it was drawn"
        )
    fresh = [] if loaded is None else [name for name in loaded.fresh if not _trains(model, name)]
    if config.train.trainable and fresh:
        log.warning(
            "%s: not loaded, and not trained either: as drawn to the end (train.trainable)",
            ", ".join(fresh),
        )
    return loaded


def _trains(model: nn.Module, layer: str) -> bool:
    """Say whether any parameter of a layer's own is trained; one without has nothing drawn."""
    own = [*model.get_submodule(layer).parameters(recurse=False)]
    return not own or any(parameter.requires_grad for parameter in own)


def make_state(
    config: Config, model: nn.Module, data: Data, device: torch.device, precision: str
) -> tuple[State, Step]:
    """Put the optimizer, the schedule and the step around a network."""
    batch_size, images = config.train.batch_size, len(data.train.labels)
    check_batch_size(batch_size, images)
    steps = -(-images // batch_size)
    optimizer = _optimizer(config, model, device)
    schedule: Schedule = schedule_of(config)
    schedule.bind(
        base_lr=optimizer.param_groups[0]["lr"],
        steps_per_epoch=steps,
        epochs=config.epochs,
        scale=config.scale,
    )
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")
    compiler = Compiler(
        on=choose_compiled(config, data, device, optimizer, scaler),
        deterministic=config.train.deterministic,
    )
    step = Step(
        model,
        optimizer,
        scaler=scaler,
        device=device,
        precision=precision,
        label_smoothing=config.train.label_smoothing,
        clip_norm=config.train.clip_norm,
        accumulate=config.train.parts,
        smallest_part=choose_smallest_part(config, data),
        compiler=compiler,
    )
    decay = config.train.average_decay
    updates = None
    if scaler.is_enabled():
        begin_velocities(optimizer)
        updates = Updates(optimizer, device) if decay is not None else None
    average = None if decay is None else WeightAverage(model, decay=decay, updates=updates)
    return State(model, optimizer, scaler, schedule, device, steps, average, compiler), step


def _optimizer(config: Config, model: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    chosen = settings(config.optimizer)
    decay = 2 * config.l2 or chosen.get("weight_decay", 0.0)
    # Captured or not, a GPU's steps are the same operations.
    captured = {} if device.type == "cpu" else {"capturable": True}
    spare_compiler()
    return build(
        chosen,
        config.packages,
        params=parameter_groups(model, weight_decay=decay, decay=config.train.decay),
        fused=True,
        **captured,
    )


def make_steps(config: Config, step: Step, device: torch.device) -> StepRunner:
    """Choose how an epoch's steps are carried out."""
    if config.train.step == "auto" and may_capture(config, device):
        return Automatic(step)
    return Captured(step) if config.train.step == "graph" else Eager(step)


def make_plan(config: Config, data: Data, device: torch.device, precision: str) -> Plan:
    """Put the splits on the device, and say what is done with them."""
    ready, seen = partial(_split, config, data, device), data.size
    crops = config.train.test_crops
    tested = _on_device(data.test, config, device) if crops > 1 else data.test
    test = ready(tested, seen)
    evaluations: dict[str, Split] = {}
    if data.validation is not None:
        evaluations["validation"] = ready(data.validation, seen)
    if config.train.test_every_epoch:
        evaluations["test"] = test
    batch_size, captured = choose_eval_batch_size(config, data, device), may_capture(config, device)
    how: Any = {"device": device, "precision": precision, "batch_size": batch_size}
    test_views = partial(MeanOfViews, count=crops, size=seen) if crops > 1 else None
    return Plan(
        epochs=config.epochs,
        batch_size=config.train.batch_size,
        seed=config.seed,
        train=ready(data.train, seen, _augment(config, data, device)),
        evaluations=evaluations,
        test=ready(tested, None) if crops > 1 else test,  # cut out of whole images
        # The test split chooses only where the document's protocol has nothing else.
        select=next(iter(evaluations), None),
        eval_batch_size=batch_size,
        evaluator=CapturedEvaluation(**how) if captured else partial(evaluate, **how),
        precision=precision,
        l2=config.l2,
        decay=config.train.decay,
        label_smoothing=config.train.label_smoothing,
        test_views=test_views,
    )


def _augment(config: Config, data: Data, device: torch.device) -> Augment:
    augment: Augment = build(config.augment, config.packages)
    images = data.train.images
    augment.check(channels=data.channels, kept=images.shape[-1], seen=data.size)
    return augment.fitted(images, device)


def _split(
    config: Config,
    data: Data,
    device: torch.device,
    split: Labelled,
    size: int | None,
    augment: Augment | None = None,
) -> Split:
    """Make what gives a split's images in batches, cut to a size; None leaves them whole."""
    how: Any = {
        "normalize": data.normalize,
        "augment": augment,
        "device": device,
        "channels_last": config.train.channels_last,
        "size": size,
    }
    if isinstance(split.images, Files):
        return Stream(split.images, split.labels, workers=torch.get_num_threads(), **how)
    return Resident(split.images, split.labels, **how)


def _on_device(split: Labelled, config: Config, device: torch.device) -> Labelled:
    """Lay images in memory out as batches are, so that two splits can share them."""
    if isinstance(split.images, Files):
        return split
    layout = memory_format(channels_last=config.train.channels_last)
    return Labelled(lay_out(split.images, device, layout), split.labels)
