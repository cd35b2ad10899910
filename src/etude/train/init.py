"""Initial weights: Keras's initialisers, and PyTorch's own.

Each is an object that is called on a model with a seed. The weights come from random generators of
their own: the same seed gives the same weights whatever was drawn before, and what is drawn
afterwards does not depend on the model. Call them while the model is on the CPU.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from etude.base.errors import UserError

KERNEL_LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)

# The standard deviation of a unit normal distribution cut off at ±2.
TRUNCATED_STD = 0.87962566103423978


class KerasInitializer(ABC):
    """Draw every kernel from one distribution, set biases to 0, reset all other layers.

    Kernels are the weights of convolutions and linear layers, drawn in float32 in the order of
    `model.modules()`. Normalisation layers get weight 1, bias 0 and fresh running statistics: that
    is their `reset_parameters`, which is called for every module that has one. A module without it,
    such as one of the user's own, is left as it was constructed.
    """

    @torch.no_grad()
    def __call__(self, model: nn.Module, *, seed: int) -> None:
        """Initialise the model in place; PyTorch's global random state is left as it was."""
        generator = torch.Generator().manual_seed(seed)
        with _global_seed(seed):  # for modules whose reset draws at random
            for module in model.modules():
                if isinstance(module, KERNEL_LAYERS):
                    module.weight.copy_(self._drawn(module.weight, generator))
                    if module.bias is not None:
                        module.bias.zero_()
                else:
                    _reset(module)

    def _drawn(self, weight: Tensor, generator: torch.Generator) -> Tensor:
        kernel = torch.empty(weight.shape, dtype=torch.float32)
        self.draw(kernel, generator)
        return kernel

    @abstractmethod
    def draw(self, kernel: Tensor, generator: torch.Generator) -> None:
        """Fill a kernel (out, in / groups, *window) or (out, in) in place."""


class GlorotUniform(KerasInitializer):
    """U(±√(6 / (fan_in + fan_out))): Keras's default.

    Glorot & Bengio, AISTATS 2010, https://proceedings.mlr.press/v9/glorot10a.html, equation 16.
    """

    def draw(self, kernel: Tensor, generator: torch.Generator) -> None:
        """Fill a kernel in place."""
        nn.init.xavier_uniform_(kernel, generator=generator)


class HeNormal(KerasInitializer):
    """A normal distribution of standard deviation √(2 / fan_in), cut off at two of its σ.

    He et al., ICCV 2015, https://arxiv.org/abs/1502.01852, equation 10; the cut is Keras's. It
    takes away 12 % of the standard deviation.

    Args:
        variance_corrected: True widens σ so that the standard deviation comes out right, as Keras
            does since 2.2.4; False leaves it at 0.8796·√(2 / fan_in), as Keras 2.1.6 did.
    """

    def __init__(self, *, variance_corrected: bool) -> None:
        self.variance_corrected = variance_corrected

    def draw(self, kernel: Tensor, generator: torch.Generator) -> None:
        """Fill a kernel in place."""
        fan_in = kernel[0].numel()
        sigma = math.sqrt(2 / fan_in) / (TRUNCATED_STD if self.variance_corrected else 1)
        nn.init.trunc_normal_(kernel, 0.0, sigma, -2 * sigma, 2 * sigma, generator=generator)


class Normal(KerasInitializer):
    """A normal distribution around 0, not cut off: Keras's RandomNormal, whose default is 0.05.

    Args:
        std: Standard deviation, above 0.
        ones: Layers, by name, whose biases begin at 1 and not at 0.

    Raises:
        UserError: If `std` is not above 0.
    """

    def __init__(self, *, std: float, ones: Sequence[str] = ()) -> None:
        if not 0 < std < math.inf:
            raise UserError(f"std={std} must be > 0")
        self.std = std
        self.ones = tuple(ones)

    @torch.no_grad()
    def __call__(self, model: nn.Module, *, seed: int) -> None:
        """Initialise the model in place; PyTorch's global random state is left as it was.

        Raises:
            UserError: The model has no layer of a name in `ones`, or it has no bias.
        """
        super().__call__(model, seed=seed)
        layers = dict(model.named_modules())
        for name in self.ones:
            bias = getattr(layers.get(name), "bias", None)
            if not isinstance(bias, Tensor):
                raise UserError(
                    f"init.ones: {type(model).__name__} has no layer {name} with a bias"
                )
            bias.fill_(1)

    def draw(self, kernel: Tensor, generator: torch.Generator) -> None:
        """Fill a kernel in place."""
        nn.init.normal_(kernel, 0.0, self.std, generator=generator)


class LeCun1998(KerasInitializer):
    """U(±2.4 / fan_in): LeCun et al. 1998, appendix A, for units whose slope is about 1 there.

    http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf
    """

    def draw(self, kernel: Tensor, generator: torch.Generator) -> None:
        """Fill a kernel in place."""
        limit = 2.4 / kernel[0].numel()
        nn.init.uniform_(kernel, -limit, limit, generator=generator)


class PyTorch:
    """PyTorch's own initialisation: `reset_parameters` of every module that has it.

    For convolutions and linear layers that is U(±1/√fan_in), weights and biases alike.
    """

    def __call__(self, model: nn.Module, *, seed: int) -> None:
        """Initialise the model in place; PyTorch's global random state is left as it was."""
        with _global_seed(seed):
            for module in model.modules():
                _reset(module)


def _reset(module: nn.Module) -> None:
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()


@contextmanager
def _global_seed(seed: int) -> Generator[None, None, None]:
    """Seed the CPU's global generator inside, and put it back afterwards."""
    state = torch.get_rng_state()
    # Not torch.manual_seed: it would seed every GPU as well, and nothing puts those back.
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
