"""What a step launches on a GPU that computes nothing, by the words of its configuration.

An eager step of a small network on a GPU costs what its launches cost. So a number may only fall:
`python tests/launches.py` prints the table as it is now.
"""

import logging

from etude.cli.compose import Composer, composing
from etude.data.sources.source import DatasetInfo
from etude.preflight.rehearsal import Rehearsal, rehearse

# ruff: noqa: E501 (a row is one line)
# Every network once; the optimizers, the augmentations and the precisions take turns.
NETWORKS = {
    "model=alexnet_batch_norm dataset=cifar10 dataset.input_size=227 optimizer=sgd precision=float32": 135,
    "model=alexnet_imagenet dataset=cifar10 dataset.input_size=224 dataset.load_size=256 augment=alexnet optimizer=sgd_keras precision=bfloat16": 201,
    "model=alexnet_mnist dataset=mnist augment=shift optimizer=adam precision=float32": 104,
    "model=bn_inception dataset=cifar10 dataset.input_size=224 optimizer=adam_keras precision=bfloat16": 656,
    "model=catsdogs_cnn dataset=cifar10 dataset.input_size=150 augment=keras_generator optimizer=adadelta precision=float32": 181,
    "model=cnn4 dataset=cifar10 augment=crop_flip optimizer=adadelta_keras precision=bfloat16": 93,
    "model=googlenet dataset=cifar10 dataset.input_size=224 dataset.load_size=256 augment=inception optimizer=rmsprop precision=float32": 711,
    "model=inception_resnet_v1 dataset=cifar10 dataset.input_size=299 optimizer=rmsprop_keras precision=bfloat16": 1083,
    "model=inception_resnet_v2 dataset=cifar10 dataset.input_size=299 optimizer=rmsprop_tensorflow precision=float32": 1127,
    "model=inception_resnet_v2_released dataset=cifar10 dataset.input_size=299 optimizer=sgd precision=bfloat16": 1985,
    "model=inception_v3 dataset=cifar10 dataset.input_size=299 optimizer=sgd_keras precision=float32": 897,
    "model=inception_v4 dataset=cifar10 dataset.input_size=299 optimizer=adam precision=bfloat16": 1314,
    "model=lenet5 dataset=mnist optimizer=adam_keras precision=float32": 95,
    "model=lenet5_1998 dataset=mnist dataset.input_size=32 optimizer=adadelta precision=bfloat16": 235,
    "model=resnet50_transfer dataset=cifar10 dataset.input_size=224 optimizer=adadelta_keras precision=float32": 254,
    "model=resnet_cifar dataset=cifar10 augment=crop_flip_erase optimizer=rmsprop precision=bfloat16": 311,
    "model=resnet_imagenet dataset=cifar10 dataset.input_size=224 dataset.load_size=480 augment=resnet optimizer=rmsprop_keras precision=float32": 572,
    "model=resnet_keras dataset=cifar10 augment=crop_flip_noise_erase optimizer=rmsprop_tensorflow precision=bfloat16": 334,
    "model=resnet_preact dataset=cifar10 augment=shift_flip optimizer=sgd precision=float32": 1046,
    "model=vgg16_transfer dataset=cifar10 dataset.input_size=224 augment=noise_erase optimizer=sgd_keras precision=bfloat16": 169,
    "model=vgg_cifar dataset=cifar10 optimizer=adam precision=float32": 221,
    "model=vgg_imagenet dataset=cifar10 dataset.input_size=224 optimizer=adam_keras precision=bfloat16": 166,
    "model=vgg_mnist dataset=mnist dataset.input_size=56 optimizer=adadelta precision=float32": 153,
}
# Every optimizer in every precision, on one network.
OPTIMIZERS = {
    "model=lenet5 dataset=mnist optimizer=sgd precision=float32": 81,
    "model=lenet5 dataset=mnist optimizer=sgd precision=bfloat16": 86,
    "model=lenet5 dataset=mnist optimizer=sgd precision=float16": 96,
    "model=lenet5 dataset=mnist optimizer=sgd_keras precision=float32": 97,
    "model=lenet5 dataset=mnist optimizer=sgd_keras precision=bfloat16": 102,
    "model=lenet5 dataset=mnist optimizer=sgd_keras precision=float16": 112,
    "model=lenet5 dataset=mnist optimizer=adam precision=float32": 83,
    "model=lenet5 dataset=mnist optimizer=adam precision=bfloat16": 88,
    "model=lenet5 dataset=mnist optimizer=adam precision=float16": 100,
    "model=lenet5 dataset=mnist optimizer=adam_keras precision=float32": 95,
    "model=lenet5 dataset=mnist optimizer=adam_keras precision=bfloat16": 100,
    "model=lenet5 dataset=mnist optimizer=adam_keras precision=float16": 112,
    "model=lenet5 dataset=mnist optimizer=adadelta precision=float32": 107,
    "model=lenet5 dataset=mnist optimizer=adadelta precision=bfloat16": 112,
    "model=lenet5 dataset=mnist optimizer=adadelta_keras precision=float32": 107,
    "model=lenet5 dataset=mnist optimizer=adadelta_keras precision=bfloat16": 112,
    "model=lenet5 dataset=mnist optimizer=rmsprop precision=float32": 95,
    "model=lenet5 dataset=mnist optimizer=rmsprop precision=bfloat16": 100,
    "model=lenet5 dataset=mnist optimizer=rmsprop_keras precision=float32": 95,
    "model=lenet5 dataset=mnist optimizer=rmsprop_keras precision=bfloat16": 100,
    "model=lenet5 dataset=mnist optimizer=rmsprop_tensorflow precision=float32": 97,
    "model=lenet5 dataset=mnist optimizer=rmsprop_tensorflow precision=bfloat16": 102,
}
# What else can be switched on.
SWITCHES = {
    "model=resnet_cifar dataset=cifar10 train.clip_norm=1.0 optimizer=adadelta": 386,
    "model=resnet_cifar dataset=cifar10 train.accumulate=2": 492,
    "model=resnet_cifar dataset=cifar10 train.label_smoothing=0.1": 267,
    "model=resnet_cifar dataset=cifar10 train.average_decay=0.99": 250,
    "model=resnet_cifar dataset=cifar10 train.average_decay=0.99 precision=float16": 269,
    "model=resnet_cifar dataset=cifar10 train.clip_norm=1.0 precision=float16": 392,
    "model=resnet_cifar dataset=cifar10 dataset.normalize=caffe": 251,
    "model=resnet_cifar dataset=cifar10 dataset.normalize=pixel_mean": 250,
    "model=resnet_cifar dataset=cifar10 train.channels_last=false": 231,
    "model=resnet_cifar dataset=cifar10 l2=1e-4": 250,
}
# A step of the documents' own first run, in the precision that a GPU has it in.
DOCUMENTED = {
    "experiment=lenet5_mnist precision=bfloat16": 71,
    "experiment=lenet5_mnist optimizer=adam precision=bfloat16": 59,
    "experiment=lenet5_mnist optimizer=adadelta precision=bfloat16": 83,
    "experiment=lenet5_mnist optimizer=rmsprop_tensorflow precision=bfloat16": 73,
}
LAUNCHES = NETWORKS | OPTIMIZERS | SWITCHES | DOCUMENTED


def rehearsed(words: str, composer: Composer) -> Rehearsal:
    """Rehearse a configuration's step on the published sizes of its data set, without its files."""
    (job,) = composer.run([*words.split(), "dataset.download=true"]).jobs
    grey = "mnist" in words
    facts = DatasetInfo(
        train_images=60_000 if grey else 50_000,
        test_images=10_000,
        num_classes=2 if "catsdogs" in words else 10,
        channels=1 if grey else 3,
        size=28 if grey else 32,
    )
    precision = "float32" if job.config.precision == "auto" else job.config.precision
    return rehearse(job.config, facts, [precision])[0]


def _main() -> None:
    logging.disable()
    with composing() as composer:
        for words in LAUNCHES:
            count = sum(rehearsed(words, composer).operations.values())
            print(f'    "{words}": {count},')  # noqa: T201


if __name__ == "__main__":
    _main()
