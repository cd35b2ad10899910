"""What this machine offers: the cores this process may use, and its GPUs, without touching CUDA."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from etude.base.gpu_memory import MIB

log = logging.getLogger(__name__)

_QUERY = ["--query-gpu=index,uuid,memory.free", "--format=csv,noheader,nounits"]


@dataclass(frozen=True)
class Device:
    """One GPU, or the CPU.

    Args:
        name: What `CUDA_VISIBLE_DEVICES` calls it; `cpu` for the CPU.
        free: Bytes of its memory that nobody uses; None where nobody can tell.
    """

    name: str
    free: int | None = None

    @property
    def is_cpu(self) -> bool:
        """Whether it is no GPU."""
        return self.name == "cpu"


CPU = Device("cpu")


def cores() -> int:
    """Count the cores that this process may keep busy: its affinity, and its group's limit."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(allowed or 1, int(_group_limit())))


def _group_limit() -> float:
    """Give the cores' worth of time that control group v2 grants; infinite where it does not."""
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="utf-8").strip().rpartition("::")[2]
        folder = Path("/sys/fs/cgroup") / own.lstrip("/")
        quotas = [(path / "cpu.max").read_text(encoding="utf-8") for path in _with_limits(folder)]
    except OSError:
        quotas = []
    return min([*map(quota, quotas), 2**20])


def _with_limits(folder: Path) -> list[Path]:
    return [path for path in (folder, *folder.parents) if (path / "cpu.max").exists()]


def quota(text: str) -> float:
    """Read a `cpu.max`: microseconds of `max` in each period, as a number of cores."""
    allowed, _, period = text.strip().partition(" ")
    return float("inf") if allowed == "max" else max(1.0, float(allowed) / float(period))


def gpus() -> list[Device]:
    """List the GPUs that jobs may use, as `nvidia-smi` and `CUDA_VISIBLE_DEVICES` tell."""
    return visible(_listed(_QUERY), os.environ)


def gpu_names() -> list[str]:
    """Name the models of the GPUs that jobs may use, each once, as their maker does."""
    if not gpus():
        return []
    listed = _listed(["--query-gpu=name", "--format=csv,noheader"])
    return list(dict.fromkeys(line.strip() for line in listed.splitlines() if line.strip()))


def _listed(query: Sequence[str]) -> str:
    """Ask `nvidia-smi`; nothing where there is none, or it has no answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        return subprocess.run(  # noqa: S603
            [program, *query], check=True, capture_output=True, text=True, timeout=30
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def devices(wanted: str | Sequence[object]) -> list[Device]:
    """Turn the setting `devices` into devices.

    Args:
        wanted: `auto` for all GPUs, or the CPU where there is none; `cpu`; or GPUs' names.
    """
    if wanted == "cpu":
        return [CPU]
    found = gpus()
    if wanted == "auto":
        return found or [CPU]
    free = {device.name: device.free for device in found}
    if not found:
        named = ",".join(map(str, wanted))
        log.warning("hydra.launcher.devices=[%s]: nvidia-smi lists no GPU here", named)
    return [Device(str(name), free.get(str(name))) for name in wanted]


def visible(listed: str, environment: Mapping[str, str]) -> list[Device]:
    """Turn what `nvidia-smi` lists into the devices that jobs may use.

    Args:
        listed: Lines of `index, uuid, free MiB`.
        environment: Its `CUDA_VISIBLE_DEVICES` says which, and under which names.
    """
    rows = [[cell.strip() for cell in line.split(",")] for line in listed.splitlines() if line]
    free = {cell: _bytes(row[2]) for row in rows for cell in row[:2]}
    chosen = environment.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        # By UUID: CUDA counts from the fastest, nvidia-smi along the bus.
        return [Device(row[1], free[row[1]]) for row in rows]
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    return [Device(name, free.get(name)) for name in names if name != "-1"]


def _bytes(mebibytes: str) -> int | None:
    return int(mebibytes) * MIB if mebibytes.isdigit() else None
