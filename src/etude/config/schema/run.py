"""A whole run: its parts, and how it is trained and recorded."""

import re
from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from etude.config.schema.rules import (
    at_least,
    counting,
    fraction,
    one_of,
    positive,
    seeding,
    setting,
)
from etude.duration import scaled_epochs

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


@dataclass
class Train:
    """How one network is trained: durations, batches, the step and what is saved."""

    epochs: int = counting()
    batch_size: int = counting()
    label_smoothing: float = fraction()
    clip_norm: float | None = positive()
    accumulate: int = counting()
    decay: str = one_of("kernels", "all")
    average_decay: float | None = setting(
        "a fraction above 0 and at most 1", lambda v: 0 < v <= 1, since=None
    )
    test_every_epoch: bool = setting()
    test_crops: int = setting("one of 1, 2, 10", lambda v: v in {1, 2, 10}, since=1)
    eval_batch_size: int = counting(result=False)
    step: str = one_of("eager", "compile", "graph", result=False)
    channels_last: bool = setting(result=False)
    deterministic: bool = setting(result=False)
    checkpoint_seconds: float = at_least(0, result=False)
    checkpoint_steps: int | None = counting(result=False)


@dataclass
class Record:
    """What a run writes beside its metrics."""

    tensorboard: bool = setting(result=False)
    curves: bool = setting(result=False)
    confusion: bool = setting(result=False)
    norms: bool = setting(result=False)
    graph: bool = setting(result=False)
    augmented: bool = setting(result=False)
    predictions: bool = setting(result=False)
    histograms: bool = setting(result=False)
    pr_curves: bool = setting(result=False)
    embeddings: bool = setting(result=False)
    profile: bool = setting(result=False)


@dataclass
class Reference:
    """One figure of a document, and when a run agrees with it."""

    metric: str = setting(
        "best.<metric>, final.<metric> or epoch_<n>.<metric>",
        lambda v: re.fullmatch(r"(best|final|epoch_\d+)\.\w+", v) is not None,
        result=False,
    )
    value: float | None = setting(result=False)
    tolerance: float | None = at_least(0, result=False)
    at_least: float | None = setting(result=False)
    source: str = setting(result=False)


@dataclass
class Config:
    """A whole run."""

    model: Any = MISSING
    dataset: Any = MISSING
    augment: Any = MISSING
    init: Any = MISSING
    optimizer: Any = MISSING
    scheduler: Any = MISSING
    train: Train = field(default_factory=Train)
    name: str = setting(
        "letters, digits, '.', '_' and '-', at most 80 of them",
        lambda v: re.fullmatch(r"[\w][\w.-]{0,79}", v) is not None,
        result=False,
    )
    seed: int = seeding()
    scale: float = positive()
    l2: float = at_least(0)
    device: str = setting(
        "auto, cpu, cuda or cuda:<number>", lambda v: _DEVICE.fullmatch(v) is not None, result=False
    )
    precision: str = one_of("auto", "float32", "tf32", "bfloat16", "float16")
    fresh: bool = setting(result=False)
    packages: list[str] = setting(result=False)
    record: Record = field(default_factory=Record)
    reference: list[Reference] = field(default_factory=list[Reference], metadata={"result": False})

    @property
    def epochs(self) -> int:
        """Epochs to train, `scale` applied; at least one."""
        return scaled_epochs(self.train.epochs, self.scale)
