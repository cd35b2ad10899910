"""The local launcher with an application that knows nothing of it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from launch.processes import children_of, notes, processes_below, wait_for

from etude.runs.claim import claimed

APP = Path(__file__).with_name("app.py")
App = Callable[..., tuple[int, str]]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the application with the local launcher; `hooks` is code that gives `task` methods."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str, hooks: str = "") -> "subprocess.Popen[str]":
        (tmp_path / "app.py").write_text(APP.read_text().replace("# HOOKS", hooks))
        given = ["-m", "hydra/launcher=local", "hydra.launcher.preload=[]", "hydra.sweep.dir=out"]
        process = subprocess.Popen(
            [sys.executable, "app.py", *given, *words],
            cwd=tmp_path,
            env={k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def app(start: Start) -> Callable[..., tuple[int, str]]:
    """Run the application to its end; give its exit code and what it printed."""

    def run(*words: str, hooks: str = "") -> tuple[int, str]:
        process = start(*words, hooks=hooks)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    return run


def row(output: str, job: str) -> str:
    """A job's line in the table at the end."""
    table = output.rpartition("───")[2].partition(" jobs: ")[0]
    return next(line for line in table.splitlines() if line.strip().startswith(job))


def test_whatever_becomes_of_one_job_the_others_go_on(app: App, tmp_path: Path):
    code, output = app("+do=work,raise,kill,exit,leave,stubborn,segfault,pool", "+seed=0")
    assert code == 1
    states = {"work": "finished", "leave": "finished", "pool": "finished",
              "raise": "failed", "kill": "failed",
              "exit": "failed", "stubborn": "failed", "segfault": "failed"}  # fmt: skip
    for do, state in states.items():
        assert state in row(output, f"+do={do}")
    assert "failed +do=raise: ValueError: no such thing\n  log: out/1/output.log" in output
    assert "failed +do=kill: killed by signal 9 (SIGKILL); out of memory?" in output
    assert "failed +do=exit: exited with code 3" in output
    assert "StubbornError: no way" in output
    assert "8 jobs: 3 finished, 5 failed" in output


def test_a_jobs_log_has_all_that_it_printed_and_the_launcher_prints_none_of_it(
    app: App, tmp_path: Path
):
    _, output = app("+do=raise,segfault")
    log = (tmp_path / "out" / "0" / "output.log").read_text()
    assert "doing raise\nTraceback" in log
    assert log.endswith("ValueError: no such thing\n")
    assert "Segmentation fault" in (tmp_path / "out" / "1" / "output.log").read_text()
    assert "doing" not in output


def test_every_job_has_a_process_a_process_group_and_its_share_of_the_cores(
    app: App, tmp_path: Path
):
    code, output = app("+do=work", "+x=1,2,3,4", "hydra.launcher.jobs_per_device=1")
    assert code == 0, output
    seen = [note.split() for note in notes(tmp_path)]
    assert len({process for _, process, *_ in seen}) == 4
    assert all(process == group for _, process, group, *_ in seen)
    assert {threads for *_, threads, _ in seen} == {str(len(os.sched_getaffinity(0)))}
    assert {argument for *_, argument in seen} == {"app.py"}


