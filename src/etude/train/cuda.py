"""What a captured step needs of CUDA, in one place, so that a test can stand in for it."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

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

    def capture(self, function: Callable[[], None], device: torch.device) -> Callable[[], None]:
        """Record what a function does on a device, without doing it; give what does it.

        Raises:
            RuntimeError: It does something that no graph can hold.
        """
        with torch.cuda.device(device):
            number, usual = torch.cuda.current_device(), torch.cuda.current_stream()
            graph = torch.cuda.CUDAGraph()
            other = _other_graph(number)  # held, as its pool goes with it
            pool = None if other is None else other.pool()
            try:
                # A capture that fails would leave its stream behind as the current one.
                with torch.cuda.stream(usual), _capturing(graph, pool, number):
                    function()
            except RuntimeError:
                _forget_the_capture(number)
                raise
        _graphs[graph] = number
        return graph.replay


# Those that still exist, with their devices' numbers.
_graphs: WeakKeyDictionary[torch.cuda.CUDAGraph, int] = WeakKeyDictionary()


def _other_graph(device: int) -> torch.cuda.CUDAGraph | None:
    """Give one whose memory others can have: none leaves anything in it, or is replayed beside."""
    return next((graph for graph, place in _graphs.items() if place == device), None)


def _capturing(graph: torch.cuda.CUDAGraph, pool: Any, device: int) -> AbstractContextManager[None]:
    """Capture on the device's own stream: PyTorch's is on the device of a process's first graph."""
    return torch.cuda.graph(graph, pool=pool, stream=_capture_stream(device))


@cache
def _capture_stream(device: int) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


def _forget_the_capture(device: int) -> None:
    """Let the random numbers go on: a capture that has failed leaves them waiting for its end."""
    generator = torch.cuda.default_generators[device]
    generator.graphsafe_set_state(generator.clone_state())
