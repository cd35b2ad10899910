"""The settings of `conf/model/`."""

from dataclasses import dataclass, field

from etude.config.schema.rules import Plain, at_least, counting, fraction, one_of, positive, setting


@dataclass
class BatchNormed(Plain):
    """What networks with batch norm have."""

    bn_eps: float = positive()
    bn_momentum: float = fraction(zero=False, one=True)


@dataclass
class AlexNetSmall(Plain):
    """Settings of `etude.models.alexnet.AlexNetSmall`."""

    dropout: float = fraction()


@dataclass
class LRN:
    """Local response normalisation, with the paper's alpha."""

    size: int = counting()
    alpha: float = positive()
    beta: float = positive()
    k: float = positive()


@dataclass
class VGG(BatchNormed):
    """Settings of `etude.models.vgg.VGG`."""

    variant: str = one_of("A", "A-LRN", "B", "C", "D", "E")
    batch_norm: bool = setting()
    head_batch_norm: bool = setting()
    dropout: float = fraction()
    stage_dropout: list[float] = fraction()
    activation: str = one_of("relu", "tanh", "sigmoid")
    width: float = positive()
    hidden: int = counting()
    lrn: LRN = field(default_factory=LRN)


@dataclass
class ResNetSmall(BatchNormed):
    """Settings of `etude.models.resnet_cifar.ResNetSmall`."""

    depth: int = setting("6n+2: 8, 14, 20, ...", lambda v: v >= 8 and v % 6 == 2)
    residual: bool = setting()
    shortcut: str = one_of("A", "B", "C")
    width: float = positive()


@dataclass
class ResNet(BatchNormed):
    """Settings of `etude.models.resnet.ResNet`."""

    depth: int = setting("one of 18, 34, 50, 101, 152", lambda v: v in {18, 34, 50, 101, 152})
    residual: bool = setting()
    shortcut: str = one_of("A", "B", "C")
    stride_in_3x3: bool = setting()
    small_stem: bool = setting()
    width: float = positive()


@dataclass
class ResNetPreact(BatchNormed):
    """Settings of `etude.models.resnet_preact.ResNetPreact`."""

    depth: int = setting("6n+2, or 9n+2 with bottlenecks", lambda v: v >= 8)
    bottleneck: bool = setting()
    width: float = positive()


@dataclass
class ResNetKeras(BatchNormed):
    """Settings of `etude.models.resnet_keras.ResNetKeras`."""

    version: int = setting("1 or 2", lambda v: v in {1, 2})
    depth: int = setting("6n+2, or 9n+2 in version 2", lambda v: v >= 8)
    width: float = positive()


@dataclass
class AlexNet(Plain):
    """Settings of `etude.models.alexnet.AlexNet`."""

    groups: bool = setting()
    padding: int = at_least(0)
    norm: str = one_of("before_pool", "after_pool", "none")
    dropout: float = fraction()
    dropout_first: bool = setting()
    lrn: LRN = field(default_factory=LRN)


@dataclass
class AlexNetBatchNorm(BatchNormed):
    """Settings of `etude.models.alexnet_batch_norm.AlexNetBatchNorm`."""

    dropout: float = fraction()


@dataclass
class LeNet5Of1998(Plain):
    """Settings of `etude.models.lenet5_1998.LeNet5Of1998`."""

    rejection: float = positive()


@dataclass
class CNN4(Plain):
    """Settings of `etude.models.cnn4.CNN4`."""

    activation: str = one_of("relu", "tanh", "sigmoid")
    width: float = positive()


@dataclass
class BinaryCNN(Plain):
    """Settings of `etude.models.binary_cnn.BinaryCNN`."""

    dropout: float = fraction()


@dataclass
class GoogLeNet(Plain):
    """Settings of `etude.models.googlenet.GoogLeNet`."""

    auxiliary_weight: float = at_least(0)
    dropout: float = fraction()
    auxiliary_dropout: float = fraction()
    lrn: bool = setting()
    stem: str = one_of("paper", "small")
    width: float = positive()


@dataclass
class BNInception(BatchNormed):
    """Settings of `etude.models.bn_inception.BNInception`."""

    dropout: float = fraction()
    lrn: bool = setting()
    stem: str = one_of("paper", "small")
    width: float = positive()


@dataclass
class InceptionV3(BatchNormed):
    """Settings of `etude.models.inception_v3.InceptionV3`."""

    stem: str = one_of("released", "seven", "stride_1", "stride_1_no_pool", "small")
    factorization: str = one_of("released", "square", "stacked", "asymmetric")
    auxiliary_weight: float = at_least(0)
    auxiliary_batch_norm: bool = setting()
    dropout: float = fraction()
    count_padding: bool = setting()
    width: float = positive()


@dataclass
class InceptionV4(BatchNormed):
    """Settings of `etude.models.inception_v4.InceptionV4`."""

    dropout: float = fraction()
    stem: str = one_of("paper", "small")
    width: float = positive()


@dataclass
class InceptionResNet(InceptionV4):
    """Settings of `etude.models.inception_resnet.InceptionResNet`."""

    variant: str = one_of("v1", "v2", "v2_released")
    residual_scales: list[float] = positive()


@dataclass
class VGG16Transfer(Plain):
    """Settings of `etude.models.vgg16_transfer.VGG16Transfer`."""

    hidden: int | None = counting()
    dropout: float = fraction()
    one_output: bool = setting()


@dataclass
class ResNet50Transfer(Plain):
    """Settings of `etude.models.resnet50_transfer.ResNet50Transfer`."""

    upsample: int = counting()
    train_batch_norm: bool = setting()
    hidden: int | None = counting()
    dropout: float = fraction()
