"""The types of every configuration key and the range of every number; the values are in `conf/`.

A field's metadata holds its rule. `result=False` marks what cannot change a run's result and so
stays out of its fingerprint. A field that is added later says `since=<default>`: at that value it
is left out of the fingerprint, so that older runs keep theirs.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from omegaconf import MISSING

_REQUIRED = object()


def setting(
    rule: str = "",
    test: Callable[[Any], bool] | None = None,
    *,
    result: bool = True,
    since: object = _REQUIRED,
) -> Any:
    """Declare a field without a value, with the rule that its value (or each item) must pass."""
    metadata: dict[str, Any] = {"rule": rule, "test": test, "result": result}
    if since is not _REQUIRED:
        metadata["since"] = since
    return field(default=MISSING, metadata=metadata)


def one_of(*choices: str, result: bool = True, since: object = _REQUIRED) -> Any:
    """Declare a field that takes one of a few words."""
    rule = f"one of {', '.join(choices)}"
    return setting(rule, lambda value: value in choices, result=result, since=since)


def positive(*, result: bool = True) -> Any:
    """Declare a number above 0."""
    return setting("a number above 0", lambda value: value > 0, result=result)


def at_least(limit: float, *, result: bool = True) -> Any:
    """Declare a number that is not below `limit`."""
    return setting(f"a number of at least {limit:g}", lambda v: v >= limit, result=result)


def fraction(*, zero: bool = True, one: bool = False, since: object = _REQUIRED) -> Any:
    """Declare a part of a whole; `zero` and `one` say whether the ends are allowed."""
    rule = f"at least 0 and {'at most' if one else 'below'} 1" if zero else "between 0 and 1"
    return setting(
        f"a fraction {rule}",
        lambda v: (v >= 0 if zero else v > 0) and (v <= 1 if one else v < 1),
        since=since,
    )


_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_SEED_LIMIT = 2**32  # what NumPy's generators take, the narrowest of those in use


@dataclass
class Train:
    """How one network is trained: durations, batches, the step and what is saved."""

    epochs: int = setting("a whole number above 0", lambda v: v > 0)
    batch_size: int = setting("a whole number above 0", lambda v: v > 0)
    label_smoothing: float = fraction()
    clip_norm: float | None = positive()
    accumulate: int = setting("a whole number above 0", lambda v: v > 0)
    decay: str = one_of("kernels", "all")
    average_decay: float | None = setting(
        "a fraction above 0 and at most 1", lambda v: 0 < v <= 1, since=None
    )
    test_every_epoch: bool = setting()
    test_crops: int = setting("one of 1, 2, 10", lambda v: v in {1, 2, 10}, since=1)
    eval_batch_size: int = setting("a whole number above 0", lambda v: v > 0, result=False)
    step: str = one_of("eager", "compile", "graph", result=False)
    channels_last: bool = setting(result=False)
    deterministic: bool = setting(result=False)
    checkpoint_seconds: float = at_least(0, result=False)
    checkpoint_steps: int | None = setting("a whole number above 0", lambda v: v > 0, result=False)


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


# --- the groups ------------------------------------------------------------------------------
@dataclass
class LeNet5:
    """Settings of `etude.models.lenet.LeNet5`."""

    _target_: str = MISSING


@dataclass
class AlexNetSmall:
    """Settings of `etude.models.alexnet.AlexNetSmall`."""

    _target_: str = MISSING
    dropout: float = fraction()


@dataclass
class LRN:
    """Local response normalisation, with the paper's alpha."""

    size: int = setting("a whole number above 0", lambda v: v > 0)
    alpha: float = positive()
    beta: float = positive()
    k: float = positive()


@dataclass
class VGG:
    """Settings of `etude.models.vgg.VGG`."""

    _target_: str = MISSING
    variant: str = one_of("A", "A-LRN", "B", "C", "D", "E")
    batch_norm: bool = setting()
    bn_eps: float = positive()
    bn_momentum: float = fraction(zero=False, one=True)
    head_batch_norm: bool = setting()
    dropout: float = fraction()
    stage_dropout: list[float] = fraction()
    activation: str = one_of("relu", "tanh", "sigmoid")
    width: float = positive()
    hidden: int = setting("a whole number above 0", lambda v: v > 0)
    lrn: LRN = field(default_factory=LRN)


@dataclass
class ResNetSmall:
    """Settings of `etude.models.resnet_cifar.ResNetSmall`."""

    _target_: str = MISSING
    depth: int = setting("6n+2: 8, 14, 20, ...", lambda v: v >= 8 and v % 6 == 2)
    residual: bool = setting()
    shortcut: str = one_of("A", "B", "C")
    width: float = positive()
    bn_eps: float = positive()
    bn_momentum: float = fraction(zero=False, one=True)


