"""What Linux tells of this machine's processor."""

from pathlib import Path


def told(field: str) -> str:
    """Give a field of the first core, such as `model name` or `flags`; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def flags() -> frozenset[str]:
    """Give its features, by Linux's names."""
    return frozenset(told("flags").split())
