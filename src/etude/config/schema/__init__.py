"""The types of every configuration key and the range of every number; the values are in `conf/`."""

from dataclasses import fields

from etude.config.schema import data, learning, models
from etude.config.schema.data import DownloadedConf
from etude.config.schema.learning import PlateauConf
from etude.config.schema.rules import Plain
from etude.config.schema.run import Config, Record, Reference, Train

__all__ = [
    "DATASET",
    "GROUPS",
    "SCHEMAS",
    "Config",
    "DownloadedConf",
    "PlateauConf",
    "Record",
    "Reference",
    "Train",
]

# What `etude.data.prepare` does with any source's images; the other keys are the source's own.
DATASET = tuple(f.name for f in fields(data.DatasetConf) if f.name != "_target_")
GROUPS = ("model", "dataset", "augment", "init", "optimizer", "scheduler")

# The schema of a part, by what it builds. A target that is not here (a user's own class) is
# checked against its own signature instead.
SCHEMAS: dict[str, type] = {
    "etude.models.lenet.LeNet5": Plain,
    "etude.models.alexnet.AlexNetSmall": models.AlexNetSmallConf,
    "etude.models.vgg.VGG": models.VGGConf,
    "etude.models.resnet_cifar.ResNetSmall": models.ResNetSmallConf,
    "etude.models.resnet.ResNet": models.ResNetConf,
    "etude.models.resnet_preact.ResNetPreact": models.ResNetPreactConf,
    "etude.models.resnet_keras.ResNetKeras": models.ResNetKerasConf,
    "etude.models.alexnet.AlexNet": models.AlexNetConf,
    "etude.models.alexnet_batch_norm.AlexNetBatchNorm": models.AlexNetBatchNormConf,
    "etude.models.lenet5_1998.LeNet5Of1998": models.LeNet5Of1998Conf,
    "etude.models.cnn4.CNN4": models.CNN4Conf,
    "etude.models.binary_cnn.BinaryCNN": models.BinaryCNNConf,
    "etude.models.googlenet.GoogLeNet": models.GoogLeNetConf,
    "etude.models.bn_inception.BNInception": models.BNInceptionConf,
    "etude.models.inception_v3.InceptionV3": models.InceptionV3Conf,
    "etude.models.inception_v4.InceptionV4": models.InceptionV4Conf,
    "etude.models.inception_resnet.InceptionResNet": models.InceptionResNetConf,
    "etude.models.vgg16_transfer.VGG16Transfer": models.VGG16TransferConf,
    "etude.models.resnet50_transfer.ResNet50Transfer": models.ResNet50TransferConf,
    "etude.data.sources.digits.Digits": data.DatasetConf,
    "etude.data.sources.idx.MNIST": data.DownloadedConf,
    "etude.data.sources.idx.FashionMNIST": data.DownloadedConf,
    "etude.data.sources.cifar.CIFAR10": data.DownloadedConf,
    "etude.data.sources.cifar.CIFAR100": data.DownloadedConf,
    "etude.data.sources.folder.Folder": data.FolderConf,
    "etude.data.sources.flowers17.Flowers17": data.Flowers17Conf,
    "etude.data.augment.augment.Augment": data.AugmentConf,
    "etude.train.init.GlorotUniform": learning.InitConf,
    "etude.train.init.HeNormal": learning.HeNormalConf,
    "etude.train.init.Normal": learning.NormalConf,
    "etude.train.init.LeCun1998": learning.InitConf,
    "etude.train.init.PyTorch": learning.InitConf,
    "torch.optim.SGD": learning.SGDConf,
    "etude.train.optim.keras.KerasSGD": learning.SGDConf,
    "torch.optim.Adam": learning.AdamConf,
    "etude.train.optim.keras.KerasAdam": learning.AdamConf,
    "torch.optim.Adadelta": learning.AdadeltaConf,
    "torch.optim.RMSprop": learning.RMSpropConf,
    "etude.train.optim.tensorflow.TensorFlowRMSprop": learning.TensorFlowRMSpropConf,
    "etude.train.schedule.Constant": Plain,
    "etude.train.schedule.Steps": learning.StepsConf,
    "etude.train.schedule.WarmedSteps": learning.WarmedStepsConf,
    "etude.train.schedule.Exponential": learning.ExponentialConf,
    "etude.train.schedule.InverseTime": learning.InverseTimeConf,
    "etude.train.schedule.Plateau": learning.PlateauConf,
    "etude.train.schedule.Cosine": learning.CosineConf,
}
