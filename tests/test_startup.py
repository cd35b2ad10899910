import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from etude.base import startup
from tests.conftest import SMALL


def imported(workplace: Path, *words: str) -> set[str]:
    """The modules that a command has imported when it ends."""
    code = f"import sys; from etude.cli.app import main; main({list(words)}); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=workplace, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


SLOW = {"torch", "torchvision", "matplotlib", "tensorboard", "sklearn", "scipy"}


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--hydra-help"],
        ["--cfg", "job"],
        ["--info", "defaults"],
        ["train.epocs=3"],
        ["optimizer.lr=fast"],
        ["model=nothing"],
        ["dataset=cifar10", "dataset.root=nowhere"],
        ["-m", "optimizer.lr=0.1,0"],
        ["study=nothing"],
    ],
    ids=" ".join,
)
def test_what_starts_no_run_imports_nothing_slow(workplace: Path, words: list[str]):
    assert not imported(workplace, *words) & SLOW


def test_a_finished_run_is_shown_without_torch(workplace: Path, etude: Callable[..., int]):
    assert etude(*SMALL) == 0
    assert not imported(workplace, *SMALL) & SLOW


def test_a_run_does_not_know_the_terminal():
    code = "import sys, etude.train.run; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"rich", "etude.cli.terminal"} & set(done.stdout.split())


def test_the_way_to_the_first_step_is_told_in_parts(workplace: Path, etude: Callable[..., int]):
    assert etude("-m", "seed=0,1", "hydra/launcher=basic", *SMALL) == 0
    logs = [path.read_text() for path in sorted(workplace.glob("outputs/*/*/run.log"))]
    first, second = (re.search(r"first step after ([\d.]+) s: (.*)", log) for log in logs)
    assert first is not None
    assert second is not None
    assert "PyTorch" in first[2]
    assert "PyTorch" not in second[2]
    parts = [float(part) for part in re.findall(r"([\d.]+) s", second[2])]
    assert sum(parts) == pytest.approx(float(second[1]), abs=0.1)


def test_a_process_knows_when_it_was_started():
    wait = "import time; time.sleep(0.5)"
    code = f"{wait}; from etude.base import startup as s; s.mark('x'); print(s.told())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.5 <= float(done.stdout.split()[1]) < 30


def test_a_later_job_has_a_clock_of_its_own():
    startup.mark("one")
    startup.told()
    time.sleep(0.2)
    startup.begin()
    startup.mark("two")
    assert re.match(r"after 0\.0\d s: two 0\.0", startup.told())


@pytest.mark.parametrize("optimizer", ["adam_keras", "rmsprop_tensorflow"])
def test_a_run_does_not_load_pytorchs_compiler(workplace: Path, optimizer: str):
    loaded = imported(workplace, *SMALL, f"optimizer={optimizer}", "record.tensorboard=false")
    assert "torch.optim" in loaded
    assert "torch._dynamo" not in loaded
