"""What is told of errors that nobody made on purpose."""

from collections.abc import Callable
from pathlib import Path

import pytest

from etude.cli import run_job
from etude.runs.names import RUN_LOG

Output = pytest.CaptureFixture[str]
Etude = Callable[..., int]


@pytest.mark.parametrize(
    "text",
    [
        "DataLoader worker (pid 7) is killed by signal: Killed.",
        "CUDA out of memory. Tried to allocate 2 GiB",
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
    ],
)
def test_memory_that_cannot_be_had_is_told_with_what_may_help(
    tmp_path: Path, capsys: Output, text: str
):
    run_job.complain_of_failure(RuntimeError(text), tmp_path)
    told = capsys.readouterr().err
    assert "smaller train.batch_size" in told
    assert ("train.accumulate=auto" in told) is ("CUDA" in text)  # on a CPU it is one part


def test_a_log_is_named_only_where_there_is_one(tmp_path: Path, capsys: Output):
    run_job.complain_of_failure(ValueError("no"), tmp_path)
    assert capsys.readouterr().err.strip() == "etude: ValueError: no"
    (tmp_path / RUN_LOG).touch()
    run_job.complain_of_failure(ValueError("no"), tmp_path)
    assert RUN_LOG in capsys.readouterr().err


def test_a_sweep_that_is_stopped_before_anything_began_says_so(
    etude: Etude, monkeypatch: pytest.MonkeyPatch, capsys: Output
):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("etude.cli.start.inspect_jobs", interrupt)
    monkeypatch.setattr("etude.base.startup._work", set())
    for words in (["-m", "seed=0,1"], ["study=optimizers", "size=small"]):
        assert etude(*words) == 130
        assert capsys.readouterr().err == "etude: stopped before anything began\n"
    monkeypatch.setattr("etude.base.startup._work", {"a run"})
    assert etude("-m", "seed=0,1") == 130
    assert capsys.readouterr().err == ""


def test_of_one_image_batch_norm_is_named_as_the_reason(tmp_path: Path, capsys: Output):
    error = ValueError("Expected more than 1 value per channel when training, got input size …")
    run_job.complain_of_failure(error, tmp_path)
    assert "batch norm has nothing to average over" in capsys.readouterr().err
