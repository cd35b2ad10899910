import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL

from etude.base.threads import bound_spinning


def test_threads_wait_asleep_unless_the_user_has_set_how_they_wait():
    environment: dict[str, str] = {}
    bound_spinning(environment)
    assert environment == {"GOMP_SPINCOUNT": "30000"}


@pytest.mark.parametrize(
    "own", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}, {"KMP_BLOCKTIME": "200"}]
)
def test_what_the_user_has_set_stays(own: dict[str, str]):
    environment = dict(own)
    bound_spinning(environment)
    assert environment == own


# Notes what was set when a process came to load PyTorch's own library.
_HOOK = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch._C":
            with open(os.path.join(os.path.dirname(__file__), "seen"), "a") as file:
                print(os.environ.get("GOMP_SPINCOUNT"), file=file)
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("words", [[], ["-m", "hydra/launcher=basic"], ["-m", "seed=0,1"]])
@pytest.mark.parametrize("own", [None, "7"])
def test_pytorch_is_loaded_with_it_by_whatever_starts_a_run(
    workplace: Path, words: list[str], own: str | None
):
    (workplace / "sitecustomize.py").write_text(_HOOK)
    environment = {k: v for k, v in os.environ.items() if k not in {"GOMP_SPINCOUNT"}}
    environment |= {"PYTHONPATH": f"{workplace}:{os.environ.get('PYTHONPATH', '')}"}
    environment |= {} if own is None else {"GOMP_SPINCOUNT": own}
    done = subprocess.run(
        [sys.executable, "-m", "etude", *words, *SMALL, "train.epochs=1"],
        check=False, cwd=workplace, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert set((workplace / "seen").read_text().split()) == {own or "30000"}
