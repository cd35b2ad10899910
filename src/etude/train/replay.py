"""Something that is done again and again on a GPU, from some time on as a replayed CUDA graph."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from etude.base.errors import UserError
from etude.base.text import first_line
from etude.train.cuda import Cuda

# Real calls before the capture, in which libraries choose their kernels and optimizers make what
# they keep; cuDNN's choice by timing takes the first, the rest is PyTorch's recommendation, and
# one for what is compiled with the second.
WARM_UP_STEPS = 3


class CannotCapture(UserError):  # noqa: N818 (what it says)
    """What was to be done cannot be captured; it has not been done.

    Args:
        reason: Why, in words.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"train.step=graph cannot capture this run: {reason}; train.step=auto does it eagerly"
        )
        self.reason = reason


class Replay:
    """Do something eagerly at first, then capture it, and replay the graph.

    In the last of the eager calls, what a graph cannot hold is looked for. They compute what a
    replay does, so they are calls like all others.

    Args:
        do: Does it, by the same operations on the same memory every time.
        model: The network that has part in it.
        device: Where.
        cuda: What runs and captures it.
    """

    def __init__(
        self, do: Callable[[], None], model: nn.Module, device: torch.device, cuda: Cuda
    ) -> None:
        self._do, self._model, self._device, self._cuda = do, model, device, cuda
        self._eager_calls = 0
        self._refusal = ""
        self._replay: Callable[[], None] | None = None

    def __call__(self) -> None:
        """Do it.

        Raises:
            CannotCapture: It cannot be captured; this time, it has not been done.
        """
        if self._eager_calls < WARM_UP_STEPS:
            self._warm_up()
            return
        if self._replay is None:
            self._replay = self._capture()
        self._replay()

    def _warm_up(self) -> None:
        """Do it eagerly; the last time, look for what a graph would not repeat."""
        self._eager_calls += 1
        if self._eager_calls < WARM_UP_STEPS:
            self._cuda.aside(self._do, self._device)
            return
        before = _on_host(self._model)
        waits = self._cuda.waits(lambda: self._cuda.aside(self._do, self._device))
        if waits:
            self._refusal = f"the host waits for the device at {', '.join(dict.fromkeys(waits))}"
        elif changed := [
            key for key, value in _on_host(self._model).items() if before.get(key) != value
        ]:
            self._refusal = f"{changed[0]} changes with every step, on the host"

    def _capture(self) -> Callable[[], None]:
        """Record it; nothing is computed yet."""
        if self._refusal:
            raise CannotCapture(self._refusal)
        try:
            return self._cuda.capture(self._do, self._device)
        except RuntimeError as error:
            raise CannotCapture(_cause(error)) from error


class Replays:
    """Do something with so many images at a time, by a graph for each number, in the same memory.

    Args:
        do: Does it with as many images as it is given, see `Replay`.
        model: The network that has part in it.
        device: Where.
        cuda: What runs and captures it.
    """

    def __init__(
        self, do: Callable[[int], None], model: nn.Module, device: torch.device, cuda: Cuda
    ) -> None:
        self._do, self._how = do, (model, device, cuda)
        self._each: dict[int, Replay] = {}

    def __call__(self, images: int) -> None:
        """Do it.

        Raises:
            CannotCapture: It cannot be captured; this time, it has not been done.
        """
        if images not in self._each:
            self._each[images] = Replay(partial(self._do, images), *self._how)
        self._each[images]()


def _on_host(model: nn.Module) -> dict[str, float]:
    """Give the numbers that a network's layers hold on the host, such as a count of steps."""
    return {
        f"{name}.{key}".lstrip("."): value
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, int | float)
    }


def _cause(error: BaseException) -> str:
    """Say what went wrong first: ending a capture that has failed fails again."""
    while error.__context__ is not None:
        error = error.__context__
    return first_line(error)
