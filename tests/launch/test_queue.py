"""Commands that are left to this machine, through closed terminals and kills."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from processes import wait_for

from etude.base import locks
from etude.base.errors import UserError
from etude.cli import queue as command
from etude.launch.commands import RUNNING, CommandQueue, state_folder
from etude.launch.commands_server import _do, _state, is_serving, start

Etude = Callable[..., int]
QUICK = ["dataset.limit_train=80", "dataset.limit_test=20", "record.curves=false",
         "record.tensorboard=false"]  # fmt: skip


@pytest.fixture
def queue(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> CommandQueue:
    monkeypatch.setenv("XDG_STATE_HOME", str(workplace / "state"))
    return CommandQueue(state_folder())


def states(queue: CommandQueue) -> dict[int, str]:
    return {one.number: one.state for one in queue.all()}


def add(queue: CommandQueue, *words: str) -> int:
    return queue.add(words, Path.cwd(), os.environ).number


def server(queue: CommandQueue) -> int:
    wait_for(lambda: is_serving(queue))
    said = (queue.folder / "server.lock").read_text()  # process <number> on <host>
    return int(said.split()[1])


def test_a_queue_is_changed_by_its_numbers(queue: CommandQueue):
    assert [add(queue, f"seed={n}") for n in range(3)] == [1, 2, 3]
    assert command.main(["first", "3"]) == 0
    assert command.main(["remove", "2"]) == 0
    assert [one.number for one in queue.all() if one.left] == [3, 1]
    assert command.main(["remove", "9"]) == 2
    assert command.main(["resize", "0"]) == 2
    assert command.main(["resize", "²"]) == 2
    assert command.main(["resize", "2"]) == 0
    assert queue.jobs_per_device == "2"


def test_each_change_is_told_in_a_line(queue: CommandQueue, capsys: pytest.CaptureFixture[str]):
    for seed in range(3):
        add(queue, f"seed={seed}")
    held = locks.take(queue.lock(1))  # as of one that runs
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    running = replace(queue.find(1), state=RUNNING, process=process.pid)
    queue.write(running)
    for words, told in (
        (["first", "3"], "command 3 comes before all that wait"),
        (["pause"], "paused: no further command is started; etude-queue resume goes on"),
        (["remove", "3"], "command 3 is removed"),
        (["resize", "2"], "from now on 2 jobs on a device at a time; command 1 saves and goes on"),
    ):
        assert command.main(words) == 0
        assert capsys.readouterr().out.startswith(told)
    assert process.wait() == -signal.SIGTERM
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    queue.write(replace(running, process=process.pid))
    assert command.main(["remove", "1"]) == 0
    assert capsys.readouterr().out == "command 1 is removed, and was asked to save and stop\n"
    assert process.wait() == -signal.SIGTERM
    locks.release(held)


@pytest.mark.parametrize("state", ["finished", "failed", "removed"])
def test_what_is_over_stays_what_it_came_to(
    queue: CommandQueue, capsys: pytest.CaptureFixture[str], state: str
):
    add(queue, "seed=0")
    queue.write(replace(queue.find(1), state=state))
    assert command.main(["remove", "1"]) == 2
    assert f"command 1 is {state}; there is nothing to remove" in capsys.readouterr().err
    assert states(queue) == {1: state}


def test_a_command_that_was_stopped_can_be_removed_so_that_it_does_not_begin_again(
    queue: CommandQueue,
):
    add(queue, "seed=0")
    queue.write(replace(queue.find(1), state="preempted"))
    assert command.main(["remove", "1"]) == 0
    queue.again(None)
    assert states(queue) == {1: "removed"}


def asleep(queue: CommandQueue) -> tuple[subprocess.Popen[str], int]:
    """Begin a command that counts how often it is asked to stop; give its lock as well."""
    text = (
        "import signal, time\nasked = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: asked.append(1))\nprint('up', flush=True)\n"
        "end = time.monotonic() + 1\nwhile time.monotonic() < end: time.sleep(0.05)\n"
        "print(len(asked))"
    )
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    queue.write(replace(queue.find(1), state=RUNNING, process=process.pid))
    return process, locks.take(queue.lock(1))


def test_what_runs_is_asked_once_to_save_and_stop(queue: CommandQueue):
    add(queue, "seed=0")
    process, held = asleep(queue)
    for words in (["resize", "1"], ["resize", "2"], ["remove", "1"]):
        assert command.main(words) == 0
    assert process.communicate()[0] == "1\n"
    locks.release(held)


@pytest.mark.parametrize(
    ("words", "code", "state"),
    [
        (["resize", "1"], 75, "waiting"),
        (["resize", "1"], -signal.SIGTERM, "waiting"),  # before it had loaded what saves
        (["resize", "1"], -signal.SIGKILL, "failed"),
        (["remove", "1"], 75, "removed"),
        (["remove", "1", "resume", "1"], 75, "waiting"),  # while it still saves
        (["remove", "1", "resume", "1"], 0, "finished"),
        ([], 75, "preempted"),
        ([], -signal.SIGTERM, "failed"),  # by somebody else
    ],
)
def test_where_a_command_stands_whose_process_has_ended(
    queue: CommandQueue,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    state: str,
):
    monkeypatch.setattr(command, "start", lambda _: None)
    add(queue, "seed=0")
    process, held = asleep(queue)
    for pair in zip(words[::2], words[1::2], strict=True):
        assert command.main(pair) == 0
    assert _state(queue, queue.find(1), code) == state
    process.communicate()
    locks.release(held)


@pytest.mark.parametrize("action", ["remove", "first", "follow"])
def test_an_action_that_needs_a_number_says_so_and_which_there_are(
    queue: CommandQueue, capsys: pytest.CaptureFixture[str], action: str
):
    assert command.main([action]) == 2
    assert f"{action} needs a command's number; the queue is empty" in capsys.readouterr().err
    add(queue, "seed=0")
    add(queue, "seed=1")
    assert command.main([action, "x"]) == 2
    told = f"{action} needs a command's number, not x; there are 1, 2"
    assert told in capsys.readouterr().err


def test_only_what_matters_of_the_shell_is_kept(queue: CommandQueue):
    kept = queue.add(["seed=0"], Path.cwd(), {"PATH": "p", "SECRET": "s", "ETUDE_DATA": "d"})
    assert kept.environment == {"PATH": "p", "ETUDE_DATA": "d"}
    assert queue.folder.stat().st_mode & 0o077 == 0


def test_a_command_that_is_refused_is_not_put_into_the_queue(etude: Etude, queue: CommandQueue):
    assert etude("-m", "optimizer.lr=0.1,-1", "--detach") == 2
    assert queue.all() == []


def test_a_command_that_waits_for_nothing_is_done_in_a_server_of_its_own(
    queue: CommandQueue, capsys: pytest.CaptureFixture[str]
):
    add(queue, "train.epochs=0")
    add(queue, "--version")
    start(queue)
    start(queue)  # the second one ends by itself
    wait_for(lambda: set(states(queue).values()) == {"failed", "finished"}, 60)
    wait_for(lambda: not is_serving(queue))
    assert command.main(["follow", "2"]) == 0
    assert "etude " in capsys.readouterr().out
    assert command.main(["follow", "1"]) == 1


def test_a_killed_server_leaves_its_command_at_work_and_nothing_is_done_twice(
    queue: CommandQueue, workplace: Path
):
    words = ["-m", "seed=0,1", "train.epochs=12", *QUICK]
    add(queue, *words)
    start(queue)
    wait_for(lambda: list(workplace.glob("outputs/*/*/metrics.jsonl")), 120)
    os.kill(server(queue), signal.SIGKILL)
    wait_for(lambda: not is_serving(queue))
    assert locks.is_held(queue.lock(1))  # by the command itself
    assert states(queue) == {1: "running"}
    assert command.main(["resume"]) == 0
    wait_for(lambda: states(queue) == {1: "finished"}, 120)
    log = queue.log(1).read_text()
    assert "2 jobs: 2 finished before" in log
    for summary in workplace.glob("outputs/*/*/summary.json"):
        rows = (summary.parent / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(row)["epoch"] for row in rows] == list(range(1, 13))


def test_a_command_whose_folder_is_gone_fails_and_those_behind_it_are_done(
    queue: CommandQueue, workplace: Path
):
    (workplace / "gone").mkdir()
    queue.add(["--version"], workplace / "gone", os.environ)
    add(queue, "--version")
    (workplace / "gone").rmdir()
    start(queue)
    wait_for(lambda: states(queue) == {1: "failed", 2: "finished"}, 60)
    assert "it cannot be started in" in queue.log(1).read_text()


def test_a_command_has_nothing_of_another_shells_environment(
    queue: CommandQueue, workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    plain = {k: v for k, v in os.environ.items() if k != "ETUDE_OUTPUTS"}
    queue.add(["train.epochs=1", "name=mine", *QUICK], workplace, plain)
    monkeypatch.setenv("ETUDE_OUTPUTS", str(workplace / "elsewhere"))
    start(queue)
    wait_for(lambda: states(queue) == {1: "finished"}, 120)
    assert (workplace / "outputs" / "mine").is_dir()
    assert not (workplace / "elsewhere").exists()


def test_nobody_changes_a_command_while_it_is_begun(
    queue: CommandQueue, monkeypatch: pytest.MonkeyPatch
):
    add(queue, "--version")
    held: list[bool] = []

    def begin(*_: object, **__: object) -> None:
        held.append(locks.is_held(queue.folder / "change.lock"))
        raise OSError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", begin)
    _do(queue, queue.find(1))
    assert held == [True]
    assert states(queue) == {1: "failed"}


@pytest.mark.parametrize("content", ["{}", "hello", '{"number": "one"}', "[1]"])
def test_a_damaged_file_of_the_queue_is_passed_over_and_its_number_not_given_again(
    queue: CommandQueue, content: str
):
    assert add(queue, "--version") == 1
    (queue.folder / "7.json").write_text(content)
    assert command.main([]) == 0
    assert add(queue, "--version") == 8
    assert (queue.folder / "7.json").read_text() == content


def test_a_queue_that_cannot_be_kept_says_so(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (workplace / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(workplace / "file"))
    assert command.main([]) == 1
    assert "XDG_STATE_HOME names a folder for the queue" in capsys.readouterr().err
    with pytest.raises(UserError, match="XDG_STATE_HOME names a folder for the queue"):
        command.detach(["--version"])


def test_following_what_nobody_is_at_work_on_says_what_goes_on(
    queue: CommandQueue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """As after a reboot."""
    add(queue, "--version")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) > 30:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        command.main(["follow", "1"])
    told = capsys.readouterr().out
    assert told.count("command 1 waits: the queue is not at work; etude-queue resume goes on") == 1


@pytest.mark.slow
def test_a_study_that_is_left_and_killed_twice_has_an_undisturbed_ones_bits(
    queue: CommandQueue, workplace: Path
):
    """Twenty-four runs; the server and its command are killed together, as by a power cut."""
    words = ["-m", f"seed={','.join(map(str, range(24)))}", "train.epochs=6", *QUICK]
    subprocess.run(
        [sys.executable, "-m", "etude", *words], check=True, capture_output=True,
        env={**os.environ, "ETUDE_OUTPUTS": "undisturbed"},
    )  # fmt: skip
    add(queue, *words)
    start(queue)
    for enough in (6, 14):
        wait_for(lambda: len(list(workplace.glob("outputs/*/*/best.safetensors"))) >= enough, 300)  # noqa: B023
        process = server(queue)
        own = next(one for one in queue.all() if one.left).process
        for one in (process, own):
            os.kill(one, signal.SIGKILL)
        wait_for(lambda: not locks.is_held(queue.lock(1)))
        assert command.main(["resume"]) == 0
        time.sleep(1)
    wait_for(lambda: states(queue) == {1: "finished"}, 600)
    weights = {p.relative_to(workplace / "undisturbed"): p.read_bytes()
               for p in workplace.glob("undisturbed/*/*/best.safetensors")}  # fmt: skip
    assert len(weights) == 24
    assert {p.relative_to(workplace / "outputs"): p.read_bytes()
            for p in workplace.glob("outputs/*/*/best.safetensors")} == weights  # fmt: skip


def test_a_number_that_is_none_is_refused(queue: CommandQueue):
    with pytest.raises(UserError, match="no command 7"):
        queue.find(7)
