"""What stands in for CUDA's graphs on a CPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from etude.train.cuda import Cuda


@contextmanager
def _no_update() -> Iterator[None]:
    """Fail as an update begins, with gradients there that no graph has computed."""

    def fails(*_: object) -> None:
        raise RuntimeError("CUDA out of memory")

    hook = register_optimizer_step_pre_hook(fails)
    try:
        yield
    finally:
        hook.remove()


class StandIn(Cuda):
    """Do on the CPU what is asked for, and note it; a captured step is done when it is replayed."""

    def __init__(
        self, waits: tuple[str, ...] = (), *, fails: bool = False, runs_out: bool = False
    ) -> None:
        self.replayed = 0
        self._waits, self._fails, self._runs_out = waits, fails, runs_out

    def aside(self, function: Callable[[], None], device: torch.device) -> None:
        function()

    def waits(self, function: Callable[[], None]) -> list[str]:
        function()
        return list(self._waits)

    def capture(self, function: Callable[[], None], device: torch.device) -> Callable[[], None]:
        if self._fails:
            try:
                raise RuntimeError("operation not permitted when stream is capturing")
            finally:
                raise RuntimeError("operation failed due to a previous error during capture")

        if self._runs_out:
            with _no_update():
                function()

        def replay() -> None:
            self.replayed += 1
            function()

        return replay
