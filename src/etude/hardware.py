"""Where a run computes, and in which numbers."""

from contextlib import AbstractContextManager
from pathlib import Path

import torch

from etude.errors import UserError

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(device: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:<number>` into a device that is there.

    Raises:
        UserError: CUDA is asked for where there is none, or too few.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "auto":
        return torch.device("cuda" if count else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and (chosen.index or 0) >= count:
        there = f"this machine has {count} CUDA devices" if count else "there is no CUDA device"
        raise UserError(f"device={device}: {there}; set device=cpu or device=auto")
    return chosen


def choose_precision(precision: str, device: torch.device) -> str:
    """Turn `auto` into bfloat16 where the hardware has matrix units for it, else float32."""
    if precision != "auto":
        return precision
    return "bfloat16" if _has_bfloat16_units(device) else "float32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Compute matrix products in the given numbers; float32 switches nothing on."""
    dtype = _DTYPES.get(precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def make_deterministic(*, deterministic: bool) -> None:
    """Ask for the same bits again, or let cuDNN choose the fastest kernels by timing them."""
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cudnn.deterministic = deterministic


def describe(device: torch.device) -> str:
    """Name the device as its maker does."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def peak_memory(device: torch.device) -> int:
    """Give the most memory held so far, in bytes: of the device, or of this process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # noqa: PLC0415 (not everywhere)

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that a clock read next is honest."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _has_bfloat16_units(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    try:
        return " amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
