"""What makes a run the run that it is."""

from typing import Any, NamedTuple


class Identity(NamedTuple):
    """What makes a run the run that it is.

    Args:
        fingerprint: A hash of all that can change its result.
        contents: Digests of what it reads besides its configuration: a data set that is not the
            published one, weights, the source of a user's own parts.
        decisive: All that is in the hash, by dotted key.
    """

    fingerprint: str
    contents: dict[str, str]
    decisive: dict[str, Any]


def short_target(key: str, value: Any) -> Any:
    """Call Étude's own parts by their class alone: in which module one stands decides nothing."""
    is_ours = key.endswith("_target_") and isinstance(value, str) and value.startswith("etude.")
    return value.rpartition(".")[2] if is_ours else value
