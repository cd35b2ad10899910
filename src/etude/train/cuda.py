"""What a captured step needs of CUDA, in one place, so that a test can stand in for it."""

import warnings
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

import torch

from etude.base.side_stream import side_stream

_SAYS = "synchronizing CUDA operation"


class Cuda:
    """Run, watch and capture functions on a GPU."""

    def aside(self, function: Callable[[], None], device: torch.device) -> None:
        """Call a function on another stream, as PyTorch asks for before a capture."""
        stream = side_stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            function()
        torch.cuda.current_stream(device).wait_stream(stream)

    def waits(self, function: Callable[[], None]) -> list[str]:
        """Call a function; name the lines of code at which the host waited for the device."""
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                torch.cuda.set_sync_debug_mode("warn")  # which itself warns
                function()
            finally:
                torch.cuda.set_sync_debug_mode(before)
        return [f"{w.filename}:{w.lineno}" for w in told if _SAYS in str(w.message)]

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Record what a function does on the device, without doing it; give what does it.

        Raises:
            RuntimeError: It does something that no graph can hold.
        """
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=_pool()):
                function()
        except RuntimeError:
            _forget_the_capture()
            raise
        _graphs.add(graph)
        return graph.replay


# Those that still exist. A pool that no graph holds any more is gone, and its handle with it.
_graphs: WeakSet[torch.cuda.CUDAGraph] = WeakSet()


def _pool() -> Any:
    """Give memory for all graphs: none leaves anything in it, and no two are replayed at once."""
    return next((graph.pool() for graph in _graphs), None)


def _forget_the_capture() -> None:
    """Let the random numbers go on: a capture that has failed leaves them waiting for its end."""
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    generator.graphsafe_set_state(generator.clone_state())
