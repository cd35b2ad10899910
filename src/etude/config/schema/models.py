"""The settings of `conf/model/`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from etude.config.schema.rules import (
    Counting,
    Fraction,
    Natural,
    NotNegative,
    Plain,
    Portion,
    Positive,
    Rule,
)

Activation = Literal["relu", "tanh", "sigmoid"]


@dataclass
class BatchNormedConf(Plain):
    """What networks with batch norm have."""

    bn_eps: Positive
    bn_momentum: Portion


@dataclass
class AlexNetSmallConf(Plain):
    """Settings of `etude.models.alexnet.AlexNetSmall`."""

    dropout: Fraction


@dataclass
class LRNConf:
    """Local response normalisation, with the paper's alpha."""

    size: Counting
    alpha: Positive
    beta: Positive
    k: Positive


@dataclass
class VGGConf(BatchNormedConf):
    """Settings of `etude.models.vgg.VGG`."""

    variant: Literal["A", "A-LRN", "B", "C", "D", "E"]
    batch_norm: bool
    head_batch_norm: bool
    dropout: Fraction
    stage_dropout: list[Fraction]
    activation: Activation
    width: Positive
    hidden: Counting
    lrn: LRNConf


@dataclass
class ResNetSmallConf(BatchNormedConf):
    """Settings of `etude.models.resnet_cifar.ResNetSmall`."""

    depth: Annotated[int, Rule("6n+2: 8, 14, 20, ...", lambda v: v >= 8 and v % 6 == 2)]
    residual: bool
    shortcut: Literal["A", "B", "C"]
    width: Positive


@dataclass
class ResNetConf(BatchNormedConf):
    """Settings of `etude.models.resnet.ResNet`."""

    depth: Literal[18, 34, 50, 101, 152]
    residual: bool
    shortcut: Literal["A", "B", "C"]
    stride_in_3x3: bool
    small_stem: bool
    width: Positive


@dataclass
class ResNetPreactConf(BatchNormedConf):
    """Settings of `etude.models.resnet_preact.ResNetPreact`."""

    depth: Annotated[int, Rule("6n+2, or 9n+2 with bottlenecks", lambda v: v >= 8)]
    bottleneck: bool
    width: Positive


@dataclass
class ResNetKerasConf(BatchNormedConf):
    """Settings of `etude.models.resnet_keras.ResNetKeras`."""

    version: Literal[1, 2]
    depth: Annotated[int, Rule("6n+2, or 9n+2 in version 2", lambda v: v >= 8)]
    width: Positive


@dataclass
class AlexNetConf(Plain):
    """Settings of `etude.models.alexnet.AlexNet`."""

    groups: bool
    padding: Natural
    norm: Literal["before_pool", "after_pool", "none"]
    dropout: Fraction
    dropout_first: bool
    lrn: LRNConf


@dataclass
class AlexNetBatchNormConf(BatchNormedConf):
    """Settings of `etude.models.alexnet_batch_norm.AlexNetBatchNorm`."""

    dropout: Fraction


@dataclass
class LeNet5Of1998Conf(Plain):
    """Settings of `etude.models.lenet5_1998.LeNet5Of1998`."""

    rejection: Positive


@dataclass
class CNN4Conf(Plain):
    """Settings of `etude.models.cnn4.CNN4`."""

    activation: Activation
    width: Positive


@dataclass
class BinaryCNNConf(Plain):
    """Settings of `etude.models.binary_cnn.BinaryCNN`."""

    dropout: Fraction


@dataclass
class GoogLeNetConf(Plain):
    """Settings of `etude.models.googlenet.GoogLeNet`."""

    auxiliary_weight: NotNegative
    dropout: Fraction
    auxiliary_dropout: Fraction
    lrn: bool
    stem: Literal["paper", "small"]
    width: Positive


@dataclass
class BNInceptionConf(BatchNormedConf):
    """Settings of `etude.models.bn_inception.BNInception`."""

    dropout: Fraction
    lrn: bool
    stem: Literal["paper", "small"]
    width: Positive


@dataclass
class InceptionV3Conf(BatchNormedConf):
    """Settings of `etude.models.inception_v3.InceptionV3`."""

    stem: Literal["released", "seven", "stride_1", "stride_1_no_pool", "small"]
    factorization: Literal["released", "square", "stacked", "asymmetric"]
    auxiliary_weight: NotNegative
    auxiliary_batch_norm: bool
    dropout: Fraction
    count_padding: bool
    width: Positive


@dataclass
class InceptionV4Conf(BatchNormedConf):
    """Settings of `etude.models.inception_v4.InceptionV4`."""

    dropout: Fraction
    stem: Literal["paper", "small"]
    width: Positive


@dataclass
class InceptionResNetConf(InceptionV4Conf):
    """Settings of `etude.models.inception_resnet.InceptionResNet`."""

    variant: Literal["v1", "v2", "v2_released"]
    residual_scales: list[Positive]


@dataclass
class VGG16TransferConf(Plain):
    """Settings of `etude.models.vgg16_transfer.VGG16Transfer`."""

    hidden: Counting | None
    dropout: Fraction
    one_output: bool


@dataclass
class ResNet50TransferConf(Plain):
    """Settings of `etude.models.resnet50_transfer.ResNet50Transfer`."""

    upsample: Counting
    train_batch_norm: bool
    hidden: Counting | None
    dropout: Fraction
