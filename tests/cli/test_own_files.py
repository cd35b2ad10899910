"""A user's own files that are no configuration: one line, and nothing has begun."""

from collections.abc import Callable
from pathlib import Path

import pytest

HEAD = b"# @package _global_\n"
BROKEN = {
    "no UTF-8": b"\xff\xfe\x00",
    "a tab": HEAD + b"train:\n\tepochs: 2\n",
    "no colon": HEAD + b"train:\n  epochs 2\nname: a\n",
    "a key twice": HEAD + b"name: a\nname: b\n",
    "defaults that are a number": HEAD + b"defaults: 3\n",
    "defaults that are no list": HEAD + b"defaults: {a: b}\n",
    "a default that is a number": HEAD + b"defaults:\n  - 3\n",
    "a default that is a list": HEAD + b"defaults:\n  - [a]\n",
    "itself as a default": HEAD + b"defaults:\n  - /experiment: mine\n",
    "a number": b"3\n",
    "half a header": b"# @package \nx: 1\n",
    "half an interpolation": HEAD + b"name: ${\n",
    "half a list": HEAD + b"name: [\n",
    "an object of Python's": HEAD + b"name: !!python/object/apply:os.system [ls]\n",
    "a part that is nothing": HEAD + b"optimizer: null\n",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_is_no_configuration_is_refused_in_words(
    etude: Callable[..., int], workplace: Path, capsys: pytest.CaptureFixture[str], what: str
):
    (workplace / "conf" / "experiment").mkdir(parents=True)
    (workplace / "conf" / "experiment" / "mine.yaml").write_bytes(BROKEN[what])
    assert etude("--config-dir", "conf", "experiment=mine") == 2
    told = capsys.readouterr().err
    assert told.strip()
    assert "Traceback" not in told
    assert not (workplace / "outputs").exists()
