import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch
import yaml
from conftest import summary_of
from PIL import Image

import etude as package
from etude.cli import study_jobs
from etude.cli.compose import Composer
from etude.cli.study import SIZES, read
from etude.config import build
from etude.report.claims import read_claim
from etude.runs.study import read_plan
from etude.train.memory import count_parameters

Etude = Callable[..., int]
Output = pytest.CaptureFixture[str]

CONF = Path(package.__file__).parents[2] / "conf" / "study"
GRIDS = [path for path in CONF.glob("*.yaml") if "search" not in yaml.safe_load(path.read_text())]
SIZED = sorted(
    (path.stem, size)
    for path in GRIDS
    for size in SIZES
    if size in yaml.safe_load(path.read_text())
)
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
QUICK = ["train.epochs=1", "dataset.limit_train=80", "dataset.limit_test=20",
         "record.curves=false", "record.tensorboard=false"]  # fmt: skip


def own_study(workplace: Path) -> list[str]:
    """A study of two arms, on a network that takes no time."""
    folder = workplace / "conf" / "study"
    folder.mkdir(parents=True)
    (folder / "rates.yaml").write_text(
        "question: Which rate?\nclaim: The lower.\nsource: nobody\nseeds: [0, 1]\n"
        "full: {experiment: lenet5_digits, baseline: low, axes: {rate: "
        "{low: [optimizer.lr=0.001], high: [optimizer.lr=0.01]}}}\n"
    )
    return ["--config-dir=conf", "study=rates", *QUICK]


def test_a_study_trains_every_arm_with_every_seed_and_compares_them(
    etude: Etude, workplace: Path, capsys: Output
):
    assert etude(*own_study(workplace)) == 0
    text = capsys.readouterr().out
    assert "2 arms × 2 seeds = 4 runs of 1 epoch; done: 0; baseline: low" in text
    assert "Which rate?" in text
    assert "by a few timed steps" in text
    folders = list(workplace.glob("outputs/rates/*/summary.json"))
    assert len(folders) == 4
    rates = [summary_of(p.parent)["hyperparameters"]["optimizer.lr"] for p in folders]
    assert sorted(rates) == [0.001, 0.001, 0.01, 0.01]
    assert " ± " in text
    assert list(workplace.glob("outputs/*")) == [workplace / "outputs" / "rates"]
    plan = read_plan(workplace / "outputs" / "rates")
    assert plan is not None
    assert plan["command"] == ["etude", "--config-dir=conf", "study=rates", *QUICK]
    assert "bundle  outputs/rates/report/bundle\n" in text


def tuned_study(workplace: Path, normalize: str = "unit") -> list[str]:
    """Two arms with a hopeless and a good rate each, on a network that takes no time."""
    folder = workplace / "conf" / "study"
    folder.mkdir(parents=True)
    (folder / "rates.yaml").write_text(
        "question: Which scale?\nclaim: None.\nsource: nobody\nseeds: [0]\nmargin: 0.05\n"
        "full: {experiment: lenet5_digits, baseline: one, tune: ['optimizer.lr=1e-6,0.01'], "
        "claims: [one = other], axes: {scale: {one: [dataset.normalize=mean_std], "
        f"other: [dataset.normalize={normalize}]}}}}}}\n"
    )
    return ["--config-dir=conf", "study=rates", *QUICK, "train.epochs=3", "hydra/launcher=basic"]


def test_each_arm_is_given_the_best_of_its_rates_by_another_seed(
    etude: Etude, workplace: Path, capsys: Output
):
    words = tuned_study(workplace)
    assert etude(*words) == 0
    tried, made = (
        [summary_of(p.parent) for p in workplace.glob(f"outputs/{name}/*/summary.json")]
        for name in ("rates_tuning", "rates")
    )
    assert [(s["seed"], s["state"]) for s in tried] == [(1000, "finished")] * 4
    assert [(s["seed"], s["hyperparameters"]["optimizer.lr"]) for s in made] == [(0, 0.01)] * 2
    plan = read_plan(workplace / "outputs" / "rates")
    assert plan is not None
    assert plan["tuned"]["one"] == "optimizer.lr=0.01 of optimizer.lr=1e-6,0.01"
    assert (plan["margin"], plan["claims"]) == (0.05, ["one = other"])
    capsys.readouterr()
    assert etude(*words) == 0  # the choice is made, and nothing is trained again
    assert "2 arms × 1 seed = 2 runs; done: 2" in capsys.readouterr().out


def test_what_is_tuned_is_not_changed_by_a_word_and_needs_a_validation_split(
    etude: Etude, workplace: Path, capsys: Output
):
    words = tuned_study(workplace)
    assert etude(*words, "optimizer.lr=0.1") == 2
    assert "the arms of study=rates differ in optimizer.lr" in capsys.readouterr().err
    assert etude(*words, "dataset.validation_split=none") == 2
    assert "needs a validation split to choose by" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "size"), SIZED)
def test_every_claim_is_about_arms_that_there_are(name: str, size: str):
    node = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    study = read(name, node, size=size, pretrained=True)
    for text in study.claims:
        read_claim(text, [arm.name for arm in study.arms])
    assert size != "medium" or (study.claims and study.margin and len(study.seeds) == 5)


