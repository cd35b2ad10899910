"""The house in figures: `python tests/house.py` prints them, and fails beyond their limits."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
ROOT = SOURCE / "etude"
LIMITS = {
    "rooms in src/etude": 12,
    "lines of the longest file": 300,
    "lines of the longest function": 40,
    "imports inside functions": 30,
    "dict[str, Any]": 40,
}


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node


def length(function: ast.FunctionDef) -> int:
    """Count what is done, not what is said: a function's lines without signature and docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def inner_imports(tree: ast.AST) -> int:
    return len(
        {
            (node.lineno)
            for function in functions(tree)
            for node in ast.walk(function)
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
    )


def measure() -> dict[str, tuple[int, str]]:
    """Give each figure, and where it was found."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in files()}
    texts = {path: path.read_text(encoding="utf-8") for path in trees}
    rooms = [p for p in ROOT.iterdir() if not p.name.startswith("__") and any(p.rglob("*.py"))]
    longest = max((len(t.splitlines()), str(p.relative_to(SOURCE))) for p, t in texts.items())
    function = max(
        (length(f), f"{p.relative_to(SOURCE)}: {f.name}") for p, t in trees.items()
        for f in functions(t)
    )  # fmt: skip
    return {
        "rooms in src/etude": (len(rooms), ", ".join(sorted(p.name for p in rooms))),
        "lines of the longest file": longest,
        "lines of the longest function": function,
        "imports inside functions": (sum(map(inner_imports, trees.values())), "all of them"),
        "dict[str, Any]": (sum(text.count("dict[str, Any]") for text in texts.values()), "all"),
    }


def main() -> int:
    beyond = 0
    for name, (value, where) in measure().items():
        mark = "" if value <= LIMITS[name] else "  BEYOND"
        beyond += bool(mark)
        print(f"{name:32}{value:5} of {LIMITS[name]:3}  {where}{mark}")
    return 1 if beyond else 0


if __name__ == "__main__":
    sys.exit(main())
