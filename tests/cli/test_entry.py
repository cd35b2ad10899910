"""Where commands come in and leave: encodings that lack letters, and Ctrl-C at any moment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL

from etude.runs.records import write_json

HEED = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # tests may run under nohup


def _start(module: str, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", f"etude.cli.{module}", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def _made(workplace: Path) -> list[str]:
    score = {"epoch": 1, "test_accuracy": 0.5}
    made = {"name": "m", "state": "finished", "scale": 1.0, "final": score, "best": score}
    for n in (1, 2):
        folder = workplace / f"outputs/made/é_seed={n}-0000000{n}"
        folder.mkdir(parents=True)
        write_json(folder / "summary.json", {**made, "seed": n, "hyperparameters": {"seed": n}})
    return [str(path.relative_to(workplace)) for path in workplace.glob("outputs/made/*")]


@pytest.mark.parametrize("module", ["app", "report", "status", "compare"])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_utf8_is_written_to(workplace: Path, module: str, encoding: str):
    folders = _made(workplace)
    words = {
        "app": ["-m", *SMALL, "train.epochs=1", "name=loc", "hydra/launcher=basic"],
        "report": ["outputs"],
        "status": ["outputs/made"],
        "compare": folders,
    }[module]
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = _start(module, *words, PYTHONIOENCODING=encoding, **plain)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    assert "Traceback" not in said


@pytest.mark.parametrize("command", ["etude", "summary", "report", "status", "compare", "check"])
def test_ctrl_c_while_a_command_is_imported_leaves_no_traceback(command: str):
    code = (
        f"import os, signal, sys; {HEED}\n"
        "class AtRich:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'rich.console': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, AtRich())\n"
        f"from etude.cli import entry; sys.exit(entry.{command}())"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    told = b"etude: stopped before anything began\n" if command == "etude" else b""
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", told)


def test_ctrl_c_once_a_command_is_done_leaves_no_traceback(workplace: Path):
    code = (
        f"import atexit, os, signal, sys; {HEED}; from etude.cli import entry; "
        "atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT)); "
        f"sys.argv[1:] = {[*SMALL, 'train.epochs=1']}; sys.exit(entry.etude())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=90
    )
    assert (done.returncode, done.stderr) == (130, "")
    assert list(workplace.glob("outputs/*/*/best.safetensors"))
