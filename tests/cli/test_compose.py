"""Configurations compose: what is chosen holds, and what it replaces falls away, told in a line."""

import functools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import SMALL, summary_of
from hydra.errors import HydraException

import etude as package
from etude.base.errors import UserError
from etude.cli import hydra_door, study_jobs
from etude.cli.compose import Composer
from etude.config import schedule_of, settings

Etude = Callable[..., int]
Output = pytest.CaptureFixture[str]
CONF = Path(package.__file__).parents[2] / "conf"
REPLACEABLE = ("optimizer", "scheduler", "init", "augment")


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def values_of(group: str, choice: str) -> dict[str, Any]:
    """A choice's own values, those of the file that it builds on included."""
    node = yaml.safe_load((CONF / group / f"{choice}.yaml").read_text())
    below = [name for name in node.pop("defaults", []) if name != "_self_"]
    return {key: value for name in below for key, value in values_of(group, name).items()} | node


@functools.cache
def files() -> hydra_door.Loader:
    """Read each file once for all experiments."""
    return hydra_door.make_loader()


@pytest.fixture
def shared(workplace: Path) -> Iterator[Composer]:
    hydra_door.make_hydra(files())
    yield Composer(files())
    hydra_door.close()


NEEDS_MORE = {  # what a choice cannot do without, as its refusal says
    "scheduler=plateau": "scheduler: a plateau watches the evaluation loss",
    "scheduler=pytorch": "scheduler._target_=<class>",
}


def rounds() -> Iterator[dict[str, str]]:
    """Each choice of each group once, four groups at a time."""
    lists = [[c for c in choices(g) if f"{g}={c}" not in NEEDS_MORE] for g in REPLACEABLE]
    for number in range(max(map(len, lists))):
        yield {g: own[number % len(own)] for g, own in zip(REPLACEABLE, lists, strict=True)}


@pytest.mark.parametrize("experiment", choices("experiment"))
def test_every_choice_goes_with_every_experiment(shared: Composer, experiment: str):
    (documented,) = shared.run([f"experiment={experiment}"]).jobs
    assert documented.documented
    named = shared.loader.base([f"experiment={experiment}"]).named
    for chosen in rounds():
        words = [f"{group}={choice}" for group, choice in chosen.items()]
        (job,) = shared.run([f"experiment={experiment}", *words]).jobs
        assert not job.documented or all(named[g] == c for g, c in chosen.items())
        for group, choice in chosen.items():
            part = settings(getattr(job.config, group))
            if named[group] == choice:
                assert part == settings(getattr(documented.config, group)), choice
            else:
                assert {**part, **values_of(group, choice)} == part, choice


@pytest.mark.parametrize("word", NEEDS_MORE)
def test_a_choice_that_needs_more_goes_or_is_refused_with_what_it_needs(
    shared: Composer, word: str
):
    refusals: list[str] = []
    for experiment in choices("experiment"):
        try:
            shared.run([f"experiment={experiment}", word])
        except UserError as error:
            refusals.append(str(error))
    assert refusals
    assert all(NEEDS_MORE[word] in said for said in refusals)


def test_what_falls_away_is_told_in_one_line(composer: Composer):
    planned = composer.run(["experiment=vgg19_cifar10", "optimizer=adam"])
    assert planned.remarks == [
        "optimizer=adam in place of sgd_keras: what experiment=vgg19_cifar10 sets for sgd_keras "
        "falls away (optimizer.lr=0.01, optimizer.momentum=0.9, optimizer.nesterov=true)"
    ]
    assert settings(planned.jobs[0].config.optimizer)["lr"] == 0.001
    planned = composer.run(["experiment=vgg19_cifar10", "optimizer=adam", "optimizer.lr=0.01"])
    (told,) = planned.remarks
    assert told.endswith("falls away (optimizer.momentum=0.9, optimizer.nesterov=true)")


def test_an_experiments_rate_is_not_left_to_another_optimizer(composer: Composer):
    words = ["experiment=resnet20_keras_cifar10_as_seed", "optimizer=sgd"]
    (job,) = composer.run(words).jobs
    assert settings(job.config.optimizer)["lr"] == values_of("optimizer", "sgd")["lr"]
    (job,) = composer.run([*words, "optimizer.lr=0.3"]).jobs
    assert settings(job.config.optimizer)["lr"] == 0.3


