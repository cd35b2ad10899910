"""Where commands come in and leave: encodings that lack letters, and Ctrl-C at any moment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL, only_run, summary_of

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


@pytest.mark.parametrize("form", ["json", "csv"])
def test_what_a_script_reads_is_whole_whatever_the_locale(workplace: Path, form: str):
    folders = _made(workplace)
    command = [sys.executable, "-c", "import sys; from etude.cli import entry; entry.runs()"]
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [*command, f"--{form}"], check=True, capture_output=True, env={**os.environ, **plain}
    )
    told = done.stdout
    if form == "json":  # names of files in escapes, which os.fsencode turns into their bytes
        told = b"\n".join(os.fsencode(run["folder"]) for run in json.loads(told))
    assert all(folder.encode() in told for folder in folders), told


def test_a_warning_is_told_once_in_a_line(capsys: pytest.CaptureFixture[str]):
    code = (
        "import warnings; from etude.cli import output; output.be_lenient()\n"
        "for n in range(2): warnings.warn('no glyph', UserWarning, stacklevel=n + 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert done.stderr == b"warning: no glyph\n"


@pytest.mark.parametrize(
    ("command", "words"),
    [("status", ["outputs"]), ("runs", ["--csv"]), ("etude", [*SMALL, "train.epochs=1"])],
)
def test_a_full_disk_below_what_is_printed_is_told_in_a_line(
    workplace: Path, command: str, words: list[str]
):
    if command != "etude":
        _made(workplace)
    code = f"import sys; from etude.cli import entry; sys.exit(entry.{command}())"
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, *words], check=False, stdout=full, stderr=subprocess.PIPE
        )
    told = done.stderr.decode()
    assert (done.returncode, told) == (
        1, "etude: what was printed is not whole: No space left on device\n"
    )  # fmt: skip
    assert command != "etude" or summary_of(only_run(workplace))["state"] == "finished"


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
