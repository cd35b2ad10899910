"""Pictures of predictions: a contact sheet, and the part of an image that mattered.

Grad-CAM: Selvaraju et al., ICCV 2017, https://arxiv.org/abs/1610.02391, equations 1 and 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from etude.base.atomic import replacing
from etude.base.errors import UserError
from etude.cli.inference import Prediction, Trained, preparation_of
from etude.data.augment.gather import central
from etude.models.auxiliary import main_logits
from etude.train.record.pictures import sheet

__all__ = ["Trained", "draw_sheet", "explain", "grad_cam"]


def draw_sheet(run: Path, found: Sequence[Prediction], file: Path) -> None:
    """Draw images as the network sees them, with what it takes them for above each."""
    prepared = preparation_of(run)
    pixels = central(prepared.pixels([each.path for each in found]), prepared.seen)
    captions = [f"{each.label} {each.probability:.2f}" for each in found]
    _save(sheet(pixels, captions), file)


def explain(trained: Trained, found: Sequence[Prediction], folder: Path) -> None:
    """Draw each image with what mattered for its class in red.

    Raises:
        UserError: The network has no convolution.
    """
    prepared, taken = trained.preparation, set[str]()
    for each in found:
        pixels = central(prepared.pixels([each.path]), prepared.seen)
        inputs = prepared.normalize.cut(prepared.seen)(pixels)
        label = list(prepared.classes).index(each.label)
        heat = grad_cam(trained.network, inputs, label)
        name = Path(each.path).stem
        while name in taken:
            name += "_"  # of another folder
        taken.add(name)
        _save(_over(pixels[0], heat), folder / f"{name}.png")


def grad_cam(network: nn.Module, inputs: Tensor, label: int) -> Tensor:
    """Say where in an image the evidence for a class is: (H, W), 0 to 1.

    Args:
        network: In evaluation mode.
        inputs: (1, C, H, W).
        label: The class.

    Raises:
        UserError: The network has no convolution.
    """
    layer = _last_convolution(network)
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _given: object, output: Tensor) -> None:
        kept.append(output)

    hook = layer.register_forward_hook(keep)
    try:
        with torch.enable_grad():  # by the input, as weights may be frozen
            logits = main_logits(network(inputs.clone().requires_grad_()))
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(logits[0, label], kept[-1])
    weights = gradient.mean((2, 3), keepdim=True)  # equation 1
    heat = (weights * kept[-1]).sum(1, keepdim=True).relu().detach()  # equation 2
    grown = functional.interpolate(heat.float(), inputs.shape[2:], mode="bilinear")[0, 0]
    return grown / grown.max().clamp(min=1e-12)


def _last_convolution(network: nn.Module) -> nn.Module:
    found = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    if not found:
        raise UserError(f"--explain: {type(network).__name__} has no convolution to look at")
    return found[-1]


def _over(pixels: Tensor, heat: Tensor) -> Any:
    """Lay red over a grey image: (H, W, 3) uint8."""
    grey = pixels.float().mean(0)
    red = torch.stack([grey + (255 - grey) * heat, grey * (1 - heat), grey * (1 - heat)], 2)
    return red.clamp(0, 255).to(torch.uint8).numpy()


def _save(picture: np.typing.NDArray[np.uint8], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
