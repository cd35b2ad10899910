import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SMALL, only_run, summary_of

import etude as package

Etude = Callable[..., int]
HEAVY = {"torch", "torchvision", "tensorboard", "matplotlib", "sklearn", "numpy"}

# What is given, and what the one line must say: the value, and the rule or the way out.
BAD = [
    ("train.epocs=3", ["train.epocs", "did you mean 'train.epochs'"]),
    ("+train.epocs=3", ["train.epocs", "did you mean 'train.epochs'"]),
    ("++train.epocs=3", ["train.epocs", "did you mean 'train.epochs'"]),
    ("optimzer=adam", ["optimzer", "did you mean 'optimizer'"]),
    ("+optimzer=adam", ["optimzer", "did you mean 'optimizer'"]),
    ("optimizer=adamm", ["optimizer=adamm", "did you mean 'adam'"]),
    ("experiment=alexnet", ["experiment=alexnet", "did you mean 'alexnet_mnist'"]),
    ("optimizer.momentum=0.9", ["optimizer=adam_keras", "optimizer.betas", "sgd, sgd_keras have"]),
    ("+optimizer.momentum=0.9", ["optimizer=adam_keras", "optimizer.betas", "sgd, sgd_keras"]),
    ("dataset.download=true", ["dataset=digits", "mnist have it"]),
    ("lr=0.1", ["lr: there is no such key; did you mean 'optimizer.lr'?"]),
    ("+lr=0.1", ["lr: there is no such key; did you mean 'optimizer.lr'?"]),
    ("epochs=3", ["did you mean 'train.epochs'?"]),
    ("epoch=3", ["did you mean 'train.epochs'?"]),
    ("train.lr=0.1", ["did you mean 'optimizer.lr'?"]),
    ("limit_train=200", ["did you mean 'dataset.limit_train'?"]),
    ("batch_size=64", ["did you mean 'train.batch_size'?"]),
    ("weights=imagenet", ["did you mean 'init.weights'?"]),
    ("interpolation=pad", ["did you mean 'augment.interpolation' or 'dataset.interpolation'?"]),
    ("momentum=0.8", ["optimizer=", "sgd, sgd_keras have one of that name"]),
    ("milestones_epochs=[1,2]", ["scheduler=steps, warmed_steps have"]),
    ("dropout=0.5", ["model=alexnet_batch_norm", "and 11 more"]),
    ("optimizer.sgd=0.1", ["sgd is a choice, not a key; write optimizer=sgd"]),
    ("optimizer.sgd.lr=0.1", ["sgd is a choice, not a key; write optimizer=sgd"]),
    ("model=sgd", ["model=sgd", "did you mean 'optimizer=sgd'"]),
    ("+experiment=lenet5_digits", ["write experiment=lenet5_digits"]),
    ("+model=lenet5", ["write model=lenet5"]),
    ("++optimizer=sgd", ["write optimizer=sgd"]),
    ("+study=depth", ["write study=depth"]),
    ("-cn foo", ["-cn foo", "experiment=<name>"]),
    ("--config-name foo", ["--config-name foo", "experiment=<name>"]),
    ("-cp foo", ["-cp foo", "--config-dir"]),
    ("--config-path foo", ["--config-path foo", "--config-dir"]),
    ("--experimental-rerun foo", ["--experimental-rerun foo", ".hydra/overrides.yaml"]),
    ("seed=glob(*)", ["seed=glob(*)", "give values: seed=0,1,2"]),
    ("seed=glob(*) -m", ["seed=glob(*)", "give values: seed=0,1,2"]),
    ("seed=choice(1,2)", ["seed=choice(1,2) stands for several values; add -m"]),
    ("seed=range(3)", ["seed=range(3) stands for several values; add -m"]),
    ("optimizer=glob(*)", ["optimizer=glob(*) stands for several values; add -m"]),
    ("seed=0,1", ["seed=0,1 stands for several values; add -m"]),
    ("optimizer.betas=0.9,0.999", ["add -m", "write optimizer.betas=[0.9,0.999] for one list"]),
    ("optimizer.betas=0.9,0.999 -m", ["optimizer.betas=0.9 must be a list in brackets"]),
    ("optimizer.betas=0.9", ["optimizer.betas=0.9 must be a list in brackets", "at least 0"]),
    ("optimizer.lr=null", ["optimizer.lr=null must be a number above 0"]),
    ("l2=", ["l2= must be a number of at least 0"]),
    ("name=a b", ["b: this is no override"]),
    ("optimizer=[adam]", ["optimizer=[adam]", "one choice: optimizer=adam"]),
    ("optimizer={lr:0.1}", ["optimizer={lr:0.1}", "optimizer.<key>="]),
    ("model=", ["model=: a choice is needed"]),
    ("model=null", ["model=null: a choice is needed"]),
    ("study=depth,width", ["study=depth,width", "one study"]),
    ("model.dropuot=0.5", ["model.dropuot", "no such key"]),
    ("train.epochs=abc", ["train.epochs=abc", "a whole number above 0"]),
    ("train.epochs=1.5", ["train.epochs=1.5", "a whole number above 0"]),
    ("train.epochs=0", ["train.epochs=0", "a whole number above 0"]),
    ("train.test_every_epoch=maybe", ["train.test_every_epoch=maybe", "true or false"]),
    ("optimizer.lr=-1", ["optimizer.lr=-1", "above 0"]),
    ("optimizer.lr=nan", ["optimizer.lr=nan", "finite"]),
    ("optimizer.betas=[0.9,1.5]", ["optimizer.betas=1.5", "below 1"]),
    ("dataset.validation_fraction=1.5", ["dataset.validation_fraction=1.5", "between 0 and 1"]),
    ("train.decay=biases", ["train.decay=biases must be kernels, all, or a list of patterns"]),
    ("train.decay=[]", ["train.decay=[] must be kernels, all, or a list of patterns"]),
    ("train.decay=[fc3.*]", ["train.decay: fc3.* fits no parameter's name; the network's "]),
    ("l2=1e-4 optimizer.weight_decay=1e-4", ["l2=0.0001", "optimizer.weight_decay=0.0001", "one"]),
    ("device=gpu", ["device=gpu", "auto, cpu, cuda"]),
    ("train.batch_size=5000", ["train.batch_size=5000", "1,293 images"]),
    ("model=inception_v3 model.stem=small train.batch_size=4", ["leaves one image", "=5"]),
    (
        "model=inception_v3 model.stem=small train.batch_size=1",
        ["leaves one image for every batch", "batch norm needs two", "set train.batch_size="],
    ),
    (
        "model=inception_v3 model.stem=small train.batch_size=5 dataset.limit_train=31 "
        "dataset.validation_split=none",
        ["leaves one image", "set train.batch_size=7"],
    ),
    ("dataset=cifar10", ["dataset.root=data", "dataset.download=true"]),
    ("dataset=folder", ["dataset.root", "must be given"]),
    ("dataset=folder dataset.root=nowhere dataset.input_size=32", ["nowhere", "no folder"]),
    ("model=vgg_mnist", ["etude: dataset.input_size=28", "at least 32", "set a larger one"]),
    ("model._target_=os.system", ["_target_=os.system", "not below etude"]),
    ("model._target_=torch.hub.load", ["_target_=torch.hub.load", "not below etude"]),
    ("model._target_=etude.cli.app.os.system", ["etude.cli.app.os.system", "cannot be imported"]),
    ("model._target_=etude.cli.app.Path", ["etude.cli.app.Path", "another package"]),
    ("model._target_=torch.nn.Nothing", ["torch.nn.Nothing", "cannot be imported"]),
    ("scheduler=steps scheduler.values=[1,2] optimizer.lr=1", ["factor", "values", "exactly one"]),
    ("scheduler=plateau dataset.validation_split=none", ["plateau", "evaluation loss"]),
    (
        "model=vgg_cifar dataset.input_size=32 train.batch_size=323",
        ["train.batch_size=323", "one image", "batch norm"],
    ),
    ("scheduler.warmup_epochs=40", ["warmup_epochs=40", "shorter than the run of 30 epochs"]),
    ("seed=99999999999", ["seed=99999999999", "from 0 to"]),
    ("seed=-1", ["seed=-1", "from 0 to"]),
    ("train=3", ["train", "group of keys"]),
    ("nonsense", ["nonsense", "key=value"]),
    ("--nonsense", ["--nonsense", "--hydra-help"]),
    ("--train.epochs=3", ["--train.epochs=3", "without dashes: key=value"]),
    ("train.epochs = 3", ["train.epochs", "key=value without spaces"]),
    ("optimizer=adam,sgd", ["optimizer=adam,sgd stands for several values", "with each"]),
    ("--config-dir nowhere", ["nowhere", "no folder"]),
    ("name=../elsewhere", ["name=../elsewhere", "letters, digits"]),
]


