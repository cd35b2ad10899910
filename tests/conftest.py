"""What the tests share: a working folder of their own, and small runs through the real command."""

import gc
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from etude.base.threads import bound_spinning

bound_spinning()  # before PyTorch is loaded

import torch

from etude.cli.app import main
from etude.cli.compose import Composer, composing
from etude.config.build import import_folders, import_from
from etude.preflight.pretend import make_up

gc.freeze()  # or each collection would walk through all that PyTorch has made
if not torch.cuda.is_available():  # beside a made-up device PyTorch's autograd has no GPU any more
    make_up()  # before the process's first backward pass
torch.set_num_threads(1)  # small networks, and the same bits whatever else the machine does

# Of a row of metrics, what the same bits may have otherwise.
MEASURED = {"images_per_second", "seconds", "memory_bytes"}

# Real digits, few of them: a run takes about a second.
SMALL = [
    "dataset.limit_train=200",
    "dataset.limit_test=50",
    "train.epochs=2",
    "record.curves=false",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """Leave the log as it was.

    A command gives Étude's a handler, and lets it pass nothing on; Hydra's own words, such as
    --info, have the whole process log.
    """
    own, root = logging.getLogger("etude"), logging.getLogger()
    handlers, level, passed_on = own.handlers[:], own.level, own.propagate
    root_handlers, root_level = root.handlers[:], root.level
    disabled = logging.root.manager.disable
    yield
    own.handlers[:], own.propagate = handlers, passed_on
    own.setLevel(level)
    root.setLevel(root_level)
    for handler in root.handlers[:]:
        if handler not in root_handlers and type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
    logging.disable(disabled)


@pytest.fixture(autouse=True)
def own_imports() -> Iterator[None]:
    """Leave as it was where modules are sought: a folder of one test's would be found in the next.

    What a command was told of last is only put on Python's list by who builds next.
    """
    path, folders = sys.path[:], import_folders()
    yield
    sys.path[:] = path
    import_from(*folders)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with no settings from outside."""
    for name in ("ETUDE_OUTPUTS", "ETUDE_DATA", "HYDRA_FULL_ERROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path.with_name(f"{tmp_path.name}-cache")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mynets", raising=False)  # another test's
    return tmp_path


@pytest.fixture
def etude(workplace: Path) -> Callable[..., int]:
    """The command, in this process; returns its exit code."""

    def command(*words: str) -> int:
        return main(list(words))

    return command


@pytest.fixture
def composer(workplace: Path) -> Iterator[Composer]:
    """What the command composes its jobs with."""
    with composing() as composer:
        yield composer


def only_run(workplace: Path) -> Path:
    (summary,) = workplace.glob("outputs/*/*/summary.json")
    return summary.parent


def summary_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))
