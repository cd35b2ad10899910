"""The settings of `conf/init/`, `conf/optimizer/` and `conf/scheduler/`."""

from dataclasses import dataclass, field
from typing import Annotated

from etude.config.schema.rules import (
    NO_RESULT,
    Counting,
    Fraction,
    Natural,
    NotNegative,
    Plain,
    Positive,
    Rule,
    Share,
    since,
)


@dataclass
class InitConf(Plain):
    """What every initialisation has: weights from elsewhere over the random ones."""

    # In the fingerprint a path gives way to what is there: a file's digest, a run's fingerprint.
    weights: str | None = field(metadata=since(None))
    weights_file: str | None = field(metadata={**NO_RESULT, **since(None)})
    weights_names: (
        Annotated[dict[str, str], Rule("{our layer: the file's layer}", lambda _: True)] | None
    ) = field(metadata=since(None))
    download: bool = field(metadata=NO_RESULT)


@dataclass
class HeNormalConf(InitConf):
    """Settings of `etude.train.init.HeNormal`."""

    variance_corrected: bool


@dataclass
class NormalConf(InitConf):
    """Settings of `etude.train.init.Normal`."""

    std: Positive
    ones: list[str] = field(metadata=since([]))


@dataclass
class OptimizerConf(Plain):
    """What every optimizer has: the rate, and PyTorch's weight decay."""

    lr: Positive
    weight_decay: NotNegative


@dataclass
class SGDConf(OptimizerConf):
    """Settings of `torch.optim.SGD` and `etude.train.optim.keras.KerasSGD`."""

    momentum: Fraction
    nesterov: bool


@dataclass
class AdamConf(OptimizerConf):
    """Settings of `torch.optim.Adam` and `etude.train.optim.keras.KerasAdam`."""

    betas: list[Fraction]
    eps: Positive


@dataclass
class AdadeltaConf(OptimizerConf):
    """Settings of `torch.optim.Adadelta`."""

    rho: Fraction
    eps: Positive


@dataclass
class RMSpropConf(OptimizerConf):
    """Settings of `torch.optim.RMSprop`."""

    alpha: Fraction
    eps: Positive
    momentum: Fraction
    centered: bool


@dataclass
class TensorFlowRMSpropConf(OptimizerConf):
    """Settings of `etude.train.optim.tensorflow.TensorFlowRMSprop`."""

    alpha: Fraction
    eps: Positive
    momentum: Fraction


@dataclass
class StepsConf(Plain):
    """Settings of `etude.train.schedule.Steps`."""

    milestones_epochs: list[Positive]
    factor: Positive | None
    values: list[Positive] | None
    factors: list[Positive] | None = field(metadata=since(None))


@dataclass
class WarmedStepsConf(StepsConf):
    """Settings of `etude.train.schedule.WarmedSteps`."""

    warmup_lr: Positive
    until_error: Share


@dataclass
class ExponentialConf(Plain):
    """Settings of `etude.train.schedule.Exponential`."""

    factor: Positive
    every_epochs: Positive
    staircase: bool


@dataclass
class InverseTimeConf(Plain):
    """Settings of `etude.train.schedule.InverseTime`."""

    decay_per_step: NotNegative


@dataclass
class PlateauConf(Plain):
    """Settings of `etude.train.schedule.Plateau`."""

    factor: Share
    patience_epochs: Counting
    min_delta: NotNegative
    cooldown_epochs: Natural
    min_lr: NotNegative


@dataclass
class CosineConf(Plain):
    """Settings of `etude.train.schedule.Cosine`."""

    warmup_epochs: NotNegative
    final_fraction: Fraction