def test_an_arm_may_be_called_as_a_number_is_written():
    levels = {0.001: ["optimizer.lr=0.001"], 10: ["optimizer.lr=10"]}
    twin = {"experiment": "lenet5_digits", "baseline": 0.001, "axes": {"rate": levels}}
    node = {"question": "?", "claim": ".", "source": "", "seeds": [0], "full": twin}
    study = read("rates", node, size="full", pretrained=True)
    assert [arm.name for arm in study.arms] == ["0.001", "10"]
    assert study.baseline == "0.001"


def test_a_run_of_one_epoch_is_timed_too(etude: Etude, workplace: Path, capsys: Output):
    assert etude("train.epochs=1", "scheduler=cosine", "--dry-run") == 0
    assert "; about " in capsys.readouterr().out


def test_a_study_given_again_trains_nothing(etude: Etude, workplace: Path, capsys: Output):
    words = own_study(workplace)
    assert etude(*words) == 0
    capsys.readouterr()
    assert etude(*words) == 0
    text = capsys.readouterr().out
    assert "done: 4" in text
    assert "4 jobs: 4 finished before\n" in text


def test_a_studys_run_is_the_run_that_the_same_words_make_alone(etude: Etude, workplace: Path):
    assert etude(*own_study(workplace)) == 0
    before = set(workplace.glob("outputs/rates/*"))
    words = ["experiment=lenet5_digits", "name=rates", "optimizer.lr=0.01", "seed=1", *QUICK]
    assert etude(*words) == 0
    assert set(workplace.glob("outputs/rates/*")) == before


def test_a_failed_run_is_counted_and_leaves_the_others_alone(
    etude: Etude, workplace: Path, capsys: Output
):
    words = own_study(workplace)
    text = (workplace / "conf" / "study" / "rates.yaml").read_text()
    rates = text.replace("optimizer.lr=0.01]", "optimizer=sgd_keras, optimizer.lr=1e30]")
    (workplace / "conf" / "study" / "rates.yaml").write_text(rates)
    assert etude(*words) == 1
    output, errors = capsys.readouterr()
    assert "2 diverged" in output
    assert "2 of 4 runs diverged" in errors


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["study=weight_deca"], "did you mean 'weight_decay'"),
        (["study=depth", "size=tiny"], "size=tiny must be one of full, medium, small, why"),
        (["study=lrn", "size=why"], "has no why for size=why; it has full, medium, small"),
        (["study=depth", "size=small", "train.epocs=3"], "did you mean 'train.epochs'"),
        (["study=depth", "size=small", "optimizer.lr=-1"], "optimizer.lr=-1"),
        (["study=depth"], "cifar-10"),
    ],
)
def test_a_study_that_cannot_run_is_refused_before_it_starts(
    etude: Etude, workplace: Path, capsys: Output, words: list[str], said: str
):
    assert etude(*words) == 2
    assert said in capsys.readouterr().err
    assert list(workplace.iterdir()) == []


def classes(root: Path) -> Path:
    """Make a folder with an image of each of CIFAR-10's classes."""
    pixels = Image.new("RGB", (4, 4))
    for part, name in product(("train", "test"), CIFAR10):
        folder = root / part / name
        folder.mkdir(parents=True)
        pixels.save(folder / "1.png")
    return root


@pytest.mark.parametrize(("name", "size"), SIZED)
def test_every_study_says_what_it_asks_and_every_arm_composes_and_builds(
    composer: Composer, tmp_path: Path, name: str, size: str
):
    node = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    study = read(name, node, size=size, pretrained=True)
    assert study.question.endswith("?")
    assert study.source.startswith("document")
    assert study.baseline in {arm.name for arm in study.arms}
    assert len({arm.words for arm in study.arms}) == len(study.arms)
    words = [f"study={name}", f"size={size}", "study.seeds=0"]
    if "dataset=folder" in node[size].get("words", []):  # which is the user's own
        words.append(f"dataset.root={classes(tmp_path / 'images')}")
    made, planned = study_jobs.plan(composer, words)
    assert [job.label for job in planned.jobs] == [arm.name for arm in made.arms]
    assert made.chooses == any(arm.tune for arm in study.arms)
    assert made.chooses or made.arms == study.arms
    assert all("dataset=folder" in remark for remark in planned.remarks)  # it says all again
    for job in planned.jobs:
        with torch.device("meta"):
            side = job.config.dataset.input_size or 56
            model = build(job.config.model, in_channels=3, num_classes=10, input_size=side)
        assert count_parameters(model).trainable > 10_000


def test_without_pretrained_weights_their_arms_are_left_out_and_the_baseline_moves():
    node = {
        "question": "?", "claim": "", "source": "", "seeds": [0],
        "full": {
            "experiment": "e",
            "baseline": "pretrained a",
            "axes": {
                "pretrained": {"pretrained": ["init.weights=imagenet"], "scratch": []},
                "x": {"a": ["x=1"], "b": ["x=2"]},
            },
        },
    }  # fmt: skip
    whole = read("s", node, size="full", pretrained=True)
    without = read("s", node, size="full", pretrained=False)
    assert [arm.name for arm in whole.arms][::2] == ["pretrained a", "scratch a"]
    assert [arm.name for arm in without.arms] == ["scratch a", "scratch b"]
    assert without.baseline == "scratch a"


