"""Which networks bfloat16 makes faster on a CPU that multiplies it, but has no matrix units for it.

A table, not a timing: a command that is given twice takes the same numbers, whatever else the
machine does meanwhile. Measured on an AMD EPYC with AVX-512 bfloat16, one thread, as the CPU time
of a training step in float32 ÷ in bfloat16, both with `train.keep_memory`:

    LeNet-5 0.94 (digits), 1.00 (MNIST); the LeNet-5 of 1998 0.80: most of it is not products
    CNN4 1.06, VGG 1.07 to 1.12, ResNet 1.08, BN-Inception 1.04, GoogLeNet 1.12, Inception v3 1.17,
        Inception-ResNet 1.23 on digits of 8×8, as narrow as their experiments have them
    AlexNet with local response normalisation 1.4, ResNet-preact 1.4, GoogLeNet 1.5, ResNet-20 1.6,
        VGG 1.6 to 2.0, CNN4 1.7, the AlexNet of document 001 1.8, ResNet 2.0, Inception v3 1.9,
        Inception v4 1.9, Inception-ResNet 2.0, transfers 1.9 to 2.0 on images of 28 to 299 pixels
"""

from etude.config import Config, settings

_LITTLE_WORK = {"LeNet5", "LeNet5Of1998"}  # networks
_SMALL_IMAGES = {"Digits"}  # data sets


def gains(config: Config) -> bool:
    """Say whether a run is at least 1.15 times faster; of a network that is not ours nobody knows.

    Args:
        config: Of the run.
    """
    if isinstance(config.model, dict):
        return False
    return _name(config.model) not in _LITTLE_WORK and _name(config.dataset) not in _SMALL_IMAGES


def _name(part: object) -> str:
    return str(settings(part)["_target_"]).rpartition(".")[2]