@dataclass
class ResNet:
    """Settings of `etude.models.resnet.ResNet`."""

    _target_: str = MISSING
    depth: int = setting("one of 18, 34, 50, 101, 152", lambda v: v in {18, 34, 50, 101, 152})
    residual: bool = setting()
    shortcut: str = one_of("A", "B", "C")
    stride_in_3x3: bool = setting()
    small_stem: bool = setting()
    width: float = positive()
    bn_eps: float = positive()
    bn_momentum: float = fraction(zero=False, one=True)


@dataclass
class ResNetPreact:
    """Settings of `etude.models.resnet_preact.ResNetPreact`."""

    _target_: str = MISSING
    depth: int = setting("6n+2, or 9n+2 with bottlenecks", lambda v: v >= 8)
    bottleneck: bool = setting()
    width: float = positive()
    bn_eps: float = positive()
    bn_momentum: float = fraction(zero=False, one=True)


@dataclass
class ResNetKeras:
    """Settings of `etude.models.resnet_keras.ResNetKeras`."""

    _target_: str = MISSING
    version: int = setting("1 or 2", lambda v: v in {1, 2})
    depth: int = setting("6n+2, or 9n+2 in version 2", lambda v: v >= 8)
    width: float = positive()
    bn_eps: float = positive()
    bn_momentum: float = fraction(zero=False, one=True)


@dataclass
class AlexNet:
    """Settings of `etude.models.alexnet.AlexNet`."""

    _target_: str = MISSING
    groups: bool = setting()
    padding: int = at_least(0)
    norm: str = one_of("before_pool", "after_pool", "none")
    dropout: float = fraction()
    dropout_first: bool = setting()
    lrn: LRN = field(default_factory=LRN)


@dataclass
class AlexNetBatchNorm:
    """Settings of `etude.models.alexnet_batch_norm.AlexNetBatchNorm`."""

    _target_: str = MISSING
    dropout: float = fraction()
    bn_eps: float = positive()
    bn_momentum: float = fraction(zero=False, one=True)


@dataclass
class LeNet5Of1998:
    """Settings of `etude.models.lenet5_1998.LeNet5Of1998`."""

    _target_: str = MISSING
    rejection: float = positive()


@dataclass
class CNN4:
    """Settings of `etude.models.cnn4.CNN4`."""

    _target_: str = MISSING
    activation: str = one_of("relu", "tanh", "sigmoid")
    width: float = positive()


@dataclass
class BinaryCNN:
    """Settings of `etude.models.binary_cnn.BinaryCNN`."""

    _target_: str = MISSING
    dropout: float = fraction()


@dataclass
class GoogLeNet:
    """Settings of `etude.models.googlenet.GoogLeNet`."""

    _target_: str = MISSING
    auxiliary_weight: float = at_least(0)
    dropout: float = fraction()
    auxiliary_dropout: float = fraction()
    lrn: bool = setting()
    stem: str = one_of("paper", "small")
    width: float = positive()


@dataclass
class BNInception:
    """Settings of `etude.models.bn_inception.BNInception`."""

    _target_: str = MISSING
    dropout: float = fraction()
    lrn: bool = setting()
    stem: str = one_of("paper", "small")
    bn_eps: float = positive()
    bn_momentum: float = fraction(zero=False, one=True)
    width: float = positive()


@dataclass
class InceptionV3:
    """Settings of `etude.models.inception_v3.InceptionV3`."""

    _target_: str = MISSING
    stem: str = one_of("released", "seven", "stride_1", "stride_1_no_pool", "small")
    factorization: str = one_of("released", "square", "stacked", "asymmetric")
    auxiliary_weight: float = at_least(0)
    auxiliary_batch_norm: bool = setting()
    dropout: float = fraction()
    count_padding: bool = setting()
    bn_eps: float = positive()
    bn_momentum: float = fraction(zero=False, one=True)
    width: float = positive()


@dataclass
class InceptionV4:
    """Settings of `etude.models.inception_v4.InceptionV4`."""

    _target_: str = MISSING
    dropout: float = fraction()
    stem: str = one_of("paper", "small")
    bn_eps: float = positive()
    bn_momentum: float = fraction(zero=False, one=True)
    width: float = positive()


@dataclass
class InceptionResNet(InceptionV4):
    """Settings of `etude.models.inception_resnet.InceptionResNet`."""

    variant: str = one_of("v1", "v2", "v2_released")
    residual_scales: list[float] = positive()