def test_an_experiments_steps_are_multiples_of_the_rate_that_is_chosen(composer: Composer):
    def rates(*words: str) -> list[float]:
        (job,) = composer.run(["experiment=resnet20_keras_cifar10_as_seed", *words]).jobs
        schedule = schedule_of(job.config)
        lr = settings(job.config.optimizer)["lr"]
        schedule.bind(base_lr=lr, steps_per_epoch=1, epochs=200, scale=1.0)
        return [schedule.lr_at(step) for step in (0, 81, 121, 161, 181)]

    assert rates() == [1e-3, 1e-4, 1e-5, 1e-6, 5e-7]
    assert rates("optimizer=sgd") == [0.01 * factor for factor in (1, 0.1, 0.01, 0.001, 0.0005)]
    assert rates("optimizer.lr=0.1")[0] == 0.1


def test_a_rate_that_a_schedule_of_rates_would_pass_over_is_refused(composer: Composer):
    words = ["scheduler=steps", "scheduler.factor=null", "scheduler.values=[0.1,0.01,0.001]"]
    with pytest.raises(UserError, match=r"optimizer\.lr=0\.5 has no effect"):
        composer.run([*words, "optimizer.lr=0.5"])
    composer.run([*words, "optimizer.lr=0.1"])


def test_the_choice_that_an_experiment_names_keeps_its_settings(composer: Composer):
    planned = composer.run(["experiment=vgg19_cifar10", "optimizer=sgd_keras"])
    assert planned.remarks == []
    assert planned.jobs[0].documented
    assert settings(planned.jobs[0].config.optimizer)["nesterov"] is True


def test_a_users_own_experiment_without_a_choice_means_the_default_one(
    etude: Etude, workplace: Path, capsys: Output
):
    (workplace / "conf" / "experiment").mkdir(parents=True)
    (workplace / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\nname: mine\noptimizer:\n  lr: 0.5\n"
    )
    own = ["--config-dir=conf", "experiment=mine", "--cfg", "job", "-p", "optimizer"]
    assert etude(*own) == 0
    assert "lr: 0.5" in capsys.readouterr().out
    assert etude(*own, "optimizer=sgd") == 0
    output, errors = capsys.readouterr()
    assert "lr: 0.01" in output
    assert "optimizer=sgd in place of adam_keras" in errors
    assert "optimizer.lr=0.5" in errors


def test_each_job_of_a_sweep_is_composed_and_checked_by_itself(composer: Composer):
    planned = composer.sweep(["optimizer=sgd,sgd_keras", "optimizer.momentum=0.8"])
    assert [settings(job.config.optimizer)["momentum"] for job in planned.jobs] == [0.8, 0.8]
    words = ["experiment=vgg19_cifar10,resnet20_cifar10", "scheduler.milestones_epochs=[1,2]"]
    names = [job.config.name for job in composer.sweep(words).jobs]
    assert names == ["vgg19_cifar10", "resnet20_cifar10"]
    with pytest.raises(HydraException, match=r"optimizer\.momentum"):
        composer.sweep(["optimizer=sgd,adam", "optimizer.momentum=0.8"])


def test_a_job_that_is_named_twice_is_made_once(etude: Etude, workplace: Path, capsys: Output):
    assert etude("-m", "seed=3,3", "optimizer.lr=0.1,0.10", *SMALL) == 0
    assert "named twice and made once: 3 of 4 jobs" in capsys.readouterr().err
    assert len(list(workplace.glob("outputs/*/*/summary.json"))) == 1


def test_one_run_is_composed_checked_and_named_once(etude: Etude, monkeypatch: pytest.MonkeyPatch):
    from etude.cli import compose, hydra_door, naming  # noqa: PLC0415

    counts: dict[str, int] = {}

    def counted(owner: Any, name: str) -> None:
        inner = getattr(owner, name)

        def outer(*args: Any, **kwargs: Any) -> Any:
            counts[name] = counts.get(name, 0) + 1
            return inner(*args, **kwargs)

        monkeypatch.setattr(owner, name, outer)

    counted(hydra_door.ConfigLoaderImpl, "_load_configuration_impl")
    counted(compose, "check")
    counted(naming, "describe")
    assert etude("optimizer.lr=0.05", "model=cnn4", *SMALL) == 0
    assert counts == {"_load_configuration_impl": 1, "check": 1, "describe": 1}


@pytest.mark.parametrize("launcher", ["basic", "local"])
def test_a_sweeps_jobs_cross_to_their_launcher_as_data(
    etude: Etude, monkeypatch: pytest.MonkeyPatch, workplace: Path, launcher: str
):
    from etude.cli import hydra_door  # noqa: PLC0415

    composed: list[Any] = []
    inner = hydra_door.ConfigLoaderImpl._load_configuration_impl

    def outer(*args: Any, **kwargs: Any) -> Any:
        composed.append(args)
        return inner(*args, **kwargs)

    monkeypatch.setattr(hydra_door.ConfigLoaderImpl, "_load_configuration_impl", outer)
    words = [f"hydra/launcher={launcher}", "record.tensorboard=false", "train.epochs=1", *SMALL[:2]]
    assert etude("-m", "seed=0,1,2", "record.curves=false", *words) == 0
    assert len(composed) <= 3  # what is common to all: for the mode, the launcher, and the jobs
    assert len(list(workplace.glob("outputs/*/*/summary.json"))) == 3