def test_two_jobs_at_a_time_halve_the_cores(app: App, tmp_path: Path):
    code, _ = app("+do=work", "+x=1,2,3,4", "hydra.launcher.jobs_per_device=2")
    assert code == 0
    half = max(1, len(os.sched_getaffinity(0)) // 2)
    assert {note.split()[3] for note in notes(tmp_path)} == {str(half)}


def test_a_failure_can_be_tried_again(app: App, tmp_path: Path):
    words = ["+do=once", "+seed=0,1", "hydra.job.chdir=true"]
    code, output = app(*words, "hydra.launcher.retries=1")
    assert code == 0, output
    assert "finished, try 2" in row(output, "+seed=0")


def test_the_first_failure_stops_the_others_if_asked_to(app: App, tmp_path: Path):
    words = ["hydra.launcher.fail_fast=true", "hydra.launcher.jobs_per_device=2"]
    code, output = app("+do=save,late,work", *words)
    assert code == 1
    assert "preempted" in row(output, "+do=save")
    assert "not started" in row(output, "+do=work")
    assert "saved 15" in notes(tmp_path)


def test_a_job_that_takes_too_long_is_asked_and_then_made_to_stop(app: App, tmp_path: Path):
    words = ["hydra.launcher.timeout_minutes=0.01", "hydra.launcher.grace_seconds=0.5"]
    code, output = app("+do=save,deaf,work", *words)
    assert code == 1
    for do in ("save", "deaf"):
        assert f"failed +do={do}: took longer than timeout_minutes" in output
    assert "finished" in row(output, "+do=work")


HOOKS = """
from etude.launch.task import About, Progress

def about(config):
    number = config.hydra.job.num
    folder = Path(config.hydra.runtime.output_dir)
    after = {1: (folder.with_name("3"),), 4: (folder.with_name("5"),)}.get(number, ())
    return About(finished=number == 0, result=1, cost=number, after=after)

task.about = about
task.progress = lambda config: Progress(0.5, "half way", "score 0.9")
"""


def test_a_task_may_say_what_is_done_what_takes_longest_and_what_must_come_first(
    app: App, tmp_path: Path
):
    words = ["+do=a,b,c,d,e,raise", "hydra.launcher.jobs_per_device=1"]
    code, output = app(*words, hooks=HOOKS)
    assert code == 1
    assert "finished before" in row(output, "+do=a")
    assert "0.9" in row(output, "+do=a").split()
    assert [note.split()[0] for note in notes(tmp_path)] == ["raise", "d", "c", "b"]
    assert "failed +do=e: needs +do=raise, which did not finish" in output


def test_a_task_may_say_by_its_exit_code_that_it_failed(app: App):
    code, output = app("+do=work", "+seed=0,1", hooks="task.exit_code = 4")
    assert "failed +seed=0: exited with code 4" in output
    assert code == 0  # Hydra looks at what was returned


def test_a_launch_whose_jobs_wait_for_each_other_ends(app: App):
    hooks = HOOKS.replace("{1:", "{2: (folder.with_name('1'),), 1:").replace('"3"', '"2"')
    code, output = app("+do=a,b,c", hooks=hooks)
    assert code == 1
    assert "its jobs wait for each other" in output


def test_a_bad_word_is_refused_before_any_job_starts(app: App, tmp_path: Path):
    code, output = app("+do=work", "nothing=1,2")
    assert code == 1
    assert "nothing" in output
    assert notes(tmp_path) == []


def test_a_bad_setting_is_refused_in_one_line(app: App, tmp_path: Path):
    code, output = app("+do=work", "hydra.launcher.retries=-1")
    assert code == 1
    assert "hydra.launcher.retries=-1 must be a whole number of at least 0" in output
    assert notes(tmp_path) == []


def test_a_job_in_the_folder_that_its_own_sweep_holds_is_refused(app: App, tmp_path: Path):
    with claimed(tmp_path / "out"):
        code, output = app("+do=work", "+x=1", "hydra.sweep.subdir=.")
    assert code == 1
    assert "job 0 would wait for ever for" in output
    assert notes(tmp_path) == []
    assert app("+do=work", "+x=1", "hydra.sweep.subdir=.")[0] == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_the_first_signal_lets_the_jobs_save(
    start: Start, tmp_path: Path, number: signal.Signals, code: int
):
    process = start("+do=save", "+x=1,2,3", "hydra.launcher.jobs_per_device=2")
    wait_for(lambda: notes(tmp_path).count("listening") == 2)
    os.killpg(process.pid, number)  # as a terminal does it
    begun = time.monotonic()
    output, _ = process.communicate(timeout=30)
    assert time.monotonic() - begun < 5
    assert process.returncode == code, output
    assert notes(tmp_path).count(f"saved {number}") == 2
    assert len(notes(tmp_path)) == 6  # the third was not started
    wait_for(lambda: not processes_below(tmp_path))


def test_the_second_signal_ends_everything_at_once(start: Start, tmp_path: Path):
    process = start("+do=deaf", "+x=1,2", "hydra.launcher.jobs_per_device=2")
    wait_for(lambda: notes(tmp_path).count("listening") == 2)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.6)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 75, output
    wait_for(lambda: not processes_below(tmp_path), seconds=5)


