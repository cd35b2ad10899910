"""What a benchmark ran on: named for its results' files, and told inside them."""

import datetime
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.rows import ROOT
from etude.base.physical_memory import physical_memory
from etude.runs.environment import processor, processor_name

# What decides how fast float32 and bfloat16 are on a CPU.
TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_tile")
FILLERS = re.compile(r"\(r\)|\(tm\)|intel|nvidia|processor|cpu|[@,]", re.IGNORECASE)


def facts(device: str) -> dict[str, Any]:
    """Describe the machine, the code and the command."""
    return {
        "device": device_name(device),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in TELLING_FLAGS if flag in processor("flags").split()],
        "memory_bytes": physical_memory(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "command": " ".join(("python -m", _module(), *map(without_place, sys.argv[1:]))),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
    }


def device_name(device: str) -> str:
    """Name the GPU or the processor as its maker does."""
    if device == "cpu":
        return processor_name()
    import torch  # noqa: PLC0415 (takes seconds)

    return torch.cuda.get_device_name()


def require(device: str) -> None:
    """End a benchmark in a line where the device is not here.

    Raises:
        SystemExit: It is not.
    """
    import torch  # noqa: PLC0415 (takes seconds)

    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here")


def slug(device: str) -> str:
    """Name the device for a file: `cpu-xeon-2.50ghz-2cores`."""
    words = FILLERS.sub(" ", device_name(device)).lower().split()
    cores = (f"{len(os.sched_getaffinity(0))}cores",) if device == "cpu" else ()
    return "-".join((device, *words, *cores))


def multiplies_bfloat16(device: str) -> bool:
    """Tell whether the hardware itself multiplies bfloat16."""
    return device == "cuda" or bool(
        {"amx_bf16", "avx512_bf16"}.intersection(processor("flags").split())
    )


def _git(*words: str) -> str:
    answer = subprocess.run(  # noqa: S603
        ["git", *words],  # noqa: S607
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    return answer.stdout.strip()


def without_place(word: str) -> str:
    """Leave out where on this machine a file or folder is, which is nobody else's business."""
    path = Path(word)
    return f"…/{path.name}" if path.is_absolute() else word


def _module() -> str:
    spec = sys.modules["__main__"].__spec__
    return spec.name if spec is not None else sys.argv[0]
