"""Answers that several ask for, each found once."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

_Answer = TypeVar("_Answer")


class Memo:
    """Remembers answers for as long as it is kept itself."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __call__(self, question: str, find: Callable[[], _Answer]) -> _Answer:
        """Give the answer to a question, whose text holds all that it depends on."""
        if question not in self._known:
            self._known[question] = find()
        return cast("_Answer", self._known[question])
