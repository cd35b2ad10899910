"""Waits of the host for the GPU, forbidden for a while."""

import warnings
from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def no_waits() -> Generator[None]:
    """Make it an error to wait for the device. Setting the mode warns, which must not leave it."""
    _set("error")
    try:
        yield
    finally:
        _set("default")


def _set(mode: str) -> None:
    with warnings.catch_warnings(action="ignore"):
        torch.cuda.set_sync_debug_mode(mode)
