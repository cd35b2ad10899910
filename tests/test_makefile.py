"""The way in by `make`, with programs in the place of Python that fail as real ones do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from oldest import constraints

ROOT = Path(__file__).parents[1]
# A Python whose pip prints `told` and fails as long as there is such a file; its venv has an etude.
STAND_IN = """#!/bin/sh
case "$*" in
"-c import sys"*) [ ! -e old ] ;;
--version) echo "Python 3.9.18" ;;
"-m venv"*) [ ! -e no-venv ] || { cat no-venv; exit 1; }
    mkdir -p .venv/bin && cp "$0" .venv/bin/python
    printf '#!/bin/sh\\necho trained\\n' >.venv/bin/etude && chmod +x .venv/bin/etude ;;
"-m pip install"*) [ ! -e told ] || { cat told; exit 1; } ;;
"-m pip --version") [ ! -e broken ] ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `make` reads of a clone, and a `python` that does as it is told."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    (tmp_path / "python").write_text(STAND_IN)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def make(clone: Path, python: str = "./python") -> tuple[int, str, str]:
    words = ["make", "--no-print-directory", "train", f"PYTHON={python}"]
    own = {key: value for key, value in os.environ.items() if "MAKE" not in key}  # of `make test`
    done = subprocess.run(words, cwd=clone, check=False, capture_output=True, text=True, env=own)
    return done.returncode, done.stdout, done.stderr


# Files that make the stand-in fail, with what Debian's Python and pip have printed; and the words.
FAILURES = [
    ("old", "", "Python 3.9.18 is too old, it takes 3.11; name a newer one, as in make PYTHON="),
    (
        "no-venv",
        "The virtual environment was not created successfully because ensurepip is not\n"
        "available.  On Debian/Ubuntu systems, you need to install the python3-venv\n",
        "lacks the module venv; `apt install python3-venv`",
    ),
    ("no-venv", "/usr/bin/python3: No module named venv\n", "lacks the module venv"),
    (
        "told",
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n",
        "the disk is full; ",
    ),
    ("no-venv", "Error: [Errno 28] No space left on device: '/x/.venv/bin'\n", "the disk is full"),
    (
        "told",
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NameResolutionError(…)'\n"
        "ERROR: Could not find a version that satisfies the requirement pip>=25.1\n"
        "ERROR: No matching distribution found for pip>=25.1\n",
        "the network does not reach the packages' index",
    ),
    (
        "told",
        "ERROR: something else\n[notice] A new release of pip is available\n",
        ".venv/bin/python failed: ERROR: something else",
    ),
]


@pytest.mark.parametrize(("file", "printed", "told"), FAILURES)
def test_what_is_in_the_way_is_one_line_and_a_second_try_works(
    clone: Path, file: str, printed: str, told: str
):
    (clone / file).write_text(printed)
    code, _, errors = make(clone)
    assert code == 2  # make's own
    (line,) = [line for line in errors.splitlines() if not line.startswith("make: ***")]
    assert line.startswith("etude: ")
    assert told in line
    (clone / file).unlink()
    code, output, errors = make(clone)
    assert (code, errors) == (0, "")
    assert output.splitlines()[-1] == "trained"
    assert "setting up" not in make(clone)[1]


def test_an_environment_that_lacks_its_pip_is_made_anew(clone: Path):
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "half").touch()
    (clone / "broken").touch()  # pip --version fails
    code, _, errors = make(clone)
    assert (code, errors) == (0, "")
    assert (clone / ".venv" / "bin" / "etude").exists()


def test_a_python_that_is_not_there(clone: Path):
    code, _, errors = make(clone, "python3.99")
    assert code == 2
    assert errors.startswith("etude: there is no python3.99; name one of at least 3.11, as in make")


def test_the_oldest_versions_are_those_of_the_project():
    found = constraints()
    assert "torch==2.11" in found
    assert "hydra-core==1.3.8" in found
    assert all(line.count("==") == 1 and ">" not in line for line in found)
