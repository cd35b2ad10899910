"""How a field of the schema is declared: its type, with the rule that its value must pass.

A value is never declared; it stands in `conf/`. A field's metadata tells what it means for the
fingerprint: `NO_RESULT` marks what cannot change a run's result. A field that is added later says
`since(<default>)`: at that value it is left out, so that older runs keep their fingerprints.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from etude.base.seeds import SEEDS


@dataclass(frozen=True)
class Rule:
    """What a value must be beside its type, in words and as a test.

    Args:
        words: Follow "must be".
        holds: The test.
        auto: Follows the words where `auto` is given, and something else would choose by itself.
    """

    words: str
    holds: Callable[[Any], bool]
    auto: str = ""


Counting = Annotated[int, Rule("a whole number above 0", lambda v: v > 0)]
Natural = Annotated[int, Rule("a whole number of at least 0", lambda v: v >= 0)]
Seed = Annotated[int, Rule("a whole number from 0 to 2³²-1", lambda v: 0 <= v < SEEDS)]
Positive = Annotated[float, Rule("a number above 0", lambda v: v > 0)]
NotNegative = Annotated[float, Rule("a number of at least 0", lambda v: v >= 0)]
# Parts of a whole, by which of the ends are allowed: the lower, both, none, the upper.
Fraction = Annotated[float, Rule("a fraction at least 0 and below 1", lambda v: 0 <= v < 1)]
Probability = Annotated[float, Rule("a fraction at least 0 and at most 1", lambda v: 0 <= v <= 1)]
Share = Annotated[float, Rule("a fraction between 0 and 1", lambda v: 0 < v < 1)]
Portion = Annotated[float, Rule("a fraction above 0 and at most 1", lambda v: 0 < v <= 1)]

NO_RESULT: Mapping[str, object] = {"result": False}


def since(default: object) -> Mapping[str, object]:
    """Give the metadata of a field that was added later: the value that stands for its absence."""
    return {"since": default}


def matching(words: str, pattern: str) -> Rule:
    """Make the rule of a text that has a form."""
    return Rule(words, lambda text: re.fullmatch(pattern, text) is not None)


@dataclass
class Plain:
    """A part without settings of its own."""

    _target_: str
