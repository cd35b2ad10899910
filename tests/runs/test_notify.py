"""Who is told of an end, by a command or an address; and that nothing waits for them."""

import http.server
import json
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import SMALL, only_run, summary_of

from etude.runs.notify import notify

Etude = Callable[..., int]
Output = pytest.CaptureFixture[str]


def wait_for(found: Callable[[], Any]) -> Any:
    end = time.monotonic() + 30
    while not (value := found()):
        assert time.monotonic() < end, "nobody was told"
        time.sleep(0.02)
    return value


@pytest.fixture
def command(workplace: Path) -> str:
    """A command that keeps each message as a line of `told`."""
    code = "import sys\nopen('told', 'a').write(sys.stdin.read() + '\\n')\n"
    (workplace / "keep.py").write_text(code)
    return shlex.join([sys.executable, "keep.py"])


def told(workplace: Path, count: int = 1) -> list[dict[str, Any]]:
    path = workplace / "told"

    def lines() -> list[str]:
        found = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return found if len(found) >= count else []

    return [json.loads(line) for line in wait_for(lines)]


def word(receiver: str) -> str:
    return f'record.notify="{receiver}"'


def test_a_command_is_told_of_a_run_that_finished(etude: Etude, workplace: Path, command: str):
    assert etude(*SMALL, word(command)) == 0
    (message,) = told(workplace)
    folder = only_run(workplace)
    final = summary_of(folder)["final"]["test_accuracy"]
    assert message.pop("host")
    assert message == {
        "what": "run", "state": "finished", "name": "lenet5_digits", "seed": 0, "error": "",
        "folder": str(folder), "test_accuracy": final,
        "text": f"run lenet5_digits/{folder.name} finished: test accuracy {final:.4f}",
    }  # fmt: skip
    assert etude(*SMALL) == 0
    assert only_run(workplace) == folder  # who is told does not make another run


def test_it_is_told_of_one_that_diverged(etude: Etude, workplace: Path, command: str):
    assert etude(*SMALL, "optimizer=sgd", "optimizer.lr=1e30", word(command)) == 1
    (message,) = told(workplace)
    assert (message["state"], message["test_accuracy"]) == ("diverged", None)
    assert "the loss became" in message["text"]


def test_a_study_is_told_of_as_one_beside_its_runs(etude: Etude, workplace: Path, command: str):
    words = ["-m", *SMALL, "train.epochs=1", "seed=0,1", "hydra/launcher=basic", word(command)]
    assert etude(*words) == 0
    messages = told(workplace, 3)
    assert sorted(message["what"] for message in messages) == ["run", "run", "study"]
    (study,) = [message for message in messages if message["what"] == "study"]
    assert (study["state"], study["runs"]) == ("finished", {"finished": 2})


@pytest.fixture
def address() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address on this machine, and the messages that came to it."""
    messages: list[dict[str, Any]] = []

    class Keep(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/json"
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its parent's)
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Keep)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hook", messages
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_address_is_told_by_post(address: tuple[str, list[dict[str, Any]]]):
    url, messages = address
    notify(url, {"what": "run", "state": "finished", "test_accuracy": float("nan")})
    (message,) = wait_for(lambda: messages)
    assert message["state"] == "finished"
    assert message["test_accuracy"] is None


@pytest.mark.parametrize("receiver", ["sleep 60", "false", "http://127.0.0.1:9/", "no-such-one"])
def test_a_receiver_that_hangs_or_fails_delays_nothing(receiver: str, capfd: Output):
    start = time.monotonic()
    notify(receiver, {"what": "run"})
    assert time.monotonic() - start < 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("receiver", ["no-such-command --now", "'", " "])
def test_a_command_that_is_not_there_is_refused_before_the_run(
    etude: Etude, workplace: Path, capsys: Output, receiver: str
):
    assert etude(*SMALL, word(receiver)) == 2
    assert "record.notify=" in capsys.readouterr().err
    assert not (workplace / "outputs").exists()
