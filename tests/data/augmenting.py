"""What the tests of augmentations share."""

import torch
from no_waits import no_waits
from torch import Tensor

from etude.data.augment.augment import Augment

LARGEST = 1 - 2**-24  # of torch.rand in float32


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def whole(augment: Augment, images: Tensor, draws: Tensor, size: int) -> Tensor:
    """What an epoch makes of images, before it normalises them."""
    return augment(augment.cut(images, draws, size).float(), draws)


def pixels(*shape: int, seed: int = 0) -> Tensor:
    return (random(*shape, seed=seed) * 256).byte()


def assert_changes_images_alike(augment: Augment, images: Tensor, size: int) -> None:
    """By themselves, in any batch and in any memory format, to the bit."""
    draws = random(len(images), augment.draws, seed=5)
    together = whole(augment, images, draws, size)
    alone = [whole(augment, images[i : i + 1], draws[i : i + 1], size) for i in range(len(images))]
    assert torch.equal(together, torch.cat(alone))
    channels_last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(whole(augment, channels_last, draws, size), together)


def assert_a_gpu_agrees(augment: Augment, images: Tensor, size: int, *, tolerance: float) -> None:
    """The same images on a GPU, without waiting for it; `tolerance` in greys."""
    draws = random(len(images), augment.draws, seed=5)
    expected = whole(augment, images, draws, size)
    on_gpu, draws_there = images.cuda(), draws.cuda()
    whole(augment, on_gpu, draws_there, size)  # constants that are kept are copied here
    with no_waits():
        given = whole(augment, on_gpu, draws_there, size)
    assert (given.cpu() - expected).abs().max() <= tolerance