@dataclass
class VGG16Transfer:
    """Settings of `etude.models.vgg16_transfer.VGG16Transfer`."""

    _target_: str = MISSING
    hidden: int | None = setting("a whole number above 0", lambda v: v > 0)
    dropout: float = fraction()
    one_output: bool = setting()


@dataclass
class ResNet50Transfer:
    """Settings of `etude.models.resnet50_transfer.ResNet50Transfer`."""

    _target_: str = MISSING
    upsample: int = setting("a whole number above 0", lambda v: v > 0)
    train_batch_norm: bool = setting()
    hidden: int | None = setting("a whole number above 0", lambda v: v > 0)
    dropout: float = fraction()


@dataclass
class Dataset:
    """What every data set has: its size in pixels, its values, and how it is divided."""

    _target_: str = MISSING
    input_size: int | None = setting("a whole number above 0", lambda v: v > 0)
    load_size: int | None = setting("a whole number above 0", lambda v: v > 0, since=None)
    interpolation: str = one_of("bilinear", "nearest", "lanczos", "pad")
    normalize: str = one_of("none", "unit", "mean_std", "mean_only", "pixel_mean", "caffe", "lecun")
    mean: list[float] | None = setting()
    std: list[float] | None = positive()
    validation_split: str = one_of("none", "last_fraction", "seeded_fraction", "stratified")
    validation_fraction: float = fraction(zero=False)
    split_seed: int = setting("a whole number from 0 to 2³²-1", lambda v: 0 <= v < _SEED_LIMIT)
    limit_train: int | None = setting("a whole number above 0", lambda v: v > 0)
    limit_test: int | None = setting("a whole number above 0", lambda v: v > 0)


@dataclass
class Downloaded(Dataset):
    """A published data set below a root folder, in torchvision's layout."""

    root: str = setting(result=False)
    download: bool = setting(result=False)


@dataclass
class Folder(Dataset):
    """Folders of classes; `name` stands for the data in the fingerprint, which holds no paths."""

    root: str = setting(result=False)
    name: str = setting()
    train: str = setting()
    test: str = setting()
    fit: str = one_of("stretch", "crop", since="stretch")
    stream: bool | None = setting(result=False)


@dataclass
class Flowers17(Dataset):
    """Settings of `etude.data.flowers17.Flowers17`."""

    root: str = setting(result=False)
    test_fraction: float = fraction(zero=False)
    shuffle_seed: int = setting("a whole number from 0 to 2³²-1", lambda v: 0 <= v < _SEED_LIMIT)
    stream: bool | None = setting(result=False)


@dataclass
class Augment:
    """Settings of `etude.data.augment.Augment`; null or 0 turns a part off."""

    _target_: str = MISSING
    crop: str | None = one_of("place", "area", since=None)
    scales: list[int] | None = setting("a whole number above 0", lambda v: v > 0, since=None)
    crop_area: list[float] = fraction(zero=False, one=True, since=[0.08, 1.0])
    crop_aspect: list[float] = setting("a number above 0", lambda v: v > 0, since=[0.75, 1.3333])
    interpolation: str = one_of("nearest", "bilinear", "bicubic", "random", since="bilinear")
    shift_fraction: float | None = fraction()
    rotation_degrees: float | None = setting("0 to 180", lambda v: 0 <= v <= 180, since=0.0)
    shear_degrees: float | None = setting("0 to 89", lambda v: 0 <= v <= 89, since=0.0)
    zoom: float | None = fraction(since=0.0)
    fill: str = one_of("constant", "nearest")
    fill_value: float = setting()
    flip_probability: float = fraction(one=True)
    crop_padding: int = at_least(0)
    photometric: float | None = fraction(one=True, since=0.0)
    colour_std: float | None = setting("0 to 10", lambda v: 0 <= v <= 10, since=0.0)
    erase_probability: float = fraction(one=True)
    erase_area: list[float] = fraction(zero=False, one=True)
    erase_ratio: list[float] = positive()
    erase_fill: str = one_of("value", "noise", since="value")
    erase_value: float = setting()
    erase_noise: list[float] = setting(since=[0.0, 255.0])
    after_normalize: bool = setting()


@dataclass
class Plain:
    """A part without settings of its own."""

    _target_: str = MISSING


@dataclass
class Init:
    """What every initialisation has: weights from elsewhere over the random ones."""

    _target_: str = MISSING
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
class Optimizer:
    """What every optimizer has: the rate, and PyTorch's weight decay."""

    _target_: str = MISSING
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
class Steps:
    """Settings of `etude.schedule.Steps`."""

    _target_: str = MISSING
    milestones_epochs: list[float] = positive()
    factor: float | None = positive()
    values: list[float] | None = positive()


