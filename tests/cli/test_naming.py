"""Folders of a sweep's runs: what the sweep varies is named, and what was made before is found."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SMALL
from omegaconf import OmegaConf

from etude.base.identity import Identity
from etude.cli.compose import Composer, composing
from etude.config.fingerprint import describe

Etude = Callable[..., int]
Output = pytest.CaptureFixture[str]
HERE = ["hydra/launcher=basic", "optimizer=adam"]
QUICK = [*SMALL, "train.epochs=1", "record.tensorboard=false"]
AS_SINGLE = "optimizer=adam_seed=0-"  # its rate is the default


def names(composer: Composer, *words: str) -> list[str]:
    return [job.folder.name[:-8] for job in composer.sweep([*HERE, *words]).jobs]


def test_a_swept_key_is_named_at_its_default_as_well(composer: Composer):
    assert names(composer, "optimizer.lr=0.001,0.01") == [
        "optimizer=adam_lr=0.001_seed=0-",
        "optimizer=adam_lr=0.01_seed=0-",
    ]
    assert names(composer, "optimizer=adam_keras,sgd", "seed=0,1")[::2] == [
        "optimizer=adam_keras_seed=0-",
        "optimizer=sgd_seed=0-",
    ]


def test_so_is_a_key_that_was_added_to_etude_later(composer: Composer):
    """At its default it is in no fingerprint."""
    assert names(composer, "train.average_decay=null,0.9") == [
        "optimizer=adam_average_decay=None_seed=0-",
        "optimizer=adam_average_decay=0.9_seed=0-",
    ]


def test_a_key_that_all_jobs_share_changes_no_name(composer: Composer):
    (single,) = composer.run([*HERE, "optimizer.lr=0.001"]).jobs
    assert single.folder.name.startswith(AS_SINGLE)
    first, _ = composer.sweep([*HERE, "optimizer.lr=0.001", "seed=0,1"]).jobs
    assert first.folder.name == single.folder.name


def test_a_fingerprint_does_not_know_of_the_sweep(composer: Composer):
    (single,) = composer.run(HERE).jobs
    first, _ = composer.sweep([*HERE, "optimizer.lr=0.001,0.01"]).jobs
    assert first.identity == single.identity
    assert first.documented == single.documented
    assert first.folder.name[-8:] == single.folder.name[-8:]


def test_a_run_that_was_made_before_is_found_whatever_sweep_asks_for_it(
    etude: Etude, workplace: Path, capsys: Output
):
    assert etude(*HERE, *QUICK) == 0
    assert etude("-m", *HERE, *QUICK, "optimizer.lr=0.001,0.01") == 0
    assert "finished before" in capsys.readouterr().out
    assert len(list(workplace.glob("outputs/*/*/summary.json"))) == 2
    capsys.readouterr()
    assert etude(*HERE, *QUICK, "optimizer.lr=0.01") == 0
    assert "finished before" in capsys.readouterr().out
    with composing() as composer:
        first, second = composer.sweep([*HERE, *QUICK, "optimizer.lr=0.001,0.01"]).jobs
    assert "lr=" not in first.folder.name  # as it was made
    assert "lr=0.01" in second.folder.name


def test_one_that_a_sweep_has_made_is_a_single_run_as_well(etude: Etude, workplace: Path):
    made = workplace / "outputs" / "lenet5_digits"
    with composing() as composer:
        first, _ = composer.sweep([*HERE, "optimizer.lr=0.001,0.01"]).jobs
    (made / first.folder.name).mkdir(parents=True)
    with composing() as composer:
        (single,) = composer.run(HERE).jobs
        (other,) = composer.run([*HERE, "seed=1"]).jobs
    assert single.folder.name == first.folder.name != other.folder.name


# --- a launcher in an experiment's file ------------------------------------------------------
@pytest.fixture
def own(workplace: Path) -> list[str]:
    folder = workplace / "conf" / "experiment"
    folder.mkdir(parents=True)
    texts = {
        "asks": "defaults:\n  - override /hydra/launcher: basic\nseed: 3\n",
        "sets": "hydra:\n  launcher:\n    jobs_per_device: 1\nseed: 4\n",
        "neither": "seed: 5\n",
    }
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(f"# @package _global_\n{text}")
    return ["--config-dir=conf", "--dry-run", "-m"]


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (["experiment=asks,neither"], "hydra/launcher=basic"),
        (["experiment=asks", "seed=0,1"], "hydra/launcher=basic"),
        (["experiment=neither,sets"], "hydra.launcher.jobs_per_device=1"),
    ],
)
def test_a_launcher_that_a_sweep_cannot_have_is_refused_with_the_word_that_gives_it(
    etude: Etude, own: list[str], words: list[str], refused: str, capsys: Output
):
    assert etude(*own, *words) == 2
    said = capsys.readouterr().err
    assert f"asks for {refused}, but one launcher starts all jobs" in said
    assert len(said.splitlines()) == 1
    assert etude(*own, *words, refused) == 0


def test_settings_of_a_launcher_in_the_file_of_all_jobs_are_obeyed(own: list[str]):
    with composing(Path("conf").absolute()) as there:
        planned = there.sweep(["experiment=sets", "seed=0,1"])
        assert planned.master.hydra.launcher.jobs_per_device == 1


# --- words that are given twice --------------------------------------------------------------
@pytest.mark.parametrize(
    "words",
    [
        ["l2=0,1e-4", "l2=0"],
        ["l2=0,1e-4", "l2=0", "+", "l2=1e-3"],
        ["hydra/sweeper=search", "optimizer.lr=interval(0.1,0.2)", "l2=0,1e-4", "l2=0"],
        ["study=optimizers", "size=small", "train.epochs=1", "train.epochs=2"],
    ],
)
def test_a_word_that_another_replaces_is_told_in_every_kind_of_sweep(
    etude: Etude, workplace: Path, words: list[str], capsys: Output
):
    how = ["--dry-run"] if words[0].startswith("study") else ["-m", "--dry-run"]
    assert etude(*how, *words) == 0
    assert "does not hold: " in " ".join(capsys.readouterr().err.split())


def test_what_is_searched_for_is_told_in_words(etude: Etude, workplace: Path, capsys: Output):
    words = ["optimizer=adam,sgd", "optimizer.lr=tag(log,interval(1e-4,1e-1))",
             "train.batch_size=range(16,64,16)", "train.epochs=int(interval(1,4))"]  # fmt: skip
    assert etude("-m", "--dry-run", "hydra/sweeper=search", *words) == 0
    told = capsys.readouterr().out
    assert "optimizer: one of adam, sgd\n" in told
    assert "optimizer.lr: from 0.0001 to 0.1, any number, by ratios\n" in told
    assert "train.batch_size: from 16 to 48, in steps of 16\n" in told
    assert "train.epochs: from 1 to 4, whole numbers\n" in told


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("train.trainable=['classifier.*']", "trainable=classifier"),
        ("train.trainable=['c2.*','*.bias','*']", "trainable=c2+bias+all"),
        ("dataset.classes=['0','1']", "classes=0+1"),
        ("dataset.classes=['é','猫']", "classes=e+other"),
    ],
)
def test_a_list_is_named_by_its_values(word: str, label: str):
    key, _, value = word.partition("=")
    values = OmegaConf.create(value)
    identity = Identity("12345678", {}, {key: OmegaConf.to_object(values), "seed": 0})
    assert describe(identity, {}, {}) == f"{label}_seed=0"


def test_a_list_that_could_be_read_keeps_its_name():
    for value, label in ([["a.b", "c"], "b+c"], [[0.5, 1], "0.5+1"], [["*.bias"], "bias"]):
        assert describe(Identity("x", {}, {"k": value, "seed": 0}), {}, {}) == f"k={label}_seed=0"


def test_a_run_whose_folder_had_another_label_is_found(workplace: Path):
    with composing() as composer:
        (job,) = composer.run([*HERE, "train.trainable=['c5.*']"]).jobs
    assert "trainable=c5_seed=0-" in job.folder.name
    old = job.folder.with_name(job.folder.name.replace("trainable=c5", "trainable=_"))
    (workplace / old).mkdir(parents=True)
    with composing() as composer:
        (again,) = composer.run([*HERE, "train.trainable=['c5.*']"]).jobs
    assert again.folder.name == old.name
