"""What Python 3.14's argparse checks does not stop the command; here on any Python."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import SMALL


@pytest.fixture(autouse=True)
def checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `add_argument` read each help text, as it does from Python 3.14 on."""
    container: Any = argparse._ActionsContainer
    if hasattr(container, "_check_help"):
        return
    add = container.add_argument

    def check_help(parser: Any, action: argparse.Action) -> None:
        if action.help and hasattr(parser, "_get_formatter"):
            try:
                parser._get_formatter()._expand_help(action)
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError("badly formed help string") from error

    def add_argument(parser: Any, *names: Any, **settings: Any) -> argparse.Action:
        action = add(parser, *names, **settings)
        parser._check_help(action)
        return action

    monkeypatch.setattr(container, "_check_help", check_help, raising=False)
    monkeypatch.setattr(container, "add_argument", add_argument)


def test_the_check_is_there():
    with pytest.raises(ValueError, match="badly formed help string"):
        argparse.ArgumentParser().add_argument("--key", help="100 %")


def test_the_check_is_back_once_hydras_parser_is_made(etude: Callable[..., int]):
    assert etude("--version") == 0
    with pytest.raises(ValueError, match="badly formed help string"):
        argparse.ArgumentParser().add_argument("--key", help="100 %")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--help"], "etude experiment="),
        (["--hydra-help"], "Install or Uninstall shell completion"),
        (["-sc", "install=bash"], "complete -o nospace"),
        (["--cfg", "job"], "optimizer:"),
        (["-m", "seed=0,1", "--dry-run"], "2 runs"),
    ],
)
def test_help_completion_and_a_plan(
    etude: Callable[..., int], capfd: pytest.CaptureFixture[str], words: list[str], said: str
):
    assert etude(*words) == 0
    assert said in capfd.readouterr().out


def test_words_are_completed(
    etude: Callable[..., int], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COMP_LINE", "etude optimizer=sg")
    monkeypatch.setenv("COMP_POINT", "18")
    assert etude("-sc", "query=bash") == 0
    assert "optimizer=sgd" in capfd.readouterr().out.split()


def test_a_sweep(etude: Callable[..., int], workplace: Path):
    assert etude("-m", "seed=0,1", *SMALL) == 0
    assert len(list(workplace.glob("outputs/*/*/summary.json"))) == 2
