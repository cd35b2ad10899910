"""Random words, mutated configuration files and mutated run folders: a clear line, and no more.

`make fuzz` throws 10,000 words, 1,000 files and 1,000 folders; ETUDE_FUZZ multiplies these.
"""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import string
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import SMALL

from etude.cli import app, compare, report, rerun, start, status, summary
from etude.config.schema import GROUPS

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.slow
SHARE = float(os.environ.get("ETUDE_FUZZ", "0.01"))
SECONDS = 60  # that any command may take
CONF = Path(__file__).parents[2] / "conf"
CODES = {0, 1, 2}


def times(count: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=max(10, round(count * SHARE)),
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )


class Hung(BaseException):
    """A command took too long."""


def _hung(*_: object) -> None:
    raise Hung


def called(main: Callable[[list[str]], int], words: list[str]) -> tuple[int, str, str]:
    """Call a command in this process; give its exit code and what it said."""
    out, err = io.StringIO(), io.StringIO()
    before = signal.signal(signal.SIGALRM, _hung)
    signal.alarm(SECONDS)
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            warnings.catch_warnings(action="ignore"),
        ):
            code = main(words)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return code, out.getvalue(), err.getvalue()


def check(main: Callable[[list[str]], int], words: list[str]) -> int:
    """Hold a command to what every command promises."""
    code, out, err = called(main, words)
    assert code in CODES, (words, code)
    assert "Traceback" not in out + err, (words, out, err)
    assert code == 0 or (out + err).strip(), f"nothing is said of {words}"
    assert not Path("harm").exists(), f"{words} ran a command"
    return code


# --- words ------------------------------------------------------------------------------------
KEYS = [
    *GROUPS, "experiment", "study", "seed", "scale", "device", "precision", "l2", "fresh", "name",
    "packages", "train.epochs", "train.batch_size", "train.clip_norm", "train.step", "train",
    "train.label_smoothing", "train.compile", "train.eval_batch_size", "optimizer.lr",
    "optimizer.weight_decay", "optimizer._target_", "model._target_", "model.width",
    "dataset.root", "dataset.validation_split", "dataset.limit_train", "dataset.input_size",
    "dataset.normalize", "scheduler.milestones_epochs", "init.weights", "record.tensorboard",
    "record", "reference", "hydra.run.dir", "hydra.sweep.dir", "hydra.job.name", "hydra/launcher",
    "hydra/sweeper", "hydra.launcher._target_", "hydra.searchpath", "hydra.verbose", "study.seeds",
    "size", "pretrained", "hydra.callbacks.x._target_", "hydra.mode", "train.accumulate",
]  # fmt: skip
VALUES = [
    "", "null", "true", "nan", "inf", "-1", "0", "1", "2", "1e999", "0x10", "1_000", "[1,2]", "[]",
    "{}", "{a:1}", "1,2", "range(3)", "choice(1,2)", "interval(0,1)", "glob(*)", "${seed}", "${",
    "${oc.env:HOME}", "${oc.env:NO_SUCH}", "${hydra:job.num}", "${name}", "???", "'a b'", '"', "'",
    "\\", "a=b", "é", "\U0001f600", "../../harm", "/", ".", "..", "~", "a" * 300, "os.system",
    "{_target_:os.system,command:'touch harm'}", "{_target_:builtins.exec}", "torch.hub.load",
    "torch.nn.Linear", "etude.cli.app.main", "etude.models.lenet.LeNet5", "!!python/name:os.system",
    "file://.", "pkg://os", "tag(a,1)", "sort(1,2)", "shuffle(1,2)", "int(3)", "extend_list(1)",
    "auto",
]  # fmt: skip
CHOICES = [path.stem for group in GROUPS for path in (CONF / group).glob("*.yaml")]
CHOICES += [path.stem for path in (CONF / "experiment").glob("*digits*.yaml")]
text = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12)
key = st.sampled_from(KEYS) | st.text(string.ascii_letters + "._/@:", min_size=1, max_size=12)
value = st.sampled_from(VALUES) | st.sampled_from(CHOICES) | text | st.floats().map(repr)
value |= st.integers().map(str)
word = st.builds("{}{}{}{}".format, st.sampled_from(["", "", "", "+", "++", "~"]), key,
                 st.sampled_from(["=", "=", "=", "=", ""]), value)  # fmt: skip
HOW = st.sampled_from([["--cfg", "job"], ["--cfg", "job"], ["--cfg", "all"], ["--dry-run"],
                       ["-m", "--dry-run"], ["--info", "defaults"]])  # fmt: skip


