"""What the room promises to the others: names in one place, and nothing slow behind it."""

import ast
import subprocess
import sys
from pathlib import Path

import etude
from etude.runs import names

ROOT = Path(etude.__file__).parent
LEAVES = (
    "atomic", "duration", "errors", "identity", "lazy", "locks", "nearest", "places", "processes",
)  # fmt: skip


def test_every_file_of_a_run_is_named_in_one_place():
    known = {value for name, value in vars(names).items() if name.isupper()}
    elsewhere = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
        for path in ROOT.rglob("*.py")
        if path != ROOT / "runs" / "names.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in known
    ]
    assert not elsewhere


def test_the_room_imports_nothing_slow_no_terminal_and_no_other_room():
    modules = [f"etude.runs.{path.stem}" for path in (ROOT / "runs").glob("[a-z]*.py")]
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    assert not found & {"torch", "numpy", "hydra", "omegaconf", "rich", "argparse"}
    own = {name for name in found if name.startswith("etude.")}
    assert own == {"etude.base", "etude.runs", *(f"etude.base.{leaf}" for leaf in LEAVES), *modules}
