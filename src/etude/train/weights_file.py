"""Files of weights: named tensors, and what a header says of them.

They are read as tensors: nothing in them is run or constructed.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etude.base.errors import UserError
from etude.base.lazy import safetensors, torch
from etude.base.text import first_line
from etude.runs.names import BEST

OWN_KEY = "etude"  # of what a header says: whose weights these are, and how to use them
_HEADER = 100 * 2**20  # bytes that safetensors lets a header have


def read(path: Path) -> dict[str, torch.Tensor]:
    """Read a file of named tensors.

    Raises:
        UserError: It is damaged, or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a file that is none makes them raise
        raise UserError(
            f"{path} cannot be read as weights and nothing else ({_reason(error)})"
        ) from error
    if not _is_named_tensors(state):
        raise UserError(f"{path} is not a mapping from names to tensors, as state_dict() gives")
    return state


def best_of(folder: Path, fingerprint: str) -> Path:
    """Give a run's best weights, if they are that run's: a file may have been copied in.

    Raises:
        UserError: They are another run's.
    """
    path = folder / BEST
    owner = str(told_of(path).get("run", fingerprint))  # earlier ones do not say
    if owner != fingerprint:
        raise UserError(
            f"{path} has the weights of run {owner}, and {folder} is run {fingerprint}; "
            "put the run's own back, or train it again with fresh=true"
        )
    return path


def write(weights: Mapping[str, torch.Tensor], told: Mapping[str, object], path: Path) -> None:
    """Write named tensors, with what is said of them in the file's header.

    Args:
        weights: By name.
        told: Whose they are, and how to use them; JSON can write it.
        path: The file, which is not replaced in one go.
    """
    header = {OWN_KEY: json.dumps(told, ensure_ascii=False)}  # of two keys, the order is random
    safetensors.torch.save_file({k: v.contiguous() for k, v in weights.items()}, path, header)


def told_of(path: Path) -> Mapping[str, Any]:
    """Read what a file of weights says of itself, in its header; nothing of one that has none."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header: Any = json.loads(file.read(min(length, _HEADER)))
        told = dict(header.get("__metadata__", {}))
        owner = {"run": told["run"].partition(",")[0]} if "run" in told else {}  # of earlier ones
        return {**owner, **json.loads(told.get(OWN_KEY, "{}"))}
    except (OSError, ValueError, struct.error, AttributeError, TypeError):
        return {}  # whoever reads the weights tells what is wrong


def _reason(error: Exception) -> str:
    """Say why a file cannot be read, where PyTorch says how to run it all the same, or nothing."""
    said = first_line(error)
    if said.startswith("Weights only load failed"):
        return "it holds more than tensors: objects, whose code would run"
    return said if " " in said else "it is no file that torch.save writes"


def _is_named_tensors(state: object) -> bool:
    return isinstance(state, Mapping) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    )
