"""Whatever stands in a run's folder, no command ends in a traceback."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_runs import maker

from etude.cli import compare, report, status
from etude.runs.typed import misfit

NONSENSE = ["", "null", "[]", "{}", "3", "[1]", '{"a": 1}', '[{"folder": 3}]', '{"epoch": "x"}\n']


def damaged(value: Any) -> Iterator[Any]:
    """Give a value with each of its parts missing, or replaced by nonsense."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {k: v for k, v in value.items() if k != key}
            yield from ({**value, key: bad} for bad in (None, 3, "x", [], {}))
            yield from ({**value, key: bad} for bad in damaged(inner))
    elif isinstance(value, list) and value:
        yield from ([bad, *value[1:]] for bad in (3, *damaged(value[0])))


@pytest.fixture
def runs(workplace: Path) -> Path:
    make = maker(workplace)
    folders = [make("0.1", seed, 0.9) for seed in (0, 1)]
    planned = {path.name: {"arm": "a", "seed": seed} for seed, path in enumerate(folders)}
    plan = {
        "study": "s", "question": "q", "claim": "c", "source": "x", "baseline": "a",
        "metric": "test_accuracy", "axes": ["x"], "arms": {"a": ["1"]}, "command": [],
        "runs": planned,
    }  # fmt: skip
    jobs = [{"folder": path.name, "label": "a", "epochs": 2} for path in folders]
    confusion = {"classes": ["a", "b"], "counts": [[1, 2], [3, 4]], "epoch": 2}
    made = {"versions": {"torch": "2"}, "code": "x", "git": {"commit": "a", "dirty": False}}
    for path, value in (
        (workplace / "runs" / "study.json", plan),
        (workplace / "runs" / "jobs.json", jobs),
        (folders[0] / "confusion.json", confusion),
        (folders[0] / "environment.json", made),
    ):
        path.write_text(json.dumps(value), encoding="utf-8")
    return workplace / "runs"


@pytest.mark.parametrize(
    "name",
    ["study.json", "jobs.json", "summary.json", "environment.json", "confusion.json",
     "metrics.jsonl", ".hydra/overrides.yaml"],
)  # fmt: skip
def test_a_damaged_file_never_ends_in_a_traceback(runs: Path, name: str):
    folders = sorted(path for path in runs.iterdir() if path.is_dir())
    path = runs / name if (runs / name).exists() else folders[0] / name
    texts = [text.encode() for text in NONSENSE] + [b"\xff\xfe"]
    if name.endswith(".json"):
        texts += [json.dumps(bad).encode() for bad in damaged(json.loads(path.read_text()))]
    for text in texts:
        path.write_bytes(text)
        assert status.main([str(runs)]) in {0, 2}
        assert report.main([str(runs), "--format", "none"]) in {0, 2}
        assert compare.main(list(map(str, folders))) in {0, 2}


def test_a_misfit_is_named(runs: Path, caplog: pytest.LogCaptureFixture):
    (runs / "jobs.json").write_text('[{"folder": "a", "label": "b", "epochs": "many"}]')
    with caplog.at_level("WARNING", "etude"):
        assert status.main([str(runs)]) == 0
    assert "jobs.json, line 1, is damaged: 0.epochs is not a whole number" in caplog.text


@pytest.mark.parametrize(("value", "fits"), [(1, True), (1.5, True), (True, False), (None, False)])
def test_a_number_is_no_truth(value: object, fits: bool):
    assert (misfit(value, float) is None) == fits