def own_study(workplace: Path) -> str:
    folder = workplace / "conf" / "study"
    folder.mkdir(parents=True)
    (folder / "rates.yaml").write_text(
        "question: Which rate?\nclaim: The lower.\nsource: nobody\nseeds: [0, 1]\n"
        "full: {experiment: lenet5_digits, baseline: low, axes: {rate: "
        "{low: [optimizer.lr=0.001], high: [optimizer.lr=0.01]}}}\n"
    )
    return "--config-dir=conf"


@pytest.mark.parametrize(
    ("word", "seeds"),
    [("study.seeds=5,6", [5, 6]), ("study.seeds=7", [7]), ("study.seeds=[8,9]", [8, 9]),
     ("study.seeds=range(3)", [0, 1, 2])],
)  # fmt: skip
def test_a_studys_seeds_are_those_that_are_typed(composer: Composer, word: str, seeds: list[int]):
    study, planned = study_jobs.plan(composer, ["study=optimizers", "size=small", word])
    assert list(study.seeds) == seeds
    assert {job.config.seed for job in planned.jobs} == set(seeds)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["study=optimizers,depth"], "study=optimizers,depth: a command runs one study"),
     (["study=optimizers", "size=small,full"], "size=small,full: a command has one size"),
     (["study=optimizers", "study.seeds=[]"], "study.seeds=[] must be whole numbers"),
     (["study=optimizers", "study.seeds=x"], "study.seeds=x must be whole numbers"),
     (["study=optimizers", "study.seeds=[[0,1]]"], "study.seeds=[[0, 1]] must be whole numbers"),
     (["study=optimizers", "study.seeds=[{a:1}]"], "must be whole numbers"),
     (["study=optimizers", "study.seeds=[true]"], "study.seeds=[True] must be whole numbers"),
     (["study=optimizers", "study.seeds=4,5,4"], "study.seeds=[4, 5, 4] has one of them twice"),
     (["study=optimizers", "size=small", "optimizer=sgd"], "the arms of study=optimizers_small"),
     (["study=optimizers", "size=small", "seed=4"], "a study's seeds are study.seeds=4"),
     (["study=optimizers", "size=small", "experiment=cnn4_digits"], "has its own experiment"),
     (["study=optimizers", "size=small", "pretrained=maybe"], "must be true or false"),
     (["study.seeds=4"], "study.seeds=4 is for a study"),
     (["size=small"], "size=small is for a study; add study=<name>"),
     (["pretrained=false"], "pretrained=false is for a study")],
)  # fmt: skip
def test_a_studys_own_words_are_refused_where_they_mean_nothing(
    etude: Etude, workplace: Path, capsys: Output, words: list[str], said: str
):
    assert etude(*words) == 2
    assert said in capsys.readouterr().err
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize(
    ("full", "said"),
    [("3", "full is 3; it must be a mapping"),
     ("{experiment: lenet5_digits, baseline: a, axes: {x: [1]}}", "axes.x is [1]"),
     ("{experiment: lenet5_digits, baseline: a, axes: {x: {a: [1]}}}", "axes.x.a is [1]"),
     ("{experiment: lenet5_digits, baseline: a, axes: {x: {a: l2=1}}}", "axes.x.a is 'l2=1'"),
     ("{experiment: lenet5_digits, baseline: a, axes: {}}", "axes is empty"),
     ("{experiment: lenet5_digits, baseline: b, axes: {x: {a: [l2=0], c: [l2=1]}}}",
      "there is no such arm; there are a, c"),
     ("{experiment: lenet5_digits, baseline: a, axes: {x: {a: [l2=0], c: [l2=0.0]}}}",
      "arm c is the same run as an earlier arm")],
)  # fmt: skip
def test_a_studys_file_of_another_shape_is_refused_in_a_line(
    etude: Etude, workplace: Path, capsys: Output, full: str, said: str
):
    (workplace / "conf" / "study").mkdir(parents=True)
    (workplace / "conf" / "study" / "bad.yaml").write_text(
        f"question: Q?\nclaim: C\nsource: S\nseeds: [0]\nfull: {full}\n"
    )
    assert etude("--config-dir=conf", "study=bad", "--dry-run") == 2
    assert said in capsys.readouterr().err