@pytest.fixture
def looking(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place where nothing is trained, and no time is measured."""
    monkeypatch.setattr(start, "_expect", lambda _: {})
    return workplace


def test_random_words_are_composed_or_refused_in_words(looking: Path):
    @times(10_000)
    @given(HOW, st.lists(word | text, min_size=1, max_size=5))
    def throw(how: list[str], words: list[str]) -> None:
        check(app.main, [*how, *words])
        assert not (looking / "outputs").exists(), words

    throw()


def test_random_words_are_summed_up_or_refused_in_words(looking: Path):
    @times(300)
    @given(st.lists(word, min_size=1, max_size=3))
    def throw(words: list[str]) -> None:
        check(summary.main, words)

    throw()


# --- files ------------------------------------------------------------------------------------
JUNK = [
    b"\t", b"\xff", b"{", b"[", b"}", b":", b"- ", b"'", b"&a", b"*a", b"%", b"${", b"null",
    b"defaults: 3\n", b"!!python/name:os.system", b"\0", b"1e999", b"NaN", b"true",
]  # fmt: skip


def mutated(content: bytes, dice: random.Random) -> bytes:
    """Change a file in one to three ways."""
    for _ in range(dice.randint(1, 3)):
        change = dice.choice([_bytes_changed, _line_changed])
        content = change(content, dice, dice.choice([*JUNK, bytes([dice.randrange(256)])]))
    return content


def _bytes_changed(content: bytes, dice: random.Random, junk: bytes) -> bytes:
    """Cut a file short, or put something into it, or take something out."""
    place = dice.randrange(len(content) + 1)
    rest = [b"", junk + content[place:], content[place + dice.randint(1, 8) :]]
    return content[:place] + dice.choice(rest)


def _line_changed(content: bytes, dice: random.Random, junk: bytes) -> bytes:
    """Leave out a line, have it twice, indent it, or take its colon or its value."""
    lines = content.splitlines(keepends=True) or [b""]
    place = dice.randrange(len(lines))
    line = lines[place]
    key = line.partition(b":")[0]
    ways = [b"", line * 2, b"  " + line, line.replace(b":", b"", 1), key + b": " + junk + b"\n"]
    lines[place] = dice.choice(ways)
    return b"".join(lines)


def yaml_files() -> list[Path]:
    groups = ["experiment", "study", *GROUPS]
    return sorted(path for group in groups for path in (CONF / group).glob("*.yaml"))


def test_mutated_files_of_a_users_own_are_composed_or_refused_in_words(looking: Path):
    @times(1_000)
    @given(st.sampled_from(yaml_files()), st.integers(0, 2**32))
    def throw(path: Path, seed: int) -> None:
        group, own = path.parent.name, looking / "own"
        shutil.rmtree(own, ignore_errors=True)
        (own / group).mkdir(parents=True)
        (own / group / "mine.yaml").write_bytes(mutated(path.read_bytes(), random.Random(seed)))
        how = ["--dry-run"] if group == "study" else ["--cfg", "job"]
        more = ["size=small", "pretrained=false"] if group == "study" else []
        check(app.main, ["--config-dir", str(own), f"{group}=mine", *how, *more])

    throw()


# --- folders ----------------------------------------------------------------------------------
QUICK = [*SMALL, "train.epochs=2", "train.checkpoint_steps=4", "record.tensorboard=false"]


@pytest.fixture
def made(workplace: Path) -> Path:
    """Two finished runs, and what a study and a sweep leave beside them."""
    with contextlib.redirect_stdout(io.StringIO()):
        for seed in (0, 1):
            assert app.main([*QUICK, f"seed={seed}"]) == 0
    (parent,) = (workplace / "outputs").iterdir()
    folders = sorted(parent.iterdir())
    plan = {
        "study": "s", "question": "q", "claim": "c", "source": "x", "baseline": "a",
        "metric": "test_accuracy", "axes": ["x"], "arms": {"a": ["1"]}, "command": [],
        "runs": {path.name: {"arm": "a", "seed": seed} for seed, path in enumerate(folders)},
    }  # fmt: skip
    jobs = [{"folder": path.name, "label": "a", "epochs": 2} for path in folders]
    (parent / "study.json").write_text(json.dumps(plan), encoding="utf-8")
    (parent / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    shutil.copytree(workplace / "outputs", workplace / "kept")
    return workplace


def test_whatever_stands_in_a_runs_folder_is_told_in_words(made: Path):
    kept = made / "kept"
    names = sorted(path.relative_to(kept) for path in kept.rglob("*") if path.is_file())
    unfinished = json.loads(next(kept.glob("*/*/summary.json")).read_text())

    @times(1_000)
    @given(st.sampled_from(names), st.sampled_from(names), st.integers(0, 2**32))
    def throw(one: Path, other: Path, seed: int) -> None:
        dice = random.Random(seed)
        shutil.rmtree(made / "outputs", ignore_errors=True)
        shutil.copytree(kept, made / "outputs")
        if dice.random() < 0.3:  # it is to be gone on with
            path = next((made / "outputs").glob("*/*/summary.json"))
            path.write_text(json.dumps({**unfinished, "state": "running"}))
        path = made / "outputs" / one
        match dice.randrange(5):
            case 0:
                path.unlink()
            case 1:
                path.write_bytes((kept / other).read_bytes())
            case 2:
                path.unlink()
                path.mkdir()
            case _:
                path.write_bytes(mutated(path.read_bytes(), dice))
        (parent,) = (made / "outputs").iterdir()
        folders = sorted(str(path) for path in parent.iterdir() if path.is_dir())
        check(status.main, [str(parent)])
        check(report.main, [str(parent), "--format", "html,csv,md,tex"])
        check(compare.main, folders[:2])
        check(rerun.main, [folders[0], "--dry-run"])
        check(app.main, [*QUICK, f"seed={dice.randrange(2)}"])

    throw()