@pytest.mark.parametrize(("words", "said"), BAD)
def test_bad_input_gets_one_line_and_leaves_nothing_behind(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str], words: str, said: list[str]
):
    assert etude(*words.split()) == 2
    output, errors = capsys.readouterr()
    assert output.strip() in {"", "loading PyTorch …"}
    assert len([line for line in errors.splitlines() if all(s in line for s in said)]) == 1
    assert "Traceback" not in errors
    assert list(workplace.iterdir()) == []


def test_a_key_that_an_experiments_file_writes_is_told_with_its_file(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    (workplace / "conf" / "experiment").mkdir(parents=True)
    (workplace / "conf" / "experiment" / "mine.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /optimizer: adam\n"
        "optimizer:\n  momentum: 0.9\ntrain:\n  epocs: 3\n"
    )
    assert etude("--config-dir=conf", "experiment=mine") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("experiment=mine writes it" in line for line in lines)
    assert "'train.epochs'" in "".join(lines)


def test_all_problems_of_a_configuration_are_told_at_once(
    etude: Etude, capsys: pytest.CaptureFixture[str]
):
    assert etude("optimizer.lr=-1", "train.epochs=0", "+train.nothing=1") == 2
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_asking_for_cuda_where_there_is_none_is_refused(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert etude("device=cuda:99") == 2
    assert "device=cuda:99" in capsys.readouterr().err
    assert list(workplace.iterdir()) == []


def test_a_file_that_is_not_what_it_claims_to_be_is_named(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    raw = workplace / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_text("<html>not found</html>" * 9)
        (raw / f"{part}-labels-idx1-ubyte").write_text("<html>not found</html>" * 9)
    assert etude("dataset=mnist") == 2
    assert "train-images-idx3-ubyte" in capsys.readouterr().err
    assert not (workplace / "outputs").exists()


@pytest.mark.parametrize("bad", ["optimizer.lr=0.1,-1", "model=lenet5,vgg_mnist", "l2=0,x"])
def test_a_sweep_with_one_bad_job_starts_none(etude: Etude, workplace: Path, bad: str):
    assert etude("-m", bad, *SMALL) == 2
    assert list(workplace.iterdir()) == []


def test_the_option_for_a_sweep_may_stand_between_the_words(etude: Etude, workplace: Path):
    assert etude("seed=0,1", "-m", *SMALL) == 0
    assert len(list(workplace.glob("outputs/*/*/summary.json"))) == 2


def imported_by(*words: str, expected: int = 0) -> set[str]:
    """The modules that a fresh process has loaded when the command is over."""
    code = (
        "import sys; from etude.cli.app import main; code = main(sys.argv[1:]); "
        "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )
    assert result.returncode == expected
    return set(result.stderr.split())


@pytest.mark.parametrize("words", [["--help"], ["--cfg", "job"], ["--info", "searchpath"]])
def test_looking_around_imports_nothing_heavy(words: list[str]):
    assert not imported_by(*words) & HEAVY


@pytest.mark.parametrize("word", ["train.epocs=1", "optimizer=x", "train.batch_size=9999", "l2=-1"])
def test_a_refusal_imports_nothing_heavy(word: str):
    assert not imported_by(word, expected=2) & HEAVY


def test_a_finished_run_is_shown_without_importing_torch(etude: Etude, workplace: Path):
    assert etude(*SMALL) == 0
    assert "torch" not in imported_by(*SMALL)


def test_help_shows_the_groups_their_choices_and_three_commands(
    etude: Etude, capsys: pytest.CaptureFixture[str]
):
    assert etude("--help") == 0
    text = capsys.readouterr().out
    for group in ("model", "dataset", "augment", "init", "optimizer", "scheduler", "experiment"):
        assert f"\n{group}: " in text
    assert "alexnet_mnist" in text
    assert text.partition("Three commands")[2].count("\netude") == 3


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("etude data", "dataset="),
        ("etude dataset=ci", "dataset=cifar10"),
        ("etude train.ep", "train.epochs="),
    ],
)  # fmt: skip
def test_tab_completes_groups_choices_and_keys(line: str, answer: str):
    environment = {**os.environ, "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_CWORD": "1"}
    command = [sys.executable, "-m", "etude", "-sc", "query=bash"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert answer in result.stdout.split()


def test_the_version_is_etudes_own(etude: Etude, capsys: pytest.CaptureFixture[str]):
    assert etude("--version") == 0
    assert capsys.readouterr().out.strip() == f"etude {package.__version__}"


def test_a_users_files_are_laid_over_the_shipped_ones(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    own = workplace / "my conf" / "optimizer"
    own.mkdir(parents=True)
    (own / "adam.yaml").write_text("defaults: [adam_keras, _self_]\nlr: 0.123\n")
    (own / "mine.yaml").write_text("defaults: [sgd, _self_]\nlr: 0.456\n")
    for choice, rate in (("adam", "0.123"), ("mine", "0.456")):
        words = [
            "--config-dir",
            "my conf",
            f"optimizer={choice}",
            "--cfg",
            "job",
            "-p",
            "optimizer",
        ]
        assert etude(*words) == 0
        assert f"lr: {rate}" in capsys.readouterr().out


OWN_MODEL = """
from torch import nn

class Tiny(nn.Module):
    def __init__(self, num_classes, input_size, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(input_size ** 2, width), nn.ReLU(),
                                    nn.Linear(width, num_classes))

    def forward(self, images):
        return self.layers(images)
"""


@pytest.fixture
def own_model(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (workplace / "mynets.py").write_text(OWN_MODEL)
    (workplace / "conf" / "model").mkdir(parents=True)
    (workplace / "conf" / "model" / "tiny.yaml").write_text("_target_: mynets.Tiny\nwidth: 12\n")
    monkeypatch.syspath_prepend(workplace)
    return "--config-dir=conf"


def test_a_users_own_model_trains_once_its_package_is_listed(
    etude: Etude, own_model: str, workplace: Path
):
    assert etude(own_model, "model=tiny", "packages=[mynets]", *SMALL) == 0
    parameters = 28 * 28 * 12 + 12 + 12 * 10 + 10
    assert summary_of(only_run(workplace))["parameters"]["trainable"] == parameters


def test_a_users_own_model_is_refused_until_its_package_is_listed(
    etude: Etude, own_model: str, capsys: pytest.CaptureFixture[str]
):
    assert etude(own_model, "model=tiny", *SMALL) == 2
    assert "add packages=[mynets]" in capsys.readouterr().err


def test_a_misspelt_setting_of_a_users_own_model_is_refused(
    etude: Etude, own_model: str, capsys: pytest.CaptureFixture[str]
):
    for word in ("model.widht=3", "+model.widht=3"):
        assert etude(own_model, "model=tiny", "packages=[mynets]", word, *SMALL) == 2
        assert "did you mean 'model.width'?" in capsys.readouterr().err


def test_a_setting_that_a_users_own_model_takes_and_its_file_lacks_is_added_with_a_plus(
    etude: Etude, own_model: str, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    (workplace / "conf" / "model" / "tiny.yaml").write_text("_target_: mynets.Tiny\n")
    words = [own_model, "model=tiny", "packages=[mynets]", "--cfg", "job"]
    assert etude(*words, "model.width=3") == 2
    assert "write +model.width=<value>" in capsys.readouterr().err
    assert etude(*words, "+model.width=3") == 0


OWN_FILES = [
    ("optimizer: adam", "in its defaults, with '- override /optimizer: adam'"),
    ("train: 3", "train is a group of keys"),
    ("train:\n  epocs: 3", "did you mean 'train.epochs'? (experiment=mine writes it"),
    ("optimizer:\n  lr:", "optimizer.lr=null must be a number above 0 (experiment=mine writes it)"),
    ("train:\n  epochs: [", "mine.yaml"),
]


@pytest.mark.parametrize(("text", "said"), OWN_FILES)
def test_what_is_wrong_in_a_users_experiment_is_told_with_its_name(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
):
    (workplace / "conf" / "experiment").mkdir(parents=True)
    file = workplace / "conf" / "experiment" / "mine.yaml"
    file.write_text(f"# @package _global_\n{text}\n")
    assert etude("--config-dir=conf", "experiment=mine") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (workplace / "outputs").exists()


def test_an_experiment_without_its_package_line_is_told_of_it(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    (workplace / "conf" / "experiment").mkdir(parents=True)
    (workplace / "conf" / "experiment" / "mine.yaml").write_text("l2: 0.1\n")
    assert etude("--config-dir=conf", "experiment=mine") == 2
    assert "begins '# @package _global_'" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["optimizer.lr=1e-3", "optimizer.lr='0.1'", "seed=07"])
def test_a_number_may_be_written_in_these_ways(etude: Etude, word: str):
    assert etude(word, "--cfg", "job") == 0


def test_a_glob_over_a_groups_choices_is_a_sweep(etude: Etude, capsys: pytest.CaptureFixture[str]):
    assert etude("-m", "optimizer=glob(sgd*)", "scheduler=x") == 2
    assert "scheduler=x" in capsys.readouterr().err


def test_a_model_of_torchvision_can_be_named(etude: Etude, workplace: Path):
    (workplace / "conf" / "model").mkdir(parents=True)
    (workplace / "conf" / "model" / "squeezenet.yaml").write_text(
        "_target_: torchvision.models.squeezenet1_1\n"
    )
    words = ["--config-dir=conf", "model=squeezenet", "--cfg", "job"]
    assert etude(*words) == 0


def experiments() -> list[str]:
    root = Path(package.__file__).parents[2] / "conf" / "experiment"
    return sorted(path.stem for path in root.glob("*.yaml"))


@pytest.mark.parametrize("experiment", experiments())
def test_every_experiment_composes_and_names_its_document(
    etude: Etude, capsys: pytest.CaptureFixture[str], experiment: str
):
    assert etude(f"experiment={experiment}", "--cfg", "job") == 0
    text = capsys.readouterr().out
    assert f"name: {experiment}\n" in text
    ours = experiment.endswith(("_digits", "_medium"))  # twins of documents' systems
    assert ("source: document" in text) == (not ours)


def choices() -> list[str]:
    root = Path(package.__file__).parents[2] / "conf"
    files = sorted(root.glob("*/*.yaml"))
    need_more = {"dataset=folder", "scheduler=pytorch"}
    names = [f"{path.parent.name}={path.stem}" for path in files]
    return [name for name in names if name not in need_more]


@pytest.mark.parametrize("choice", choices())
def test_every_choice_composes_and_passes_the_checks(etude: Etude, choice: str):
    assert etude(choice, "--cfg", "job") == 0