def test_all_that_a_studys_file_lacks_is_told_at_once(
    etude: Etude, workplace: Path, capsys: Output
):
    (workplace / "conf" / "study").mkdir(parents=True)
    (workplace / "conf" / "study" / "bad.yaml").write_text(
        "seeds: [0]\nfull: {experiment: lenet5_digits, axes: {x: {a: [l2=0]}}}\n"
    )
    assert etude("--config-dir=conf", "study=bad", "--dry-run") == 2
    assert capsys.readouterr().err.splitlines() == [
        f"etude: study=bad has no {key}" for key in ("question", "full.baseline")
    ]


def test_files_that_build_on_one_another_in_a_circle_are_refused(
    etude: Etude, workplace: Path, capsys: Output
):
    (workplace / "conf" / "experiment").mkdir(parents=True)
    for name, other in (("a", "b"), ("b", "a")):
        (workplace / "conf" / "experiment" / f"{name}.yaml").write_text(
            f"# @package _global_\ndefaults:\n  - {other}\n  - _self_\n"
        )
    said = "the files of conf/ build on one another in a circle"
    assert etude("--config-dir=conf", "experiment=a") == 2
    assert said in capsys.readouterr().err
    with pytest.raises(UserError, match=said):
        package.compose(["experiment=a"], config_dir="conf")


@pytest.mark.parametrize("word", ["model=${study}", "optimizer=${experiment}"])
def test_a_choice_that_stands_for_nothing_is_refused_in_words(
    etude: Etude, capsys: Output, word: str
):
    assert etude(word, "--cfg", "job") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"etude: {word}: a choice here stands for nothing"


def test_an_experiment_that_builds_on_another_as_a_group_keeps_its_settings(
    etude: Etude, workplace: Path, capsys: Output
):
    (workplace / "conf" / "experiment").mkdir(parents=True)
    (workplace / "conf" / "experiment" / "f.yaml").write_text(
        "# @package _global_\ndefaults:\n  - /experiment@_here_: vgg_digits\n  - _self_\n"
    )
    assert etude("--config-dir=conf", "experiment=f", "--cfg", "job", "-p", "model") == 0
    assert "width: 0.125" in capsys.readouterr().out


def test_a_search_is_only_told_of_in_a_dry_run(etude: Etude, workplace: Path, capsys: Output):
    assert etude("study=lenet_search", "--dry-run") == 0
    assert "24 trials in all" in capsys.readouterr().out
    assert list(workplace.iterdir()) == []


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("study.seeds=auto:20", "the word is hydra.sweeper.seeds=[0,1,2]"),
        ("study.seeds=[0,1]", "the word is hydra.sweeper.seeds=[0,1,2]"),
        ("study.seeds=0,1", "the word is hydra.sweeper.seeds=[0,1,2]"),
        ("pretrained=false", "is a search and has no such arms; leave it out"),
        ("size=small", "is a search and has no twins; leave out size=small"),
    ],
)
def test_a_study_that_is_a_search_refuses_a_word_that_it_has_no_use_for(
    etude: Etude, workplace: Path, capsys: Output, word: str, told: str
):
    assert etude("study=lenet_search", word, "--dry-run") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("etude: ")
    assert word in line
    assert told in line
    assert list(workplace.iterdir()) == []


def test_a_path_with_an_equals_sign_needs_no_quotes_of_hydras(etude: Etude, workplace: Path):
    assert etude("name=first", *SMALL) == 0
    (folder,) = (p.parent for p in workplace.glob("outputs/first/*/summary.json"))
    assert "=" in folder.name
    weights = f"init.weights={folder.relative_to(workplace)}"
    assert etude("name=second", weights, *SMALL) == 0


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the optimizer's lr")  # an experiment's rates by epoch hold on
def test_a_sample_of_combinations_trains(etude: Etude, workplace: Path):
    """Thirty of them, on a hundred images for two epochs."""
    draw = random.Random(0)
    small = [name for name in choices("experiment") if name.endswith(("_mnist", "_digits"))]
    cut = ["dataset=digits", "dataset.limit_train=100", "dataset.limit_test=20",
           "train.epochs=2", "train.batch_size=20", "record.tensorboard=false",
           "record.curves=false", "dataset.validation_split=last_fraction"]  # fmt: skip
    for number in range(30):
        group = REPLACEABLE[number % 4]
        choice = draw.choice(
            [c for c in choices(group) if c not in {"from_a", "alexnet", "pytorch"}]
        )
        experiment = draw.choice([name for name in small if not name.startswith("vgg11")])
        size = {"inception_digits": 75, "alexnet_mnist": 56}.get(experiment, 32)
        words = [f"experiment={experiment}", f"{group}={choice}", f"dataset.input_size={size}"]
        assert etude(*words, f"dataset.load_size={size}", *cut, f"name=n{number}") == 0, words
    summaries = [summary_of(path.parent) for path in workplace.glob("outputs/*/*/summary.json")]
    assert len(summaries) == 30
    assert all(summary["state"] == "finished" for summary in summaries)
