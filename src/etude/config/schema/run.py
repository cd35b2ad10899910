"""A whole run: its parts, and how it is trained and recorded."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from etude.base.duration import scaled_epochs
from etude.config.schema.rules import (
    NO_RESULT,
    Counting,
    Fraction,
    NotNegative,
    Portion,
    Positive,
    Rule,
    Seed,
    matching,
    since,
)

_METRIC = matching(
    "best.<metric>, final.<metric> or epoch_<n>.<metric>", r"(best|final|epoch_\d+)\.\w+"
)
_NAME = matching("letters, digits, '.', '_' and '-', at most 80 of them", r"[\w][\w.-]{0,79}")
_EVALUATED = matching("auto, or a whole number above 0", r"auto|[1-9]\d*")
# A word, or patterns of names; train.optim.decay has what they mean.
_DECAY = Rule(
    "kernels, all, or a list of patterns of names, as ['*conv*.weight']",
    lambda given: given in ("kernels", "all") or (isinstance(given, list) and _are_names(given)),
)
# What compile was has another key, of which the check tells.
_STEP = matching("auto, eager or graph", r"auto|eager|graph|compile")
_SWITCH = matching("auto, true or false", r"auto|[tT]rue|[fF]alse")
_BATCH = Rule(
    "a whole number above 0",
    lambda images: images > 0,
    auto=", as it changes the result; train.accumulate=auto computes a batch in as many parts as "
    "memory asks for",
)
_DEVICE = matching("auto, cpu, cuda or cuda:<number>", r"auto|cpu|cuda(:\d+)?")


def _are_names(given: list[Any]) -> bool:
    return bool(given) and all(isinstance(name, str) and name for name in given)


_TRAINED = Rule("a list of patterns of names, as ['classifier.*']", _are_names)


@dataclass
class Train:
    """How one network is trained: durations, batches, the step and what is saved.

    `accumulate` is the parts that a batch is computed in; batch norm sees each part by itself, so
    they change the numbers, and a run keeps what `auto` was when it began.
    """

    epochs: Counting
    batch_size: Annotated[int, _BATCH]
    label_smoothing: Fraction
    clip_norm: Positive | None
    accumulate: Counting | Literal["auto"]
    decay: Annotated[Any, _DECAY]
    trainable: Annotated[list[str], _TRAINED] | None = field(metadata=since(None))
    frozen_batch_norm: Literal["evaluate", "affine", "train"] = field(metadata=since("evaluate"))
    cache_features: Annotated[str, _SWITCH] = field(metadata=since("auto"))
    average_decay: Portion | None = field(metadata=since(None))
    test_every_epoch: bool
    test_crops: Literal[1, 2, 10] = field(metadata=since(1))
    eval_batch_size: Annotated[str, _EVALUATED] = field(metadata=NO_RESULT)
    step: Annotated[str, _STEP] = field(metadata=NO_RESULT)
    compile: Annotated[str, _SWITCH] = field(metadata=since("auto"))
    channels_last: bool = field(metadata=NO_RESULT)
    deterministic: bool = field(metadata=NO_RESULT)
    keep_memory: bool = field(metadata=NO_RESULT)
    checkpoint_seconds: NotNegative = field(metadata=NO_RESULT)
    checkpoint_steps: Counting | None = field(metadata=NO_RESULT)

    def __post_init__(self) -> None:
        # true is no text for YAML, and comes as Python's True
        self.compile, self.cache_features = self.compile.lower(), self.cache_features.lower()

    @property
    def parts(self) -> int:
        """Parts that a batch is computed in; of `auto` one, until a run has chosen."""
        return 1 if self.accumulate == "auto" else self.accumulate

    @property
    def images_at_a_time(self) -> int:
        """Images that a step has in memory at a time."""
        return -(-self.batch_size // self.parts)


@dataclass
class Record:
    """What a run writes beside its metrics; none of it changes the result."""

    tensorboard: bool
    curves: bool
    confusion: bool
    norms: bool
    layers: bool
    graph: bool
    augmented: bool
    predictions: bool
    histograms: bool
    pr_curves: bool
    embeddings: bool
    profile: bool
    notify: str | None

    @property
    def gradients(self) -> bool:
        """Whether gradients are computed for TensorBoard after each epoch."""
        return self.tensorboard and (self.norms or self.histograms)


@dataclass
class Reference:
    """One figure of a document, and when a run agrees with it."""

    metric: Annotated[str, _METRIC]
    value: float | None
    tolerance: NotNegative | None
    at_least: float | None
    source: str


@dataclass
class Config:
    """A whole run."""

    model: Any
    dataset: Any
    augment: Any
    init: Any
    optimizer: Any
    scheduler: Any
    train: Train
    name: Annotated[str, _NAME] = field(metadata=NO_RESULT)
    seed: Seed
    scale: Positive
    l2: NotNegative
    device: Annotated[str, _DEVICE] = field(metadata=NO_RESULT)
    precision: Literal["auto", "float32", "tf32", "bfloat16", "float16"]
    fresh: bool = field(metadata=NO_RESULT)
    packages: list[str] = field(metadata=NO_RESULT)
    record: Record = field(metadata=NO_RESULT)
    reference: list[Reference] = field(metadata=NO_RESULT)

    @property
    def epochs(self) -> int:
        """Epochs to train, `scale` applied; at least one."""
        return scaled_epochs(self.train.epochs, self.scale)
