"""What `precision=auto` takes, and that runs which belong together take the same."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import SMALL, summary_of
from test_made_images import make_images

from etude.cli.compose import Composer
from etude.cli.study_jobs import plan
from etude.train import hardware
from etude.train.bfloat16_gains import gains
from etude.train.hardware import choose_precision, set_tf32

CPU = torch.device("cpu")
NOTHING, AVX, AMX = set(), {"avx512_bf16"}, {"avx512_bf16", "amx_bf16"}
IMAGES = ["dataset=folder", "dataset.root=images", "dataset.test=test", "dataset.input_size=28"]


@pytest.mark.parametrize(
    ("flags", "worth", "taken"),
    [
        (NOTHING, True, "float32"),
        (AVX, True, "bfloat16"),
        (AVX, False, "float32"),
        (AMX, False, "bfloat16"),
    ],
)
def test_auto_takes_what_the_processor_is_made_for(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], worth: bool, taken: str
):
    monkeypatch.setattr(hardware, "cpu_flags", lambda: flags)
    assert choose_precision("auto", CPU, gains=worth) == taken
    assert choose_precision("float32", CPU, gains=worth) == "float32"


@pytest.mark.parametrize(
    ("words", "worth"),
    [
        ([], False),
        (["model=lenet5", "dataset=mnist"], False),
        (["model=lenet5_1998", "dataset=mnist"], False),
        (["experiment=vgg_digits"], False),
        (["model=alexnet_mnist", "dataset=mnist"], True),
        (["model=resnet_cifar", "dataset=cifar10"], True),
        (["model._target_=torchvision.models.resnet18", "dataset=cifar10"], False),
    ],
)
def test_the_table_knows_which_networks_gain(composer: Composer, words: list[str], worth: bool):
    (job,) = composer.run(words).jobs
    assert gains(job.config) == worth
    assert composer.gains == worth


def test_arms_of_a_study_take_the_same_numbers(composer: Composer):
    planned = plan(composer, ["study=optimizers"])[1]
    assert {gains(job.config) for job in planned.jobs} == {True, False}  # LeNet beside VGG
    assert not composer.gains


def test_the_choice_for_all_jobs_crosses_to_their_processes(composer: Composer):
    composer.run([])
    assert not pickle.loads(pickle.dumps(composer)).gains  # noqa: S301 (our own)


@pytest.mark.parametrize(
    ("models", "taken"), [("cnn4", "bfloat16"), ("cnn4,lenet5", "float32"), ("lenet5", "float32")]
)
def test_a_sweep_takes_one_precision_for_all_of_its_jobs(
    workplace: Path,
    etude: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    models: str,
    taken: str,
):
    monkeypatch.setattr(hardware, "cpu_flags", lambda: AVX)
    for part in ("train", "test"):
        make_images(workplace / "images" / part, 20)
    words = [*IMAGES, f"model={models}", "seed=0,1", *SMALL, "train.batch_size=8"]
    assert etude("-m", "hydra/launcher=basic", *words) == 0
    summaries = [summary_of(path.parent) for path in workplace.glob("outputs/*/*/summary.json")]
    assert [summary["precision"] for summary in summaries] == [taken] * 2 * len(models.split(","))


@pytest.mark.parametrize("precision", ["tf32", "float32", "bfloat16"])
def test_tf32_is_on_for_nothing_else_and_can_be_asked_of_by_whoever_asks(precision: str):
    """PyTorch's compiler and exporters ask the older switches, and must not get an error."""
    try:
        set_tf32(precision)
        on = precision == "tf32"
        assert torch.backends.cudnn.allow_tf32 is on
        assert torch.backends.cuda.matmul.allow_tf32 is on
        assert torch.get_float32_matmul_precision() == ("high" if on else "highest")
    finally:
        set_tf32("float32")