def test_an_arm_can_begin_with_the_weights_of_an_earlier_one(etude: Etude, workplace: Path):
    folder = workplace / "conf" / "study"
    folder.mkdir(parents=True)
    (folder / "warm.yaml").write_text(
        "question: Warm?\nclaim: Yes.\nsource: nobody\nseeds: [0, 1]\n"
        "full: {experiment: lenet5_digits, baseline: first, axes: {start: "
        "{first: [], second: ['init.weights=@first']}}}\n"
    )
    assert etude("--config-dir=conf", "study=warm", *QUICK) == 0
    loaded = [
        summary_of(path.parent)["hyperparameters"]["init.weights"]
        for path in workplace.glob("outputs/warm/*weights*/summary.json")
    ]
    assert len(loaded) == 2
    begun_from = [path.parent.name for path in workplace.glob("outputs/warm/*/summary.json")]
    plain = {name[-8:] for name in begun_from if "weights" not in name}
    assert {text.rpartition("-")[2] for text in loaded} == plain
    logs = [path.read_text() for path in workplace.glob("outputs/warm/*weights*/run.log")]
    assert "".join(logs).count("0 fresh") == 2
    script = workplace / "outputs" / "warm" / "report" / "bundle" / "reproduce.sh"
    assert script.read_text().count(' --weights "$outputs"/warm/limit_train=80') == 2


def finals(workplace: Path, study: str) -> dict[str, list[float]]:
    """The final test accuracies of a study's runs, by what is special about them."""
    found: dict[str, list[float]] = {}
    for path in sorted(workplace.glob(f"outputs/{study}/*/summary.json")):
        arm = path.parent.name.partition("seed=")[0].rstrip("_")
        found.setdefault(arm, []).append(summary_of(path.parent)["final"]["test_accuracy"])
    return found


def test_a_study_about_the_training_error_compares_its_arms_by_it(
    etude: Etude, workplace: Path, capsys: Output
):
    words = own_study(workplace)
    file = workplace / "conf" / "study" / "rates.yaml"
    file.write_text(file.read_text() + "metric: train_accuracy\nreach: 0.05\n")
    assert etude(*words) == 0
    table = capsys.readouterr().out.rpartition("rates: ")[2]
    assert table.startswith("train accuracy, mean ± standard deviation")
    low = [
        summary_of(path.parent)["final"]["train_accuracy"]
        for path in workplace.glob("outputs/rates/*/summary.json")
        if summary_of(path.parent)["hyperparameters"]["optimizer.lr"] == 0.001
    ]
    assert f"{sum(low) / 2:.4f} ±" in table
    assert re.search(r"epochs.*\bto\b.*0\.05", table, re.DOTALL)
    assert len(re.findall(r" 1\.0\s", table)) == 2
    report = workplace / "outputs" / "rates" / "report" / "table.md"
    assert "train accuracy" in report.read_text()
    file.write_text(file.read_text().replace("0.05", "0.99"))
    assert etude(*words) == 0
    assert capsys.readouterr().out.count("never") == 2
    file.write_text(file.read_text().replace("train_accuracy", "train_accurac"))
    assert etude(*words) == 2
    assert "must be one of test_accuracy, train_accuracy" in capsys.readouterr().err


@pytest.mark.slow
def test_plain_the_deeper_network_learns_worse_and_with_shortcuts_it_does_not(
    etude: Etude, workplace: Path
):
    assert etude("study=degradation", "size=small", "study.seeds=[0]") == 0
    found = {
        (hyper["model.residual"], hyper["model.depth"]): summary["final"]["train_accuracy"]
        for path in workplace.glob("outputs/degradation_small/*/summary.json")
        for summary in [summary_of(path.parent)]
        for hyper in [summary["hyperparameters"]]
    }
    assert found[False, 56] < found[False, 20] - 0.1
    assert found[True, 56] > found[False, 56] + 0.1


@pytest.mark.slow
def test_without_batch_norm_only_he_normal_trains_a_deep_plain_stack(etude: Etude, workplace: Path):
    assert etude("study=initialization", "size=small", "study.seeds=[0]") == 0
    found = finals(workplace, "initialization_small")
    plain = "batch_norm=False_head_batch_norm=False"
    (he,) = found[plain]
    assert he > 0.5
    for init in ("glorot_uniform", "normal_0.05", "normal_0.01"):
        (accuracy,) = found[f"init={init}_{plain}"]
        assert accuracy < 0.2
    (with_norm,) = found["init=glorot_uniform"]
    assert with_norm > 0.9


@pytest.mark.slow
def test_a_weight_decay_that_is_too_strong_loses(etude: Etude, workplace: Path):
    assert etude("study=weight_decay", "size=small", "study.seeds=[0]") == 0
    found = finals(workplace, "weight_decay_small")
    assert max(found["l2=0.1"]) < min(found[""]) - 0.05
