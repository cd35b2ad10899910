"""The settings of `conf/init/`, `conf/optimizer/` and `conf/scheduler/`."""

from dataclasses import dataclass

from etude.config.schema.rules import Plain, at_least, counting, fraction, positive, setting


@dataclass
class Init(Plain):
    """What every initialisation has: weights from elsewhere over the random ones."""

    # Its text is in the fingerprint, a path's too. A run's folder ends in its own fingerprint, so
    # that its text stands for its weights; what a file holds is not looked at.
    weights: str | None = setting(since=None)
    weights_file: str | None = setting(result=False, since=None)
    weights_names: dict[str, str] | None = setting("{our layer: the file's layer}", since=None)
    download: bool = setting(result=False)


@dataclass
class HeNormal(Init):
    """Settings of `etude.init.HeNormal`."""

    variance_corrected: bool = setting()


@dataclass
class Normal(Init):
    """Settings of `etude.init.Normal`."""

    std: float = positive()
    ones: list[str] = setting(since=[])


@dataclass
class Optimizer(Plain):
    """What every optimizer has: the rate, and PyTorch's weight decay."""

    lr: float = positive()
    weight_decay: float = at_least(0)


@dataclass
class SGD(Optimizer):
    """Settings of `torch.optim.SGD` and `etude.optim.KerasSGD`."""

    momentum: float = fraction()
    nesterov: bool = setting()


@dataclass
class Adam(Optimizer):
    """Settings of `torch.optim.Adam` and `etude.optim.KerasAdam`."""

    betas: list[float] = fraction()
    eps: float = positive()


@dataclass
class Adadelta(Optimizer):
    """Settings of `torch.optim.Adadelta`."""

    rho: float = fraction()
    eps: float = positive()


@dataclass
class RMSprop(Optimizer):
    """Settings of `torch.optim.RMSprop`."""

    alpha: float = fraction()
    eps: float = positive()
    momentum: float = fraction()
    centered: bool = setting()


@dataclass
class TensorFlowRMSprop(Optimizer):
    """Settings of `etude.optim_tensorflow.TensorFlowRMSprop`."""

    alpha: float = fraction()
    eps: float = positive()
    momentum: float = fraction()


@dataclass
class Steps(Plain):
    """Settings of `etude.schedule.Steps`."""

    milestones_epochs: list[float] = positive()
    factor: float | None = positive()
    values: list[float] | None = positive()


@dataclass
class WarmedSteps(Steps):
    """Settings of `etude.schedule.WarmedSteps`."""

    warmup_lr: float = positive()
    until_error: float = fraction(zero=False)


@dataclass
class Exponential(Plain):
    """Settings of `etude.schedule.Exponential`."""

    factor: float = positive()
    every_epochs: float = positive()
    staircase: bool = setting()


@dataclass
class InverseTime(Plain):
    """Settings of `etude.schedule.InverseTime`."""

    decay_per_step: float = at_least(0)


@dataclass
class Plateau(Plain):
    """Settings of `etude.schedule.Plateau`."""

    factor: float = fraction(zero=False)
    patience_epochs: int = counting()
    min_delta: float = at_least(0)
    cooldown_epochs: int = at_least(0)
    min_lr: float = at_least(0)


@dataclass
class Cosine(Plain):
    """Settings of `etude.schedule.Cosine`."""

    warmup_epochs: float = at_least(0)
    final_fraction: float = fraction()
