"""Read the mappings, lists and arrays of bytes in an old pickle, and run nothing that it names.

A pickle is a program: it names functions and calls them. Here only three names are known, those
that numpy's arrays are made with, and each stands for something of this file's own.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from etude.base.lazy import torch


class _Array:
    """What numpy.ndarray is in such a file: a shape, and the bytes of its content."""

    def __init__(self, *_: object) -> None:
        self.shape: tuple[int, ...] = ()
        self.content = b""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, kind, columns_first, self.content = state
        if kind.name != b"u1" or columns_first:
            raise pickle.UnpicklingError("an array that is not one of bytes, row by row")

    def tensor(self) -> torch.Tensor:
        return torch.frombuffer(bytearray(self.content), dtype=torch.uint8).reshape(self.shape)


class _Kind:
    """What numpy.dtype is in such a file: a name."""

    def __init__(self, name: bytes = b"", *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        """Pass over what numpy says of the order of bytes, which bytes do not have."""


KNOWN = {
    "numpy.core.multiarray._reconstruct": _Array,  # which is called with the class, a shape, a code
    "numpy.ndarray": _Array,
    "numpy.dtype": _Kind,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> type:
        """Give what stands for a name, and refuse all others before they are imported."""
        try:
            return KNOWN[f"{module_name}.{global_name}"]
        except KeyError as error:
            raise pickle.UnpicklingError(f"it names {module_name}.{global_name}") from error


def read_pickled(content: bytes) -> dict[str, Any]:
    """Give what a pickled mapping holds: arrays as uint8 tensors, text as bytes.

    Raises:
        ValueError: It is damaged, is no mapping, or names anything but numpy's arrays of bytes.
    """
    try:
        found = _Reader(io.BytesIO(content), encoding="bytes").load()
        return {
            key.decode(): value.tensor() if isinstance(value, _Array) else value
            for key, value in found.items()
        }
    except Exception as error:  # a damaged pickle raises whatever its opcodes stumble over
        raise ValueError(f"{type(error).__name__}: {error}") from error
