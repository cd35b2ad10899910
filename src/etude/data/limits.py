"""What an augmentation's settings may be, each refusal in one line."""

from __future__ import annotations

from collections.abc import Sequence

from etude.errors import UserError


def check_range(key: str, value: float, low: float, high: float) -> None:
    """Hold `augment.<key>` against its limits, which it may reach.

    Raises:
        UserError: It is outside of them.
    """
    if not low <= value <= high:
        raise UserError(
            f"augment.{key}={value} must lie between {low} and {high}; null turns it off"
        )


def check_pair(key: str, pair: Sequence[float], most: float, switch: str) -> None:
    """Hold a least and a greatest value, `augment.<key>`, against each other and a limit.

    Raises:
        UserError: They are not two numbers above 0 in order.
    """
    if len(pair) != 2 or not 0 < pair[0] <= pair[1] <= most:
        raise UserError(
            f"augment.{key}={list(pair)} must be two numbers above 0, the lesser first, up to "
            f"{most}; it goes with augment.{switch}, which null turns off"
        )


def check_choice(key: str, choice: str, choices: Sequence[str]) -> None:
    """Hold `augment.<key>` against the words that it may be.

    Raises:
        UserError: It is none of them.
    """
    if choice not in choices:
        raise UserError(f"augment.{key}={choice} is unknown; use one of {', '.join(choices)}")
