"""Planning many jobs: the configurations that Hydra itself composes, in a fraction of its time."""

import inspect
import random
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import omegaconf.base
import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from etude.cli import hydra_door
from etude.cli.compose import Composer
from etude.cli.hydra_door import CONFIG_NAME
from etude.cli.run_job import RunJob
from etude.cli.start import inspect_jobs
from etude.cli.words import product
from etude.config.build import import_from

# Of each line one word is drawn, or none; of those that are refused one at most.
CHOICES = (
    ("model=resnet_cifar", "model=vgg_cifar,lenet5", "+model@second=lenet5"),
    ("optimizer=sgd", "optimizer=adam,adadelta", "~optimizer"),
    ("scheduler=steps", "scheduler=constant,exponential", "+scheduler@later.one=plateau"),
    ("augment=none", "dataset=mnist", "dataset=mnist,cifar10", "init=he_normal"),
    ("hydra/launcher=basic", "hydra/sweeper=search", "hydra/launcher=slurm_local"),
)
VALUES = (
    ("seed=range(3)", "seed=0,1", "seed='1'", "seed=null", "seed=1e3", "seed=true", "seed=${l2}"),
    ("train.batch_size=16,32", "train.batch_size=.5", "++optimizer={a: 1, b: [x, y]}"),
    ("~train.decay", "~train.decay=kernels", "~record.curves", "~record"),
    ("++train.epochs=3", "train.epochs=3,4", "train.epochs=", "train={epochs: 5}"),
    ("packages=[a,b]", "packages=[a],[b]", "packages='[a]'", "~packages"),
    ("name=mine", "name='a b'", "name=${seed}_${hydra:runtime.choices.model}", "name='=,'"),
    ("hydra.job.name=a", "+hydra.job.env_set.A=1", "hydra.verbose=true", "hydra.job.chdir=null"),
    ("hydra.job.config.override_dirname.exclude_keys=[seed]", "hydra.sweep.subdir=${seed}"),
    ("+some.thing.new=1", "reference=[{metric: a}]", "dataset.limit_train=5", "+some={a: {b: c}}"),
)
REFUSED = (
    ("optimizer=nothing_such", "optimizer.more=1", "+seed=3", "some.thing=1", "a.b@c=1"),
    (
        "~train.clip_norm",
        "packages.0=x",
        "~nothing",
        "train=5",
        "hydra.nothing=1",
        "hydra.job.env_set=5",
    ),
)


def random_words(seed: int) -> list[str]:
    """Words of a command, which may contradict each other."""
    generator = random.Random(seed)
    drawn = [generator.choice(line) for line in CHOICES + VALUES if generator.random() < 0.25]
    drawn += [generator.choice(line) for line in REFUSED if generator.random() < 0.1]
    generator.shuffle(drawn)
    return drawn


def to_the_letter(node: Any) -> Any:
    """All that a node holds: keys in order, values, kinds, declared types and flags."""
    about = node._metadata
    kind = (type(node), about.ref_type, about.object_type, about.optional, about.flags or {})
    if isinstance(node, DictConfig | ListConfig) and isinstance(node._content, dict | list):
        keys = list(node) if isinstance(node, DictConfig) else range(len(node))
        inner = [(key, to_the_letter(node._get_node(key))) for key in keys]
        return (*kind, about.key_type, about.element_type, inner)
    return (*kind, node._value())


def composed_by(loader: ConfigLoaderImpl, words: list[str]) -> Any:
    """What comes of a job's words: its configuration, or how it is refused."""
    try:
        composed = loader.load_configuration(CONFIG_NAME, words, RunMode.RUN)
    except HydraException as error:
        return type(error), str(error), str(error.__cause__)
    return to_the_letter(composed)


@pytest.fixture(scope="module")
def loaders() -> tuple[hydra_door.Loader, ConfigLoaderImpl]:
    ours = hydra_door.make_loader()
    return ours, ConfigLoaderImpl(ours.config_search_path)


