"""What the pairs of an augmentation's settings may be, each refusal in one line."""

from __future__ import annotations

from collections.abc import Sequence

from etude.base.errors import UserError


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