@dataclass
class WarmedSteps(Steps):
    """Settings of `etude.schedule.WarmedSteps`."""

    warmup_lr: float = positive()
    until_error: float = fraction(zero=False)


@dataclass
class Exponential:
    """Settings of `etude.schedule.Exponential`."""

    _target_: str = MISSING
    factor: float = positive()
    every_epochs: float = positive()
    staircase: bool = setting()


@dataclass
class InverseTime:
    """Settings of `etude.schedule.InverseTime`."""

    _target_: str = MISSING
    decay_per_step: float = at_least(0)


@dataclass
class Plateau:
    """Settings of `etude.schedule.Plateau`."""

    _target_: str = MISSING
    factor: float = fraction(zero=False)
    patience_epochs: int = setting("a whole number above 0", lambda v: v > 0)
    min_delta: float = at_least(0)
    cooldown_epochs: int = at_least(0)
    min_lr: float = at_least(0)


@dataclass
class Cosine:
    """Settings of `etude.schedule.Cosine`."""

    _target_: str = MISSING
    warmup_epochs: float = at_least(0)
    final_fraction: float = fraction()


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
    seed: int = setting("a whole number from 0 to 2³²-1", lambda v: 0 <= v < _SEED_LIMIT)
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
        return max(1, round(self.train.epochs * self.scale))


# What `etude.data.prepare` does with any source's images; the other keys are the source's own.
DATASET = tuple(f.name for f in fields(Dataset) if f.name != "_target_")
GROUPS = ("model", "dataset", "augment", "init", "optimizer", "scheduler")

# The schema of a part, by what it builds. A target that is not here (a user's own class) is
# checked against its own signature instead.
SCHEMAS: dict[str, type] = {
    "etude.models.lenet.LeNet5": LeNet5,
    "etude.models.alexnet.AlexNetSmall": AlexNetSmall,
    "etude.models.vgg.VGG": VGG,
    "etude.models.resnet_cifar.ResNetSmall": ResNetSmall,
    "etude.models.resnet.ResNet": ResNet,
    "etude.models.resnet_preact.ResNetPreact": ResNetPreact,
    "etude.models.resnet_keras.ResNetKeras": ResNetKeras,
    "etude.models.alexnet.AlexNet": AlexNet,
    "etude.models.alexnet_batch_norm.AlexNetBatchNorm": AlexNetBatchNorm,
    "etude.models.lenet5_1998.LeNet5Of1998": LeNet5Of1998,
    "etude.models.cnn4.CNN4": CNN4,
    "etude.models.binary_cnn.BinaryCNN": BinaryCNN,
    "etude.models.googlenet.GoogLeNet": GoogLeNet,
    "etude.models.bn_inception.BNInception": BNInception,
    "etude.models.inception_v3.InceptionV3": InceptionV3,
    "etude.models.inception_v4.InceptionV4": InceptionV4,
    "etude.models.inception_resnet.InceptionResNet": InceptionResNet,
    "etude.models.vgg16_transfer.VGG16Transfer": VGG16Transfer,
    "etude.models.resnet50_transfer.ResNet50Transfer": ResNet50Transfer,
    "etude.data.digits.Digits": Dataset,
    "etude.data.idx.MNIST": Downloaded,
    "etude.data.idx.FashionMNIST": Downloaded,
    "etude.data.cifar.CIFAR10": Downloaded,
    "etude.data.cifar.CIFAR100": Downloaded,
    "etude.data.folder.Folder": Folder,
    "etude.data.flowers17.Flowers17": Flowers17,
    "etude.data.augment.Augment": Augment,
    "etude.init.GlorotUniform": Init,
    "etude.init.HeNormal": HeNormal,
    "etude.init.Normal": Normal,
    "etude.init.LeCun1998": Init,
    "etude.init.PyTorch": Init,
    "torch.optim.SGD": SGD,
    "etude.optim.KerasSGD": SGD,
    "torch.optim.Adam": Adam,
    "etude.optim.KerasAdam": Adam,
    "torch.optim.Adadelta": Adadelta,
    "torch.optim.RMSprop": RMSprop,
    "etude.optim_tensorflow.TensorFlowRMSprop": TensorFlowRMSprop,
    "etude.schedule.Constant": Plain,
    "etude.schedule.Steps": Steps,
    "etude.schedule.WarmedSteps": WarmedSteps,
    "etude.schedule.Exponential": Exponential,
    "etude.schedule.InverseTime": InverseTime,
    "etude.schedule.Plateau": Plateau,
    "etude.schedule.Cosine": Cosine,
}
