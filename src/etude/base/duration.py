"""Times as people read them; imports nothing, so that every command can."""

# Seconds that a run takes beside its steps: its process, its data, what it records. Those of ten
# images took 1.1 on an idle Xeon, and 2.0 to 2.6 on a busy one.
STARTING = 1.0


def duration(seconds: float) -> str:
    """Put a time into a few characters, two or three digits of it: `4.2 s`, `42 s`, `5.1 min`."""
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 100 * length / 60:  # 99 seconds say more than 1.7 minutes
            return _digits(seconds / length, unit)
    return _digits(seconds, "s")


def scaled_epochs(epochs: float, scale: float) -> int:
    """Give the epochs of a run whose every duration is multiplied by `scale`; at least one."""
    return max(1, round(epochs * scale))


def _digits(value: float, unit: str) -> str:
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
