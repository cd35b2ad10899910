"""From Python a run is the very run that the command makes; its folder gives its network back."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import SMALL, only_run, summary_of

import etude as package
from etude.base.errors import UserError
from etude.runs.records import write_json
from etude.train.builders import make_parts
from etude.train.evaluate import evaluate

Etude = Callable[..., int]
Output = pytest.CaptureFixture[str]
QUICK = [*SMALL, "record.tensorboard=false", "record.confusion=false", "device=cpu"]


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "best.safetensors").read_bytes()).hexdigest()


def accuracy_of(network: torch.nn.Module, config: Any) -> float:
    """The accuracy on the test split, prepared as the run prepared it."""
    plan = make_parts(config).plan
    how: Any = {"device": torch.device("cpu"), "precision": plan.precision}
    return evaluate(network, plan.test, batch_size=plan.eval_batch_size, **how).accuracy


def test_to_import_it_is_instant():
    code = "import sys, etude; print(etude.__version__, dir(etude), *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"'{name}'" in done.stdout for name in package.__all__)
    assert not {"torch", "hydra", "omegaconf", "pandas", "numpy"} & set(done.stdout.split())
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018


def test_a_configuration_is_composed_typed_and_leaves_nothing_behind(workplace: Path):
    config = package.compose([*QUICK, "optimizer.lr=0.05"])
    assert config.optimizer.lr == 0.05
    assert config.train.epochs == 2
    assert list(workplace.iterdir()) == []


def test_what_falls_away_is_told(workplace: Path, capsys: Output):
    package.compose(["experiment=vgg19_cifar10", "optimizer=adam"])
    assert "optimizer=adam in place of sgd_keras" in capsys.readouterr().err


@pytest.mark.parametrize("do", [package.compose, package.run], ids=["compose", "run"])
@pytest.mark.parametrize(
    ("words", "said"),
    [(["train.epocs=3"], "train.epocs: there is no such key; did you mean 'train.epochs'?"),
     (["model=lenet"], "model=lenet: there is no such choice; did you mean 'lenet5'?"),
     (["optimizer.lr=-1"], "optimizer.lr=-1 must be a number above 0"),
     (["seed=0,1"], "seed=0,1 stands for several values; call for each of them"),
     (["study=optimizers"], "study=optimizers stands for many runs"),
     (["size=small"], "size=small is for a study"),
     (["-m"], "-m: this is no override"),
     (["+model=lenet5"], "model has its place already; write model=lenet5"),
     ("seed=3", '"seed=3" is one text; give a list of words')],
)  # fmt: skip
def test_a_mistake_is_told_in_the_commands_words(workplace: Path, do: Any, words: Any, said: str):
    with pytest.raises(UserError) as refused:
        do(words)
    assert said in str(refused.value)
    assert list(workplace.iterdir()) == []
    assert package.compose(QUICK).seed == 0  # the door is free for the next


def test_it_is_the_run_that_the_command_makes(etude: Etude, workplace: Path, capsys: Output):
    assert etude(*QUICK) == 0
    typed = only_run(workplace)
    first = digest(typed)
    files = {p.name: p.read_bytes() for p in [typed / "config.yaml", *typed.glob(".hydra/*")]}
    (workplace / "outputs").rename(workplace / "typed")
    capsys.readouterr()
    made = package.run(QUICK, quiet=True)
    assert capsys.readouterr() == ("", "")
    folder = only_run(workplace)
    assert made.folder.absolute() == folder
    assert folder.relative_to(workplace / "outputs") == typed.relative_to(workplace / "outputs")
    assert digest(folder) == first
    assert {p.name: p.read_bytes() for p in [folder / "config.yaml", *folder.glob(".hydra/*")]} == (
        files
    )
    assert made.summary["fingerprint"] == summary_of(folder)["fingerprint"]


def test_a_finished_run_is_given_back_and_not_trained_again(workplace: Path):
    first = package.run(QUICK, quiet=True)
    begun = (first.folder / "best.safetensors").stat().st_mtime_ns
    again = package.run(package.compose(QUICK), quiet=True)
    assert (again.folder / "best.safetensors").stat().st_mtime_ns == begun
    assert again.summary["final"] == first.summary["final"]
    assert f"{first.summary['final']['test_accuracy']:.4f} final" in repr(again)


def test_a_value_may_hold_an_equals_sign_as_on_the_command_line(workplace: Path):
    words = ["dataset=mnist", "dataset.root=photos=2024", "dataset.download=true"]
    assert package.compose(words).dataset.root == "photos=2024"


def test_a_configuration_that_was_changed_by_hand_is_refused_with_the_word(workplace: Path):
    config = package.compose(QUICK)
    config.train.epochs = 7
    with pytest.raises(UserError, match=r'compose it with the word "train\.epochs=7"'):
        package.run(config, quiet=True)
    assert list(workplace.iterdir()) == []


def test_a_run_that_fails_raises_and_the_process_goes_on(workplace: Path):
    from etude.train.loop import Diverged  # noqa: PLC0415

    with pytest.raises(Diverged):
        package.run([*QUICK, "optimizer=sgd", "optimizer.lr=1e30"], quiet=True)
    assert package.runs("outputs")["state"].tolist() == ["diverged"]


def test_an_interrupt_saves_and_is_raised_and_the_same_call_goes_on(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    before = signal.getsignal(signal.SIGINT)
    whole = package.run([*QUICK, "name=whole"], quiet=True)
    from etude.cli.bar import Bar  # noqa: PLC0415

    def interrupt(_: Bar, state: Any) -> None:
        if state.global_step == 8:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Bar, "step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            package.run([*QUICK, "name=cut"], quiet=True)
    assert package.runs("outputs/cut")["state"].tolist() == ["preempted"]
    assert signal.getsignal(signal.SIGINT) is before
    cut = package.run([*QUICK, "name=cut"], quiet=True)
    assert "going on from epoch" in (cut.folder / "run.log").read_text()
    assert digest(cut.folder) == digest(whole.folder)


def test_it_runs_outside_of_the_main_thread(workplace: Path):
    made: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: made.append(package.run([*QUICK, n], quiet=True)))
        for n in ("name=one", "name=two")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2
    assert digest(made[0].folder) == digest(made[1].folder)  # neither drew the other's numbers


def test_the_network_of_a_folder_has_the_runs_accuracy(workplace: Path):
    words = ["optimizer=sgd", "optimizer.lr=0.1", "scheduler=constant"]  # it learns, and forgets
    words = [*QUICK, *words, "dataset.limit_test=200", "train.epochs=8"]
    made = package.run(words, quiet=True)
    best, final = made.summary["best"], made.summary["final"]
    assert best["epoch"] != final["epoch"]  # or one could be taken for the other
    state = torch.get_rng_state()
    network = package.load(made.folder)
    assert torch.equal(torch.get_rng_state(), state)
    assert not network.training
    assert accuracy_of(network, made.config) == best["test_accuracy"]
    assert accuracy_of(package.load(made.folder, "last"), made.config) == final["test_accuracy"]
    assert accuracy_of(made.network(), made.config) == best["test_accuracy"]


def test_averaged_weights_are_what_is_loaded(workplace: Path):
    made = package.run([*QUICK, "train.average_decay=1"], quiet=True)
    best, last = (package.load(made.folder, which).state_dict() for which in ("best", "last"))
    assert made.summary["best"]["epoch"] == 2
    assert all(torch.equal(best[name], last[name]) for name in best)


@pytest.mark.slow  # its network is tried in another process first
def test_a_network_of_ones_own_needs_its_package_named(workplace: Path):
    (workplace / "mynets").mkdir()
    (workplace / "mynets" / "net.py").write_text(
        "from torch import nn\n"
        "class Tiny(nn.Sequential):\n"
        "    def __init__(self, in_channels: int, num_classes: int) -> None:\n"
        "        super().__init__(nn.Flatten(), nn.Linear(in_channels * 28 * 28, num_classes))\n"
    )
    words = ["model._target_=mynets.net.Tiny", "packages=[mynets]", "init=pytorch"]
    made = package.run([*QUICK, *words], quiet=True)
    with pytest.raises(UserError, match=r"_target_=mynets\.net\.Tiny is not below etude"):
        package.load(made.folder)
    network = package.load(made.folder, packages=["mynets"])
    assert accuracy_of(network, made.config) == made.summary["best"]["test_accuracy"]
    assert type(made.network()) is type(network)


@pytest.mark.parametrize(
    "part",
    [{"_target_": "etude.base.atomic.remove_all", "folder": "."},
     {"_target_": "etude.data.sources.digits.Digits"},
     {"_target_": "os.system", "command": "touch harm"},
     {"_target_": "torch.nn.Sequential",
      "_args_": [{"_target_": "etude.cli.app.main", "arguments": ["seed=9"]}]}],
)  # fmt: skip
def test_a_folder_names_networks_and_nothing_else(workplace: Path, part: dict[str, Any]):
    made = package.run(QUICK, quiet=True)
    config = yaml.safe_load((made.folder / "config.yaml").read_text())
    (made.folder / "config.yaml").write_text(yaml.safe_dump({**config, "model": part}))
    with pytest.raises(UserError, match=r"is none of Étude's networks|is not below etude"):
        package.load(made.folder, packages=[])
    assert {path.name for path in workplace.iterdir()} == {"outputs"}
    assert len(list(workplace.glob("outputs/*/*"))) == 1


def test_what_cannot_be_loaded_is_told_in_a_line(workplace: Path):
    with pytest.raises(
        UserError, match=r"nowhere has no summary\.json; give the folder of one run"
    ):
        package.load("nowhere")
    made = package.run(QUICK, quiet=True)
    with pytest.raises(UserError, match="weights=first must be one of best, last"):
        package.load(made.folder, "first")  # type: ignore[arg-type]
    (made.folder / "best.safetensors").unlink()
    with pytest.raises(UserError, match=r"has no best\.safetensors; let the run finish"):
        package.load(made.folder)
    for path in made.folder.glob("last.ckpt*"):
        path.unlink()
    with pytest.raises(UserError, match=r"has no last\.ckpt: it was removed; take the best"):
        package.load(made.folder, "last")
    summary = json.loads((made.folder / "summary.json").read_text())
    write_json(made.folder / "summary.json", {**summary, "state": "running"})
    with pytest.raises(UserError, match=r"has no last\.ckpt: the run has saved nothing yet"):
        package.load(made.folder, "last")


def fake(folder: Path, **summary: Any) -> None:
    folder.mkdir(parents=True)
    write_json(folder / "summary.json", {"name": "made", "state": "finished", **summary})


def test_runs_are_a_table_a_row_for_each(workplace: Path):
    settings = {"seed": 1, "optimizer.lr": 0.1, "scheduler.milestones": [1, 2]}
    fake(Path("outputs/made/a"), state="failed", seed=1, hyperparameters=settings)
    final, best = {"epoch": 3, "test_accuracy": 0.5}, {"epoch": 2, "test_accuracy": 0.75}
    settings = {"optimizer.lr": 0.2}
    fake(Path("outputs/made/b"), seed=0, hyperparameters=settings, final=final, best=best)
    fake(Path("outputs/made/a.replaced-20200101T000000Z"), seed=9)
    table = package.runs("outputs")
    assert table["folder"].tolist() == ["outputs/made/a", "outputs/made/b"]
    assert table["state"].tolist() == ["failed", "finished"]
    assert table["seed"].tolist() == [1, 0]
    assert table.loc[1, "best.test_accuracy"] == 0.75
    assert table["optimizer.lr"].tolist() == [0.1, 0.2]
    assert table.columns.tolist()[:9] == [
        "folder", "name", "state", "seed", "seconds",
        "final.epoch", "final.test_accuracy", "best.epoch", "best.test_accuracy",
    ]  # fmt: skip
    assert len(table.groupby("scheduler.milestones")) == 1
    Path("empty").mkdir()
    assert package.runs("empty")["state"].tolist() == []
    with pytest.raises(UserError, match="nowhere is no folder"):
        package.runs("nowhere")


def test_the_table_needs_pandas_and_says_so(workplace: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UserError, match=r"pip install 'etude\[pandas\]' brings it"):
        package.runs(".")


def test_the_table_is_made_without_torch(workplace: Path):
    fake(Path("outputs/made/a"), seed=1)
    code = (
        "import sys, etude.runs.names, etude; from etude.runs.records import read_summary\n"
        "print(len(etude.runs('outputs')), *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, *modules = done.stdout.split()
    assert count == "1"
    assert not {"torch", "hydra", "omegaconf"} & set(modules)


def outputs_of(notebook: Any) -> list[list[str]]:
    """What each cell shows, as text."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[str(out.get("data", out).get("text/plain")) for out in cell.outputs] for cell in cells]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of what executes it
def test_the_notebook_shows_what_it_gives(workplace: Path):
    nbformat = pytest.importorskip("nbformat")
    from nbclient import NotebookClient  # noqa: PLC0415

    page = Path(package.__file__).parents[2] / "docs" / "python.ipynb"
    assert page.stat().st_size < 20_000
    notebook = nbformat.read(page, as_version=4)
    shown = outputs_of(notebook)
    where = {"metadata": {"path": str(workplace)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    given = outputs_of(notebook)
    assert [len(outputs) for outputs in given] == [len(outputs) for outputs in shown]
    assert given[0] == shown[0]  # the numbers of the others may be another processor's
    assert given[-1] == shown[-1] == ["True"]
    assert len(list(workplace.glob("outputs/*/*/summary.json"))) == 5


def test_best_weights_of_another_run_are_not_loaded(workplace: Path):
    one, other = (package.run([*QUICK, f"seed={seed}"], quiet=True) for seed in (0, 1))
    (one.folder / "best.safetensors").write_bytes((other.folder / "best.safetensors").read_bytes())
    with pytest.raises(UserError, match="has the weights of run"):
        package.load(one.folder)
