"""The types of every configuration key and the range of every number; the values are in `conf/`."""

from dataclasses import fields

from etude.config.schema.data import Augment, Dataset, Downloaded, Flowers17, Folder
from etude.config.schema.learning import (
    SGD,
    Adadelta,
    Adam,
    Cosine,
    Exponential,
    HeNormal,
    Init,
    InverseTime,
    Normal,
    Plateau,
    RMSprop,
    Steps,
    TensorFlowRMSprop,
    WarmedSteps,
)
from etude.config.schema.models import (
    CNN4,
    VGG,
    AlexNet,
    AlexNetBatchNorm,
    AlexNetSmall,
    BinaryCNN,
    BNInception,
    GoogLeNet,
    InceptionResNet,
    InceptionV3,
    InceptionV4,
    LeNet5Of1998,
    ResNet,
    ResNet50Transfer,
    ResNetKeras,
    ResNetPreact,
    ResNetSmall,
    VGG16Transfer,
)
from etude.config.schema.rules import Plain
from etude.config.schema.run import Config, Record, Reference, Train

__all__ = ["DATASET", "GROUPS", "SCHEMAS", "Config", "Plateau", "Record", "Reference", "Train"]

# What `etude.data.prepare` does with any source's images; the other keys are the source's own.
DATASET = tuple(f.name for f in fields(Dataset) if f.name != "_target_")
GROUPS = ("model", "dataset", "augment", "init", "optimizer", "scheduler")

# The schema of a part, by what it builds. A target that is not here (a user's own class) is
# checked against its own signature instead.
SCHEMAS: dict[str, type] = {
    "etude.models.lenet.LeNet5": Plain,
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
