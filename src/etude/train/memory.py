"""A network's layers, and the memory that its training takes by the model of document 004.

Section 7 of the document, after https://zhuanlan.zhihu.com/p/35186462: parameters × 3 (weights,
gradients and momentum of SGD) + layer outputs × batch size × 2 (forward and backward). Its tables
are lost; the outputs of input, convolutions, pools and linear layers give its published totals.

What the model leaves out: what ReLU, normalisation and dropout keep for the backward pass, the
workspaces of cuDNN, what the allocator rounds up, and the data set. It counts four bytes a number,
also where bfloat16 takes two, and gradients of all outputs, of which PyTorch holds a few at a time.
So it is an estimate to choose a batch size by; a measured peak may be on either side of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from etude.base.lazy import torch

FLOAT_BYTES = 4
# Values that an optimizer keeps for each weight: the weight itself, its gradient, running means.
# Étude's own optimizers keep what the PyTorch classes that they extend keep.
KEPT = {
    "SGD": 2,
    "KerasSGD": 2,
    "RMSprop": 3,
    "TensorFlowRMSprop": 3,
    "Adam": 4,
    "KerasAdam": 4,
    "Adadelta": 4,
}
# Settings that add one value a weight, where they are not off.
ADDS_ONE = ("momentum", "centered", "amsgrad")


class Layer(NamedTuple):
    """One call of a layer.

    Attributes:
        name: The path to it inside the network.
        type: Its class.
        shape: Of its output for one image.
        parameters: Trainable or not.
        macs: Multiply-accumulates for one image; 0 for what is neither convolution nor linear.
        counted: Whether document 004 counts its output: convolutions, pools and linear layers.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    counted: bool


class ParameterCount(NamedTuple):
    """A network's numbers of values; `total` is Keras's, with the running statistics."""

    trainable: int
    total: int


def state_copies(optimizer: Mapping[str, Any]) -> int | None:
    """Count the values kept for every weight: itself, its gradient, and the optimizer's state.

    Args:
        optimizer: Its settings with their `_target_`.

    Returns:
        The document's 3 for SGD with momentum; None for an optimizer that is not known here.
    """
    kept = KEPT.get(str(optimizer["_target_"]).rpartition(".")[2])
    return None if kept is None else kept + sum(bool(optimizer.get(key)) for key in ADDS_ONE)


def predicted_bytes(parameters: int, outputs: int, batch_size: int, copies: int) -> int:
    """Predict the memory that training takes: 4·(k·P + 2·B·O) bytes.

    Args:
        parameters: P.
        outputs: O, values of the outputs for one image, the image included.
        batch_size: B, images in memory at a time.
        copies: k, see `state_copies`.
    """
    return FLOAT_BYTES * (copies * parameters + 2 * batch_size * outputs)


def count_outputs(layers: Sequence[Layer], image: Sequence[int]) -> int:
    """Count the values that document 004 counts: an image (C, H, W) and its layers' outputs."""
    return math.prod(image) + sum(math.prod(layer.shape) for layer in layers if layer.counted)


def count_parameters(model: torch.nn.Module) -> ParameterCount:
    """Count trainable values, and all values; the counter of batches is no value of a network."""
    parameters = list(model.parameters())
    statistics = [b for name, b in model.named_buffers() if not name.endswith("batches_tracked")]
    return ParameterCount(
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        total=sum(tensor.numel() for tensor in (*parameters, *statistics)),
    )


def walk(model: torch.nn.Module, image: Sequence[int]) -> list[Layer]:
    """List the layers in the order in which an image goes through them while training.

    A layer is a module with a tensor for its result and nothing inside it; what a `forward` does by
    functions alone is not seen.

    Args:
        model: On the meta device, where it costs no memory and no time.
        image: (C, H, W).
    """
    layers: list[Layer] = []

    def note(name: str) -> Any:
        def hook(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: object) -> None:
            if isinstance(output, torch.Tensor):
                layers.append(_layer(name, module, inputs, output))

        return hook

    leaves = [(name, m) for name, m in model.named_modules() if not list(m.children())]
    handles = [module.register_forward_hook(note(name)) for name, module in leaves]
    try:
        with torch.no_grad():
            # Two images: batch norm cannot be trained on one.
            model.train()(torch.empty(2, *image, device="meta"))
    finally:
        for handle in handles:
            handle.remove()
    return layers


def _layer(
    name: str, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor
) -> Layer:
    shape = tuple(output.shape[1:])
    weighted = isinstance(module, torch.nn.Conv2d | torch.nn.Linear)
    return Layer(
        name=name,
        type=type(module).__name__,
        shape=shape,
        parameters=sum(p.numel() for p in module.parameters()),
        macs=math.prod(shape) * module.weight[0].numel() if weighted else 0,
        counted=weighted or _pools(module, inputs, output),
    )


def _pools(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> bool:
    if isinstance(module, torch.nn.AdaptiveAvgPool2d | torch.nn.AdaptiveMaxPool2d):
        # torchvision's VGG has one that changes nothing at 224 pixels.
        return all(given.shape != output.shape for given in inputs)
    return isinstance(module, torch.nn.MaxPool2d | torch.nn.AvgPool2d)
