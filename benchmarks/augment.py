"""What the augmentations cost: 224×224 of 256×256 pixels, beside torchvision's of the same kind.

python -m benchmarks.augment [--device cuda]

From a batch of uint8 images to a network's normalised input. Étude draws for every image of the
batch, at once; torchvision's `transforms.v2` goes image by image, to do the same, or takes the
batch at once, which gives all of its images the same draws. torchvision has no colours along
principal components, and its windows are brought to their size bilinearly, ours by one of three
interpolations: so much more is in our `alexnet`, `resnet` and `inception`.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from benchmarks import machine, tables
from benchmarks.statistics_of import spread
from etude.data.augment.augment import Augment
from etude.data.input import Input
from etude.data.normalize import fit

BATCH, KEPT, SEEN, ROUNDS = 64, 256, 224, 7
COLOUR: dict[str, Any] = {"colour_std": 0.1, "flip_probability": 0.5}
# The settings of conf/augment, and torchvision's transforms of the same kind.
PRESETS: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "none": ({}, [v2.CenterCrop(SEEN)]),
    "crop_flip": (
        {"crop_padding": 4, "flip_probability": 0.5},
        [v2.CenterCrop(SEEN), v2.RandomCrop(SEEN, padding=4), v2.RandomHorizontalFlip()],
    ),
    "alexnet": ({"crop": "place", **COLOUR}, [v2.RandomCrop(SEEN), v2.RandomHorizontalFlip()]),
    "resnet": (
        {"crop": "place", "scales": (256, 480), **COLOUR},
        [
            v2.RandomResize(256, 481, antialias=False),
            v2.RandomCrop(SEEN),
            v2.RandomHorizontalFlip(),
        ],
    ),
    "inception": (
        {"crop": "area", "interpolation": "random", "flip_probability": 0.5, "photometric": 0.5},
        [
            v2.RandomResizedCrop(SEEN, antialias=False),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.5, 0.5, 0.5),
        ],
    ),
    "keras_generator": (
        {"shift_fraction": 0.2, "rotation_degrees": 40.0, "shear_degrees": 0.2, "zoom": 0.2,
         "fill": "nearest", "flip_probability": 0.5},
        [
            v2.CenterCrop(SEEN),
            v2.RandomAffine(40, (0.2, 0.2), (0.8, 1.2), 0.2, v2.InterpolationMode.BILINEAR),
            v2.RandomHorizontalFlip(),
        ],
    ),
    "noise_erase": (
        {"erase_probability": 0.5, "erase_area": (0.02, 0.4), "erase_ratio": (0.3, 3.33),
         "erase_fill": "noise"},
        [v2.CenterCrop(SEEN), v2.RandomErasing(scale=(0.02, 0.4), value="random")],
    ),
}  # fmt: skip
WAYS = ("etude", "torchvision an image", "torchvision a batch")


def ways(name: str, pixels: Tensor) -> dict[str, Callable[[], Tensor]]:
    """Give what turns the batch into a network's input, in each way."""
    settings, transforms = PRESETS[name]
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    augment = Augment(**settings).fitted(pixels, pixels.device)
    normalize = fit("mean_std", pixels.cpu(), mean, std)
    mine = Input(normalize, augment, pixels[:1], SEEN)

    def etude() -> Tensor:
        draws = mine.draws(BATCH, 0, 0)
        return mine(pixels, None if draws is None else draws.to(pixels.device))

    to_float = v2.ToDtype(torch.float32, scale=True)
    theirs = v2.Compose([*transforms, to_float, v2.Normalize(mean, std)])
    if name == "noise_erase":  # theirs is of normal noise, for normalised images
        theirs = v2.Compose([transforms[0], to_float, v2.Normalize(mean, std), transforms[1]])
    return {
        "etude": etude,
        "torchvision an image": lambda: torch.stack([theirs(image) for image in pixels]),
        "torchvision a batch": lambda: theirs(pixels),
    }


def images_per_second(way: Callable[[], Tensor], device: str) -> float:
    """Time one batch."""
    start = time.perf_counter()
    batch = way()
    if device == "cuda":
        torch.cuda.synchronize()
    assert batch.shape == (BATCH, 3, SEEN, SEEN)  # noqa: S101
    return BATCH / (time.perf_counter() - start)


def measure(name: str, pixels: Tensor, device: str) -> dict[str, list[float]]:
    """Let the ways take turns; the first turn of each is not counted."""
    each = ways(name, pixels)
    turns = [
        {way: images_per_second(function, device) for way, function in each.items()}
        for _ in range(ROUNDS + 1)
    ]
    return {way: [turn[way] for turn in turns[1:]] for way in WAYS}


def show(told: Mapping[str, Mapping[str, list[float]]]) -> str:
    """Lay the results out."""
    lines = [
        [name, *(f"{spread(rates[way]).median:,.0f}" for way in WAYS)]
        for name, rates in told.items()
    ]
    table = tables.table(["images/s", *WAYS], lines)
    return f"### Augmentations, {SEEN}×{SEEN} of {KEPT}×{KEPT}, batches of {BATCH}\n\n{table}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    device = parser.parse_args().device
    machine.require(device)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    pixels = torch.randint(256, (BATCH, 3, KEPT, KEPT), dtype=torch.uint8).to(device)
    told = {name: measure(name, pixels, device) for name in PRESETS}
    text = show(told)
    print(text)
    tables.save("augment", {"presets": told}, text, device=device)


if __name__ == "__main__":
    main()
