"""What the README tells a newcomer to type does what it says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README_FOLDER = re.compile(r"outputs/tiny_digits/model=tiny_seed=0-[0-9a-f]{8}")


def console(heading: str) -> str:
    """Give the commands of the first console block below a heading, without their output."""
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition(f"\n{heading}\n")[2]
    block = text.partition("```console\n")[2].partition("```")[0]
    return re.sub(r"^\$ ", "", block.partition("\nloading PyTorch")[0], flags=re.MULTILINE)


@pytest.mark.slow
def test_a_network_of_ones_own_is_added_as_it_says(tmp_path: Path):
    commands = console("### Add your own network")
    assert commands.count("cat >") == 2
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "CUDA_VISIBLE_DEVICES": ""}
    told = subprocess.run(
        ["bash", "-euc", commands],
        check=False,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    shown = README_FOLDER.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert shown is not None
    assert shown[0] in told.stderr + told.stdout
