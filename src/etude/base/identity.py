"""What makes a run the run that it is."""

import hashlib
import json
from collections.abc import Mapping
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


def mark_of(values: Mapping[str, Any]) -> str:
    """Hash values into 8 hexadecimal digits, in whatever order they come."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def as_weights(decisive: Mapping[str, Any], fingerprint: str) -> str:
    """Name a run as what another begins with: by its arm, then by its seed and fingerprint."""
    shared = {key: value for key, value in decisive.items() if key != "seed"}
    return f"run:{mark_of(shared)}_seed={decisive.get('seed')}-{fingerprint}"


def short_target(key: str, value: Any) -> Any:
    """Call Étude's own parts by their class alone: in which module one stands decides nothing."""
    is_ours = key.endswith("_target_") and isinstance(value, str) and value.startswith("etude.")
    return value.rpartition(".")[2] if is_ours else value
