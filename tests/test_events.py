"""TensorBoard's files, read back with TensorBoard's own reader."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import SMALL, only_run, summary_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata, plugin_data_pb2

from etude.runs.records import read_rows

Etude = Callable[..., int]


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def sessions(folder: Path) -> dict[str, Any]:
    found = read(folder).summary_metadata
    return {
        tag: plugin_data_pb2.HParamsPluginData.FromString(data.plugin_data.content)
        for tag, data in found.items()
        if data.plugin_data.plugin_name == "hparams"
    }


def test_every_epochs_metrics_are_scalars_in_the_runs_own_folder(etude: Etude, workplace: Path):
    assert etude(*SMALL) == 0
    folder = only_run(workplace)
    assert not [path for path in folder.iterdir() if path.is_dir() and path.name != ".hydra"]
    events = read(folder)
    assert {"loss/train", "accuracy/validation", "accuracy/test", "run/lr", "run/penalty",
            "run/images_per_second"} <= set(events.Tags()["scalars"])  # fmt: skip
    expected = [(row["epoch"], row["train_loss"]) for row in read_rows(folder)]
    found = [(e.step, e.value) for e in events.Scalars("loss/train")]
    assert found == [(epoch, pytest.approx(loss)) for epoch, loss in expected]
    (test,) = events.Scalars("accuracy/test")
    assert test.value == pytest.approx(summary_of(folder)["final"]["test_accuracy"])


def test_the_hyperparameters_are_one_session_with_its_arm_and_status(etude: Etude, workplace: Path):
    assert etude(*SMALL, "optimizer.lr=0.002") == 0
    found = sessions(only_run(workplace))
    start = found[metadata.SESSION_START_INFO_TAG].session_start_info
    assert start.hparams["optimizer.lr"].number_value == 0.002
    assert start.hparams["model"].string_value == "LeNet5"
    assert start.hparams["augment.after_normalize"].string_value == "true"
    assert "lr=0.002" in start.group_name
    assert start.group_name.endswith(" (lenet5_digits)")  # the end of a long name is cut off
    assert "seed" not in start.group_name
    assert "seed" not in start.hparams  # a group is shown as one row
    end = found[metadata.SESSION_END_INFO_TAG].session_end_info
    assert end.status == 1  # success


def test_no_run_decides_for_all_which_columns_there_are(etude: Etude, workplace: Path):
    assert etude(*SMALL) == 0
    assert metadata.EXPERIMENT_TAG not in sessions(only_run(workplace))


def test_a_failed_run_is_shown_as_failed(etude: Etude, workplace: Path):
    assert etude(*SMALL, "optimizer=sgd", "optimizer.lr=1e30") == 1
    end = sessions(only_run(workplace))[metadata.SESSION_END_INFO_TAG].session_end_info
    assert end.status == 2  # failure


def test_a_full_disk_ends_the_view_and_not_the_run(
    etude: Etude, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    from etude.train.record.events import SummaryWriter  # noqa: PLC0415

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    assert etude(*SMALL) == 0
    assert capsys.readouterr().out.count("TensorBoard's files cannot be written") == 1
