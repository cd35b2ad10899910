import math
import time
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from omegaconf import OmegaConf

from etude.config.convert import convert, section
from etude.config.known import Problem
from etude.config.schema.rules import Counting, Fraction, Positive


@dataclass
class Inner:
    size: Counting


@dataclass
class Outer:
    word: Literal["a", "b"]
    inner: Inner
    rates: list[Positive]


GOOD = [
    ("3", int, 3),
    (" 3 ", int, 3),
    (1, float, 1.0),
    ("1e-3", float, 1e-3),
    ("Yes", bool, True),
    ("off", bool, False),
    (2, bool, True),
    (5, str, "5"),
    (True, str, "True"),
    (None, int | None, None),
    ("auto", Counting | Literal["auto"], "auto"),
    ("3", Counting | Literal["auto"], 3),
    (None, Counting | Literal["auto"] | None, None),
    ("18", Literal[18, 34], 18),
    ([1, "2"], list[Positive], [1.0, 2.0]),
    ({"a": 1}, dict[str, str], {"a": "1"}),
]


@pytest.mark.parametrize(("given", "kind", "taken"), GOOD)
def test_a_value_is_read_as_its_type_says(given: Any, kind: Any, taken: Any):
    problems: list[Problem] = []
    value = convert(given, kind, "key", problems)
    assert (value, type(value), problems) == (taken, type(taken), [])


SAME = [
    *((value, kind) for value in ("3", "1.5", "", "yes", "t", 1, 1.0, 1.5, True, 1e-5, "1_0", "nan")
      for kind in (bool, int, float, str) if not (kind is str and isinstance(value, float))),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Implicit conversion:FutureWarning")  # OmegaConf 2.4's
@pytest.mark.parametrize(("given", "kind"), SAME)
def test_scalars_are_read_as_omegaconf_reads_them(given: Any, kind: Any):
    @dataclass
    class Schema:
        key: kind

    node = OmegaConf.structured(Schema)
    try:
        node.key = given
        theirs = repr(node.key)
    except Exception:  # noqa: BLE001 (whatever it raises, it refuses)
        theirs = "refused"
    problems: list[Problem] = []
    ours = repr(convert(given, kind, "key", problems))
    if theirs == "nan":  # it is a number there; here it is told by itself
        assert [p.text for p in problems] == ["key=nan must be finite"]
    else:
        assert ("refused" if problems else ours) == theirs


BAD = [
    (1.5, int, "key=1.5 must be a whole number"),
    (True, int, "key=true must be a whole number"),
    (None, int, "key=null must be a whole number"),
    ("x", bool, "key=x must be true or false"),
    ([1], str, "key=[1] must be text"),
    (1e5, str, "key=100000.0 must be text; text that could be a number stands in quotes"),
    (0, Counting | None, "key=0 must be a whole number above 0, or null"),
    (0, Counting | Literal["auto"], "key=0 must be a whole number above 0, or auto"),
    ("Auto", Counting | Literal["auto"], "key=Auto must be a whole number above 0, or auto"),
    (None, Counting | Literal["auto"], "key=null must be a whole number above 0, or auto"),
    ("b", Counting | Literal["auto"] | None, "key=b must be a whole number above 0, or auto, or "),
    (math.inf, float, "key=inf must be finite"),
    ("c", Literal["a", "b"], "key=c must be one of a, b"),
    (0.9, list[Fraction], "key=0.9 must be a list in brackets, each item a fraction at least 0"),
    ([0.9, 1.5], list[Fraction], "key=1.5 must be a fraction at least 0 and below 1"),
    (3, dict[str, str], "key=3 must be keys with values"),
    (3, Inner, "key is a group of keys; set key.<key>=<value>"),
    ([{"size": 0}], list[Inner], "key.size=0 must be a whole number above 0"),
]


@pytest.mark.parametrize(("given", "kind", "said"), BAD)
def test_a_value_that_does_not_fit_is_told_in_one_line(given: Any, kind: Any, said: str):
    problems: list[Problem] = []
    convert(given, kind, "key", problems)
    (problem,) = problems
    assert problem.text.startswith(said)


def test_every_problem_of_a_section_is_told():
    problems: list[Problem] = []
    section({"word": "c", "inner": {"sise": 3}, "rates": [1, 0, -1]}, Outer, "x.", problems)
    assert [problem.text for problem in problems] == [
        "x.word=c must be one of a, b",
        "x.inner.sise: there is no such key",
        "x.inner.size must be given: x.inner.size=<value>",
        "x.rates=0 must be a number above 0",
        "x.rates=-1 must be a number above 0",
    ]


def test_a_hundred_conversions_cost_a_fraction_of_a_second():
    values = {"word": "a", "inner": {"size": 3}, "rates": [1.0] * 50}
    began = time.process_time()
    for _ in range(100):
        section(values, Outer, "", [])
    assert time.process_time() - began < 0.15
