"""What a narrow terminal shows."""

import re
from typing import Any

import pytest

from etude.console import show_arms, show_summary
from etude.study import Study


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