def some_jobs(loader: hydra_door.Loader, seed: int) -> list[list[str]]:
    """The words of some of a random sweep's jobs."""
    words = random_words(seed)
    hydras = [word for word in words if word.lstrip("+~").startswith("hydra")]
    jobs = product(loader, [word for word in words if word not in hydras])
    return [[*hydras, *job] for job in random.Random(seed).sample(jobs, min(3, len(jobs)))]


FEW, MANY = range(8), range(8, 208)


@pytest.mark.parametrize("seed", [*FEW, *(pytest.param(s, marks=pytest.mark.slow) for s in MANY)])
def test_the_jobs_of_a_random_sweep_are_those_that_hydra_composes(
    loaders: tuple[hydra_door.Loader, ConfigLoaderImpl], seed: int
):
    ours, hydras = loaders
    for words in some_jobs(ours, seed):
        assert composed_by(ours, words) == composed_by(hydras, words), words


def test_the_random_sweeps_hold_jobs_that_compose_and_jobs_that_are_refused(
    loaders: tuple[hydra_door.Loader, ConfigLoaderImpl],
):
    jobs = [composed_by(loaders[0], job) for seed in FEW for job in some_jobs(loaders[0], seed)]
    composed = sum(job[0] is DictConfig for job in jobs)
    assert len(jobs) / 2 < composed < len(jobs)


def test_omegaconf_has_what_reads_an_interpolation():
    """`etude.cli.interpolations` has it remember what it read."""
    read = omegaconf.base.parse
    assert list(inspect.signature(read).parameters)[:1] == ["value"]
    assert read("${a}_${b:c}").getText() == "${a}_${b:c}<EOF>"


def test_an_interpolation_that_was_read_before_means_what_it_says_where_it_stands(
    composer: Composer, monkeypatch: pytest.MonkeyPatch
):
    def resolved(number: int) -> Any:
        inner = {"a": -number, "same": "${a}_${.a}", "quoted": r"\${a} '${.a}'"}
        node = {"a": number, "inner": inner, "text": "${oc.env:NOTHING,${a}}", "all": "${inner}"}
        return OmegaConf.to_container(OmegaConf.create(node), resolve=True)

    remembered = [resolved(number) for number in (1, 2, 1)]
    monkeypatch.setattr(omegaconf.base, "parse", omegaconf.base.parse.__wrapped__)
    assert remembered == [resolved(number) for number in (1, 2, 1)]
    assert remembered[1]["inner"] == {"a": -2, "same": "2_-2", "quoted": "${a} '-2'"}


def test_jobs_that_differ_in_their_seeds_are_tried_once(composer: Composer, workplace: Path):
    (workplace / "counted.py").write_text(
        "from torch import nn\n\n\nbuilt = []\n\n\nclass Net(nn.Sequential):\n"
        "    def __init__(self, num_classes, input_size, width=8):\n"
        "        built.append(width)\n"
        "        super().__init__(nn.Flatten(), nn.Linear(input_size**2, num_classes))\n"
    )
    words = ["model._target_=counted.Net", "packages=[counted]", "name=counted"]
    import_from(workplace)
    inspect_jobs(composer.sweep([*words, "+model.width=8,9", "seed=range(10)"]))
    assert sys.modules.pop("counted").built == [8, 9]


def test_a_jobs_process_gets_that_job_alone(composer: Composer):
    few, many = (packed(composer, f"seed=range({count})") for count in (2, 40))
    assert len(many) < 1.1 * len(few)
    run_job = cloudpickle.loads(many)
    assert len(run_job._composer.jobs) == 1
    assert len(composer.jobs) == 42


def packed(composer: Composer, words: str) -> bytes:
    planned = composer.sweep([words, "l2=1e-4" if "40" in words else "l2=1e-5"])
    run_job = RunJob(composer, several=True)
    last = composer.for_launcher(planned.master, planned.jobs[-1].words)
    with run_job.alone(last):
        return cloudpickle.dumps(run_job)
