"""What Tab offers of `etude`, asked as the shells' functions ask."""

from collections.abc import Callable

import pytest

Etude = Callable[..., int]


@pytest.fixture
def offers(
    etude: Etude, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], list[str]]:
    def asked(line: str) -> list[str]:
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        assert etude("-sc", "query=bash") == 0
        output, errors = capfd.readouterr()
        assert errors == ""
        return output.split()

    return asked


def test_options_are_completed(offers: Callable[[str], list[str]]):
    assert offers("etude --d") == ["--detach", "--dry-run"]
    assert offers("etude seed=1 --mul") == ["--multirun"]
    every = offers("etude -")
    assert {"--help", "--config-dir", "--cfg", "--version"} <= set(every)
    assert "--config-name" not in every  # which is refused


def test_an_options_value_is_no_word_of_hydras(offers: Callable[[str], list[str]]):
    assert offers("etude --cfg ") == ["job", "hydra", "all"]
    assert offers("etude --config-dir ") == []  # files: the shell's own


def test_words_behind_options_are_completed(offers: Callable[[str], list[str]]):
    assert "optimizer=sgd" in offers("etude --dry-run --config-dir conf -m optimizer=sg")
    assert "optimizer=" in offers("etude --detach optim")
