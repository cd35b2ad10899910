"""Whether the documents' systems do step by step what the documents' own Keras does.

    python -m benchmarks.keras.compare [lenet alexnet vgg19 resnet20]

Both sides begin with the same weights and see the same batches of random images, in float64; the
losses, with what l2 adds, must agree in every step. Keras has an environment of its own, which the
first call makes (see `benchmarks.environments`).
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.environments import python_of
from benchmarks.keras.systems import (
    BETAS,
    EPSILON,
    EPSILON_BN,
    HIDDEN,
    MOMENTUM,
    RHO,
    STEPS,
    SYSTEMS,
    WIDTH,
    System,
)
from etude.models.alexnet import AlexNetSmall
from etude.models.lenet import LeNet5
from etude.models.resnet_keras import ResNetKeras
from etude.models.vgg import VGG
from etude.train.init import HeNormal
from etude.train.optim.decay import Decay, parameter_groups, penalty
from etude.train.optim.keras import KerasAdam, KerasSGD

# Adadelta's ε is kept in float32 by Keras, and a loss is a sum in another order.
TOLERANCE = 1e-6
DECAY: dict[str, Decay] = {"resnet20": ["*conv*.weight", "*shortcut.weight"]}


def network(name: str) -> nn.Module:
    """Build a system's network."""
    if name == "lenet":
        return LeNet5(1, 10, input_size=28)
    if name == "alexnet":
        return AlexNetSmall(1, 10, input_size=28, dropout=0.0)
    if name == "resnet20":
        return ResNetKeras(3, 10, input_size=32, version=1, depth=20, bn_eps=EPSILON_BN)
    return VGG(
        3, 10, variant="E", input_size=32, batch_norm=True, head_batch_norm=True,
        bn_eps=EPSILON_BN, bn_momentum=0.01, width=WIDTH, hidden=HIDDEN, dropout=0.0,
    )  # fmt: skip


def optimizer(system: System, groups: list[dict[str, object]]) -> torch.optim.Optimizer:
    """Make a system's optimizer, as Étude's choices for Keras have it."""
    rate = system.rates[0]
    if system.optimizer == "adam":
        return KerasAdam(groups, lr=rate, betas=BETAS, eps=EPSILON)
    if system.optimizer == "adadelta":
        return torch.optim.Adadelta(groups, lr=rate, rho=RHO, eps=EPSILON)
    return KerasSGD(groups, lr=rate, momentum=MOMENTUM, nesterov=True)


def as_keras(model: nn.Module, images: Tensor) -> dict[str, np.ndarray]:
    """Give a network's tensors as Keras lays them out, by layer and name."""
    flat = _flattened(model, images)
    found: dict[str, np.ndarray] = {}
    for name, module in model.named_modules():
        layer = name.replace(".", "_")
        state = {key: value.detach().numpy() for key, value in module.state_dict().items()}
        if isinstance(module, nn.Conv2d):
            found[f"{layer}|kernel"] = state["weight"].transpose(2, 3, 1, 0)
            found[f"{layer}|bias"] = state["bias"]
        elif isinstance(module, nn.Linear):
            kernel = state["weight"]
            if flat is not None and kernel.shape[1] == np.prod(flat):
                # Ours counts channels first, Keras's Flatten last.
                kernel = kernel.reshape(-1, *flat).transpose(0, 2, 3, 1).reshape(len(kernel), -1)
                flat = None
            found[f"{layer}|kernel"], found[f"{layer}|bias"] = kernel.T, state["bias"]
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean",
                     "moving_variance": "running_var"}  # fmt: skip
            found |= {f"{layer}|{theirs}": state[ours] for theirs, ours in names.items()}
    return found


def _flattened(model: nn.Module, images: Tensor) -> tuple[int, ...] | None:
    """Give the shape (C, H, W) that the first linear layer sees flattened."""
    features = getattr(model, "features", None)
    return None if features is None else tuple(features(images[:1]).shape[1:])


def losses(model: nn.Module, name: str, images: Tensor, labels: Tensor) -> list[float]:
    """Train the steps; give the loss before each, l2's part included."""
    system, decay = SYSTEMS[name], DECAY.get(name, "kernels")
    update = optimizer(system, parameter_groups(model, weight_decay=2 * system.l2, decay=decay))
    found: list[float] = []
    model.train()
    for step in range(STEPS):
        for group in update.param_groups:
            group["lr"] = system.rates[step]
        batch = slice(step * system.batch, (step + 1) * system.batch)
        loss = functional.cross_entropy(model(images[batch]), labels[batch])
        found.append(float(loss.detach() + penalty(model, system.l2, decay)))
        update.zero_grad()
        loss.backward()
        update.step()
    return found


def compare(name: str, folder: Path) -> tuple[float, float]:
    """Give the largest relative difference of outputs, and of the losses of all steps."""
    system = SYSTEMS[name]
    generator = torch.Generator().manual_seed(0)
    count = STEPS * system.batch
    shape = (count, system.channels, system.side, system.side)
    images = torch.randn(shape, generator=generator, dtype=torch.float64)
    labels = torch.randint(10, (count,), generator=generator)
    model = network(name)
    HeNormal(variance_corrected=True)(model, seed=0)
    model.double().eval()
    given, written = folder / f"{name}.npz", folder / f"{name}_theirs.npz"
    with torch.no_grad():
        outputs = model(images[: system.batch]).numpy()
        arrays = as_keras(model, images)
    np.savez(given, images=images.permute(0, 2, 3, 1).numpy(), labels=labels.numpy(), **arrays)
    ours = np.array(losses(model, name, images, labels))
    theirs = _keras(name, given, written)
    apart = np.abs(theirs["outputs"] - outputs).max() / np.abs(outputs).max()
    return float(apart), float(np.abs(theirs["losses"] / ours - 1).max())


def _keras(name: str, given: Path, written: Path) -> dict[str, np.ndarray]:
    script = Path(__file__).with_name("theirs.py")
    command = [str(python_of("keras")), str(script), name, str(given), str(written)]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "PATH": ""}
    subprocess.run(command, check=True, env=quiet)  # noqa: S603 (our own script)
    return dict(np.load(written))


def main() -> int:
    """Compare systems; 0 if all agree."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", choices=SYSTEMS)
    names = parser.parse_args().names
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name in names or SYSTEMS:
            outputs, steps = compare(name, Path(folder))
            print(f"{name:10} outputs {outputs:.1e}  loss of {STEPS} steps {steps:.1e}", flush=True)
            worst = max(worst, outputs, steps)
    return int(not worst < TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
