"""A search of Étude's own runs over seeds and for several objectives, as it is typed."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SMALL

pytest.importorskip("optuna", reason="etude[search] is not installed")

from etude.search.storage import open_study

Etude = Callable[..., int]
Output = pytest.CaptureFixture[str]
SEARCH = ["-m", "hydra/sweeper=search", "optimizer.lr=interval(0.001,0.01)"]
TWO = ["hydra.sweeper.metric=[validation_accuracy,parameters]",
       "hydra.sweeper.direction=[maximize,minimize]"]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hydra.sweeper.metric=[validation_accuracy,parameters]"], "must be as long as one"),
        ([*TWO[:1], "hydra.sweeper.direction=[maximize,maximize]"], "all else to minimize"),
        (["hydra.sweeper.metric=size", "hydra.sweeper.direction=minimize"], "metric=size"),
        (["hydra.sweeper.metric=seconds", "hydra.sweeper.direction=minimize",
          "hydra.sweeper.pruner=median"], "is not known after every epoch"),
        (["hydra.sweeper.seeds=[0,1]", "hydra.sweeper.pruner=median"], "take wilcoxon or none"),
        (["hydra.sweeper.seeds=[0,1]", "seed=3"], "leave it out"),
        (["optimizer.lr=0.01", "train.batch_size=choice(16,120,32)",
          "dataset.limit_train=choice(100,200,300)"], "train.batch_size=120 is larger than"),
        (["hydra.sweeper.seeds=[0,1,-1]"], "seeds=[0, 1, -1] must be whole numbers from 0 to"),
        (["hydra.sweeper.seeds=[4294967296]"], "must be whole numbers from 0 to 2³²-1"),
        (["hydra.sweeper.seeds=[[1]]"], "must be whole numbers from 0 to 2³²-1"),
        (["hydra.sweeper.seeds=[a]"], "seeds=[a] must be a list of whole numbers, such as"),
        (["hydra.sweeper.seeds=auto:3"], "must be a list of whole numbers, such as [0,1,2]"),
        (["hydra.sweeper.n_trials=abc"], "n_trials=abc must be a whole number, or null"),
        (["hydra.sweeper.n_trials=1.5"], "n_trials=1.5 must be a whole number, or null"),
        (["hydra.sweeper.p_threshold=x"], "p_threshold=x must be a number"),
        (["hydra.sweeper.params={a:1}"], "must be set key by key"),
        (["hydra.sweeper.metric=3"], "metric=3: there is no such metric"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused_and_nothing_is_written(
    etude: Etude, workplace: Path, capsys: Output, words: list[str], said: str
):
    for more in ([], ["--dry-run"]):
        assert etude(*more, *SEARCH, *words) == 2
        assert said in (told := capsys.readouterr().err)
        assert told.splitlines()[-1].startswith("etude: ")
    assert not (workplace / "outputs").exists()


def test_a_dry_run_tells_of_the_seeds(etude: Etude, workplace: Path, capsys: Output):
    assert etude("--dry-run", *SEARCH, "hydra.sweeper.seeds=[0,1,2]") == 0
    assert "20 trials of up to 3 seeds in all" in capsys.readouterr().out


def test_the_best_runs_command_makes_it_again_where_its_folder_is_gone_and_never_moves_it_aside(
    etude: Etude, workplace: Path, capsys: Output
):
    words = ["-m", "hydra/sweeper=search", "optimizer.lr=choice(0.004)", "fresh=true",
             "hydra/launcher=basic", "device=cpu", *SMALL]  # fmt: skip
    assert etude(*words) == 0
    told = capsys.readouterr().out
    assert "is gone" not in told
    (again,) = [line for line in told.splitlines() if line.startswith("again")]
    assert "fresh" not in again
    (folder,) = (path.parent for path in workplace.glob("outputs/*/*/summary.json"))
    shutil.rmtree(folder)
    assert etude(*words) == 0
    told = capsys.readouterr().out
    assert f"the best  {folder.relative_to(workplace)}; its folder is gone" in told
    assert "the folder of trial 0 is gone; this command makes it again:" in told
    assert again in told
    assert etude(*again.split()[2:]) == 0
    assert (folder / "summary.json").exists()


@pytest.mark.slow  # four runs
def test_means_over_seeds_of_two_objectives_and_how_to_make_the_front_again(
    etude: Etude, workplace: Path, capsys: Output
):
    words = [*SEARCH, *TWO, "hydra.sweeper.seeds=[0,1]", "hydra.sweeper.n_trials=2",
             "hydra/launcher=basic", "device=cpu", *SMALL]  # fmt: skip
    assert etude(*words) == 0
    told = capsys.readouterr().out
    folder = workplace / "outputs" / "lenet5_digits"
    study = open_study(folder, storage="journal", directions=["maximize", "minimize"])
    assert {trial.values[1] for trial in study.trials} == {44426.0}
    for trial in study.best_trials:
        lr = re.escape(str(trial.params["optimizer.lr"]))
        assert re.search(rf"trial {trial.number} again etude -m .*={lr} .* seed=0,1", told)
    assert (folder / "front.png").exists()
    assert len(list(folder.glob("*/summary.json"))) == 4
