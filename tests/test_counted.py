"""A count is told through `counted`, so that nobody reads "1 runs"."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from etude.base.text import counted

_SOURCE = Path(__file__).parent.parent / "src"
_THINGS = (
    "arms|batches|channels|classes|commands|copies|cores|devices|epochs|files|folders|images|jobs|"
    "layers|looks|numbers|outputs|parts|pixels|places|rounds|runs|seeds|steps|tensors|threads|"
    "trials|values"
)
_COUNTED = re.compile(rf"^ ((more|other|new|different|CUDA|data) )?({_THINGS})\b(?![=/])")
_LOGGED = re.compile(rf"%d ((more|other|new|different) )?({_THINGS})\b")
# What stands before things and is no count of them, or is two and more where it is told.
_NO_COUNTS = {
    *("direction", "self.name", "width", "shape", "side"),
    *("parts", "train.parts", "results.looks", "len(loaded.classes)"),
}


def _is_count(value: ast.expr) -> bool:
    text = ast.unparse(value)
    return not (text.isupper() or text in _NO_COUNTS or text.startswith("_mib("))


def _told(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Give the places where a count stands before things, in f-strings and in words of a log."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            for value, text in zip(node.values, node.values[1:], strict=False):
                before = isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant)
                if before and _COUNTED.match(str(text.value)) and _is_count(value.value):
                    yield value.lineno, ast.unparse(node)
        elif isinstance(node, ast.Constant) and _LOGGED.search(str(node.value)):
            yield node.lineno, str(node.value)


def test_every_count_is_told_in_the_singular_too() -> None:
    found = [
        f"{path.relative_to(_SOURCE)}:{line}: {text}"
        for path in sorted(_SOURCE.rglob("*.py"))
        for line, text in _told(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found, "\n".join(["tell these by etude.base.text.counted:", *found])


@pytest.mark.parametrize(
    ("number", "thing", "told"),
    [
        (1, "run", "1 run"),
        (0, "run", "0 runs"),
        (2, "class", "2 classes"),
        (3, "batch", "3 batches"),
        (2, "epoch", "2 epochs"),
        (2, "copy", "2 copies"),
        (1797, "image", "1,797 images"),
    ],
)
def test_a_count_is_told_as_it_is_read(number: int, thing: str, told: str) -> None:
    assert counted(number, thing) == told
