"""What is told of errors that nobody made on purpose."""

from pathlib import Path

import pytest

from etude.cli import run_job
from etude.runs.names import RUN_LOG

Output = pytest.CaptureFixture[str]


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
