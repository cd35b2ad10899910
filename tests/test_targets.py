"""Parts by `_target_`: a user's own package in the working folder, and torchvision's networks."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, only_run, summary_of
from PIL import Image

from etude.cli import app
from etude.cli.compose import Composer
from etude.config.build import import_folders, import_from

Etude = Callable[..., int]
Output = pytest.CaptureFixture[str]
Command = Callable[..., "subprocess.CompletedProcess[str]"]

TINY = """
from torch import nn
import beside  # a module of the same folder

class Tiny(nn.Module):
    def __init__(self, num_classes, input_size, width=8):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(input_size ** 2, width), nn.ReLU(),
                                    nn.Linear(width, num_classes))

    def forward(self, images):
        return self.layers(images)

class Fixed(Tiny):
    def __init__(self, input_size, classes=1000):
        super().__init__(classes, input_size)

class Looks(Fixed):
    def forward(self, images):
        if images.mean().item() > 1e9:
            raise AssertionError
        return super().forward(images)

class Pair(Tiny):
    def forward(self, images):
        return self.layers(images), images

class Leaves(Tiny):
    def __init__(self, num_classes, input_size):
        raise SystemExit(0)

class Dies(Tiny):
    def forward(self, images):
        import os
        os._exit(3)
"""


@pytest.fixture
def command(workplace: Path) -> Command:
    """The real command line in a process of its own, without `PYTHONPATH`'s working folder."""
    source = str(Path(app.__file__).parents[2])
    door = "from etude.cli.app import main; sys.exit(main())"
    script = f"import sys; sys.path[0] = {source!r}; {door}"

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", script, *words],
            cwd=workplace,
            env={**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def put(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mynets.py").write_text(TINY)
    (folder / "beside.py").write_text("")


@pytest.mark.parametrize("place", [".", "conf"])
@pytest.mark.parametrize("sweep", [[], ["-m", "seed=0,1"]])
def test_a_network_in_the_working_folder_or_beside_its_configuration_is_found(
    command: Command, workplace: Path, place: str, sweep: list[str]
):
    put(workplace / place)
    (workplace / "conf" / "model").mkdir(parents=True)
    (workplace / "conf" / "model" / "tiny.yaml").write_text("_target_: mynets.Tiny\nwidth: 12\n")
    done = command("--config-dir=conf", "model=tiny", "packages=[mynets]", *SMALL, *sweep)
    assert done.returncode == 0, done.stderr
    made = list(workplace.glob("outputs/*/*/summary.json"))
    assert len(made) == (2 if sweep else 1)
    assert {summary_of(path.parent)["state"] for path in made} == {"finished"}


def test_a_job_of_another_kind_of_process_is_told_the_folders(composer: Composer, workplace: Path):
    """As submitit and Ray do, whose processes have a path of their own."""
    import cloudpickle  # noqa: PLC0415

    from etude.cli.run_job import RunJob  # noqa: PLC0415

    import_from(workplace)
    pickled = cloudpickle.dumps(RunJob(composer, several=True))
    import_from()
    cloudpickle.loads(pickled)
    assert import_folders() == (str(workplace),)


def test_files_of_the_working_folder_hide_no_module_that_is_installed(
    command: Command, workplace: Path
):
    put(workplace)
    for name in ("torch", "json", "numpy", "etude", "torchvision", "yaml"):
        (workplace / f"{name}.py").write_text("raise SystemExit('taken from the working folder')")
    words = ["packages=[mynets]", "model=lenet5", "model._target_=mynets.Tiny", *SMALL]
    done = command(*words)
    assert done.returncode == 0, done.stderr


BAD = [
    (["packages=[nowhere]", "model._target_=nowhere.Net"], ["No module named 'nowhere'", "sought"]),
    (["packages=[mynets]", "model._target_=mynets.Tinny"], ["mynets.py has no Tinny"]),
    (["packages=[broken]", "model._target_=broken.Net"], ["SyntaxError", "broken.py"]),
    (["model._target_=mynets.Tiny"], ["add packages=[mynets]"]),
    (["packages=[mynets]", "model._target_=mynets.Fixed"], ["gives 1,000 outputs", "10 classes"]),
    (["packages=[mynets]", "model._target_=mynets.Looks"], ["gives 1,000 outputs", "10 classes"]),
    (["packages=[mynets]", "model._target_=mynets.Leaves"], ["mynets.Leaves ends the program (0)"]),
    (["packages=[mynets]", "model._target_=mynets.Pair"], ["gives a tuple when evaluated"]),
]


@pytest.mark.parametrize(("words", "said"), BAD)
def test_what_cannot_be_built_or_does_not_tell_the_classes_is_refused_in_one_line(
    command: Command, workplace: Path, words: list[str], said: list[str]
):
    put(workplace)
    (workplace / "broken.py").write_text("class Net(:\n")
    done = command("model=lenet5", *words, *SMALL)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert all(part in line for part in said), line
    assert not (workplace / "outputs").exists()


def test_a_network_that_ends_its_process_does_not_end_the_checks(command: Command, workplace: Path):
    put(workplace)
    words = ["packages=[mynets]", "model=lenet5", "model._target_=mynets.Dies", "-m", "seed=0"]
    done = command(*words, *SMALL)
    assert done.returncode == 1
    assert summary_of(only_run(workplace))["state"] == "running"  # it was begun


@pytest.fixture
def photos(workplace: Path) -> list[str]:
    """The words for a folder of eight colour photos of two kinds."""
    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        for kind in ("cat", "dog"):
            folder = workplace / "photos" / split / kind
            folder.mkdir(parents=True)
            for number in range(4):
                noise = draw.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(noise).save(folder / f"{number}.png")
    return [
        "dataset=folder", "dataset.root=photos", "dataset.input_size=32", "train.epochs=1",
        "train.batch_size=4", "augment=none", "record.curves=false", "record.tensorboard=false",
        "dataset.validation_split=none", "train.test_every_epoch=true", "model=lenet5",
    ]  # fmt: skip


def test_a_network_of_torchvision_gets_the_data_sets_number_of_classes(
    etude: Etude, workplace: Path, photos: list[str]
):
    assert etude(*photos, "model._target_=torchvision.models.resnet18") == 0
    of_two_classes = 11_689_512 - 998 * 513
    assert summary_of(only_run(workplace))["parameters"]["trainable"] == of_two_classes


NETWORKS = [
    (["model._target_=torchvision.models.resnet18", "+model.num_classes=1000"],
     ["resnet18 gives 1,000 outputs, the data set has 2 classes; leave out num_classes"]),
    (["model._target_=torchvision.models.googlenet"],
     ["GoogLeNetOutputs", "+model.aux_logits=false"]),
    (["model._target_=torchvision.models.inception_v3", "dataset.input_size=299"],
     ["InceptionOutputs", "+model.aux_logits=false"]),
    (["model._target_=torchvision.models.alexnet"], ["3×32×32", "set dataset.input_size=224"]),
    (["model._target_=torchvision.models.vit_b_16", "dataset.input_size=64"],
     ["3×64×64", "set dataset.input_size=224"]),
    (["model._target_=torchvision.models.resnet18", "+model.weights=DEFAULT"],
     ["expected value 1000 but got 2"]),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), NETWORKS)
@pytest.mark.filterwarnings("ignore:The default weight initialization")
def test_a_network_that_gives_something_else_is_refused_before_training(
    etude: Etude, workplace: Path, photos: list[str], capsys: Output, words: list[str],
    said: list[str],
):  # fmt: skip
    assert etude(*photos, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in said), line
    assert not (workplace / "outputs").exists()


def test_a_network_without_its_auxiliary_heads_trains(
    etude: Etude, workplace: Path, photos: list[str]
):
    words = ["model._target_=torchvision.models.googlenet", "+model.aux_logits=false"]
    assert etude(*photos, *words, "+model.init_weights=false") == 0
    assert summary_of(only_run(workplace))["state"] == "finished"


@pytest.mark.parametrize("network", ["resnet18", "alexnet", "mobilenet_v3_small"])
def test_grey_images_are_refused_by_a_network_for_colour_in_one_line(
    etude: Etude, workplace: Path, capsys: Output, network: str
):
    assert etude(*SMALL, "model=lenet5", f"model._target_=torchvision.models.{network}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{network} does not take images of 1×28×28, but of 3 channels" in line
    assert "choose colour images" in line
    assert not (workplace / "outputs").exists()
