"""Numbers that YAML 1.1 reads otherwise than anybody means them today: 010 is 8, and 1:30 is 90."""

import re
from pathlib import Path
from typing import Any

import yaml

_OLD = re.compile(r"[-+]?(0[0-7_]*[0-7]|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")


def as_meant(found: Any, asked: tuple[object, str]) -> Any:
    """Give a file as Hydra read it.

    Args:
        found: The result of reading it; None where there is no such file.
        asked: Where it was sought, and its name there, without its ending.

    Raises:
        ValueError: It holds a number with leading zeros, or one of sixties.
    """
    scheme, _, place = ("", "", "") if found is None else found.path.partition("://")
    path = Path(place, f"{asked[1]}.yaml")
    if scheme == "file" and path.is_file():
        _refuse_old(path.read_text(encoding="utf-8"))
    return found


def _refuse_old(text: str) -> None:
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and _is_old(event.value):
            line = event.start_mark.line + 1
            raise ValueError(
                f"line {line}: {event.value} would be read as {yaml.safe_load(event.value)}; write "
                f"that number as it is, or '{event.value}' in quotes for text"
            )


def _is_old(value: str) -> bool:
    return bool(_OLD.fullmatch(value)) and value.lstrip("+-") != "0"
