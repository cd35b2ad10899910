"""Where a run computes, and in which numbers."""

import logging
import sys
import warnings
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch

from etude.base.errors import UserError
from etude.base.physical_memory import physical_memory
from etude.base.text import counted
from etude.runs.environment import processor
from etude.runs.records import Summary

log = logging.getLogger(__name__)

_MOST_THREADS = 1024  # that a damaged folder may ask for

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
        there = (
            f"this machine has {counted(count, 'CUDA device')}"
            if count
            else "there is no CUDA device"
        )
        raise UserError(f"device={device}: {there}; set device=cpu or device=auto")
    return chosen


def choose_precision(precision: str, device: torch.device, *, gains: bool) -> str:
    """Turn `auto` into bfloat16 where the hardware is made for it, else float32.

    Args:
        precision: As configured.
        device: Where the run is to be.
        gains: Whether bfloat16 is worth it where the CPU has products of it but no matrix units.

    Raises:
        UserError: TF32 is asked for where there are no units for it.
    """
    if precision == "tf32" and not (device.type == "cuda" and _is_ampere(device)):
        raise UserError(
            f"precision=tf32: {describe(device)} has no units for it, an NVIDIA GPU of compute "
            "capability 8.0 has; set precision=float32 or precision=auto"
        )
    if precision != "auto":
        return precision
    return "bfloat16" if _is_made_for_bfloat16(device, gains=gains) else "float32"


@contextmanager
def threads_restored() -> Generator[None]:
    """Leave PyTorch as many threads as it had: a process may do more than one run."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def take_up_threads(begun: Summary | None, device: torch.device) -> None:
    """Compute in as many threads as a run began with on a CPU: among others, sums round otherwise.

    Args:
        begun: What the run said of itself; None of one that begins now.
        device: Where it goes on.
    """
    if begun is None or begun.get("device") != "cpu" or device.type != "cpu":
        return
    here, then = torch.get_num_threads(), begun.get("threads", 0)
    if then == here or not 0 < then <= _MOST_THREADS:
        return
    told = counted(then, "thread")
    log.info("computing in %s, as the run began, and not in %d: the same bits", told, here)
    torch.set_num_threads(then)


def set_tf32(precision: str) -> None:
    """Let matrix products and convolutions round float32 to TF32 for `tf32`, and for nothing else.

    PyTorch lets cuDNN's convolutions do so unless told otherwise, so that float32 would not be it.
    """
    on = precision == "tf32"
    with warnings.catch_warnings(action="ignore"):  # some PyTorch would have its newer switches
        # Those leave its compiler and its exporters, which ask these, with an error.
        torch.backends.cuda.matmul.allow_tf32 = on
        torch.backends.cudnn.allow_tf32 = on


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Compute matrix products in the given numbers; float32 and tf32 switch nothing on."""
    dtype = _DTYPES.get(precision)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def make_current(device: torch.device) -> None:
    """Have what names no device, such as an event, mean the run's."""
    if device.type == "cuda" and ":" in str(device):
        torch.cuda.set_device(device)


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

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free_memory(device: torch.device) -> int:
    """Give the bytes of a GPU's memory that this process may still take."""
    free, _ = torch.cuda.mem_get_info(device)
    at_hand = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return free + at_hand  # which PyTorch keeps, after another run in this process


def available_memory(device: torch.device) -> int:
    """Give the bytes that this process may still take, of a GPU's memory or of the machine's."""
    if device.type == "cuda":
        return free_memory(device)
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:  # where it is told otherwise, half of all is taken for free
        return physical_memory() // 2
    (told,) = (line for line in lines if line.startswith("MemAvailable:"))
    return 1024 * int(told.split()[1])


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that a clock read next is honest."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _is_made_for_bfloat16(device: torch.device, *, gains: bool) -> bool:
    if device.type == "cuda":
        return _is_ampere(device)
    flags = cpu_flags()
    return "amx_bf16" in flags or (gains and "avx512_bf16" in flags)


def cpu_flags() -> frozenset[str]:
    """Give the features of this machine's processor, as Linux names them; none elsewhere."""
    return frozenset(processor("flags").split())


def _is_ampere(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= (8, 0)
