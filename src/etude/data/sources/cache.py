"""Tensors kept in a file between runs: written whole or not at all, checked before use."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

from etude.base.lazy import safetensors, torch
from etude.base.places import cached

log = logging.getLogger(__name__)


def read(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor] | None:
    """Read the named uint8 tensors back.

    Returns:
        None, after a warning unless there simply is no file, when they are not what was written.
    """
    try:
        if not path.is_file():
            return None
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in shapes}
            written = (file.metadata() or {}).get("checksum")
    except (OSError, safetensors.SafetensorError) as error:
        log.warning("cache %s cannot be read (%s); it is made again", path, error)
        return None
    sound = all(tuple(tensors[name].shape) == shape for name, shape in shapes.items())
    if sound and written == _checksum(tensors):
        return tensors
    log.warning("cache %s is damaged; it is made again", path)
    return None


def write(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write uint8 tensors so that `path` is whole or absent at any moment; warn if impossible."""
    try:
        with cached(path) as temporary:
            safetensors.torch.save_file(tensors, temporary, {"checksum": _checksum(tensors)})
    except (OSError, safetensors.SafetensorError) as error:
        log.warning("cache %s cannot be written (%s); the next run decodes again", path, error)


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype}".encode())
        digest.update(tensors[name].reshape(-1).numpy().data)
    return digest.hexdigest()
