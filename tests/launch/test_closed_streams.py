"""Commands that are started without some of the three standard streams."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "<&- >&-", ">&- 2>&-"])
def test_a_sweep_trains_though_its_standard_streams_are_closed(workplace: Path, closed: str):
    words = " ".join([*SMALL, "train.epochs=1", "seed=0,1", "hydra/launcher=local"])
    command = f"exec {sys.executable} -m etude -m {words} {closed}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["bash", "-c", command], check=False, timeout=90, env=environment)
    assert done.returncode == 0
    assert len(list(workplace.glob("outputs/*/*/best.safetensors"))) == 2


def test_piping_into_head_does_not_end_a_run(workplace: Path):
    words = " ".join([*SMALL, "train.epochs=4"])
    command = f"{sys.executable} -m etude {words} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], check=False, timeout=90, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert not done.stderr
    assert len(list(workplace.glob("outputs/*/*/best.safetensors"))) == 1
    (log,) = workplace.glob("outputs/*/*/run.log")
    assert "epoch 4/4" in log.read_text(encoding="utf-8")
