"""What stands in for CUDA's graphs on a CPU."""

from collections.abc import Callable

import torch

from etude.train.cuda import Cuda


class StandIn(Cuda):
    """Do on the CPU what is asked for, and note it; a captured step is done when it is replayed."""

    def __init__(self, waits: tuple[str, ...] = (), *, fails: bool = False) -> None:
        self.replayed = 0
        self._waits, self._fails = waits, fails

    def aside(self, function: Callable[[], None], device: torch.device) -> None:
        function()

    def waits(self, function: Callable[[], None]) -> list[str]:
        function()
        return list(self._waits)

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        if self._fails:
            try:
                raise RuntimeError("operation not permitted when stream is capturing")
            finally:
                raise RuntimeError("operation failed due to a previous error during capture")

        def replay() -> None:
            self.replayed += 1
            function()

        return replay