def test_no_process_outlives_a_launcher_that_is_killed(start: Start, tmp_path: Path):
    process = start("+do=save,deaf", "hydra.launcher.jobs_per_device=2")
    wait_for(lambda: notes(tmp_path).count("listening") == 2)
    process.kill()
    wait_for(lambda: "saved 15" in notes(tmp_path), seconds=5)
    wait_for(lambda: not processes_below(tmp_path), seconds=15)


def test_no_process_outlives_a_launcher_and_a_fork_server_that_are_killed(
    start: Start, tmp_path: Path
):
    process = start("+do=save,deaf", "hydra.launcher.jobs_per_device=2")
    wait_for(lambda: notes(tmp_path).count("listening") == 2)
    os.kill(server_of(process), signal.SIGKILL)
    process.kill()
    wait_for(lambda: "saved 15" in notes(tmp_path), seconds=5)
    wait_for(lambda: not processes_below(tmp_path), seconds=15)


def server_of(process: "subprocess.Popen[str]") -> int:
    (server,) = children_of(process.pid)
    return server


def test_a_fork_server_that_is_killed_takes_its_jobs_and_no_others(start: Start, tmp_path: Path):
    process = start("+do=save,work,raise", "hydra.launcher.jobs_per_device=1")
    wait_for(lambda: "listening" in notes(tmp_path))
    os.kill(server_of(process), signal.SIGKILL)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "failed" in row(output, "+do=save")
    assert "finished" in row(output, "+do=work")


def test_what_a_job_leaves_running_ends_with_it(app: App, tmp_path: Path):
    hooks = "import subprocess\nold = task\ndef task(c): subprocess.Popen(['sleep', '60']); old(c)"
    code, output = app("+do=work", "+x=1,2", hooks=hooks)
    assert code == 0, output
    wait_for(lambda: not processes_below(tmp_path), seconds=5)


def test_a_terminal_shows_a_live_table(tmp_path: Path, start: Start):
    start("+do=work").communicate()
    words = "-m hydra/launcher=local hydra.launcher.preload=[] +do=work +x=1,2 +seconds=1 "
    command = f"stty cols 100; {sys.executable} app.py {words} hydra.sweep.dir=out"
    result = subprocess.run(
        ["script", "-qec", command, "/dev/null"],
        cwd=tmp_path, env={**os.environ, "TERM": "xterm"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", result.stdout)
    assert "2 jobs: 2 running" in shown
    assert "running    +x=1" not in shown  # a plain line
    assert "2 jobs: 2 finished" in shown


def test_the_fork_server_starts_no_numeric_threads_and_the_launcher_imports_no_torch(
    app: App, tmp_path: Path
):
    hooks = """
import torch
def task(config):
    note(str(len(os.listdir(f"/proc/{os.getppid()}/task"))) + " " + str(torch.get_num_threads()))
    torch.ones(999, 999) @ torch.ones(999, 999)
    note("computed")
"""
    hooks = hooks.replace("import torch\ndef task(config):", "def task(config):\n    import torch")
    hooks += "\nimport atexit\natexit.register(lambda: note(f\"torch {'torch' in sys.modules}\"))"
    hooks = hooks.replace('note(f"torch', "open('torch', 'w').write(f\"torch")
    words = ["hydra.launcher.preload=[torch]", "hydra.launcher.threads=2"]
    code, output = app("+do=work", "+x=1,2", *words, hooks=hooks)
    assert code == 0, output
    assert notes(tmp_path).count("1 2") == 2
    assert notes(tmp_path).count("computed") == 2
    assert (tmp_path / "torch").read_text() == "torch False"
