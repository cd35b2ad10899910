"""The page that lists the documents' systems knows every experiment and study, and no others."""

import re
from pathlib import Path
from typing import Any

from etude.report.ledger import read_records
from tools.documents import generated

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "documents.md").read_text(encoding="utf-8")


def files(group: str) -> set[str]:
    return {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}


def test_every_experiment_and_study_is_listed():
    named = set(re.findall(r"`(\w+)(?: init=[\w.]+)?`", PAGE))
    documented = {name for name in files("experiment") if not name.endswith(("_digits", "_medium"))}
    assert documented - named == set()
    assert files("study") - named == set()


def test_every_system_of_the_documents_has_an_experiment_that_exists():
    rows = re.findall(r"^\| ([SD]\d\d) \|[^|]*\| ([^|]*)\|", PAGE, flags=re.MULTILINE)
    assert [name for name, _ in rows if name[0] == "S"] == [f"S{n:02}" for n in range(1, 22)]
    assert [name for name, _ in rows if name[0] == "D"] == [f"D{n:02}" for n in range(1, 15)]
    for _, commands in rows:
        assert set(re.findall(r"`(\w+)", commands)) <= files("experiment")


def test_the_page_says_what_the_ledger_says():
    told = generated(PAGE, read_records(ROOT / "ledger"))
    assert told == PAGE, "python -m tools.documents writes it anew"


def test_a_record_takes_the_place_of_a_rows_last_column():
    arm = {"values": {"0": 0.9, "1": 0.92}, "mean": 0.91, "deviation": 0.0141}
    claims = [{"word": "supported"}, {"word": "undecided"}, {"word": "supported"}]
    shared = {"scale": 1.0, "arms": {"as configured": arm}, "verdict": "undecided"}
    command = ["etude", "experiment=resnet20_cifar10", "dataset=folder", "dataset.root=data/jpegs"]
    records: dict[str, Any] = {
        "lenet5_mnist": {**shared, "name": "lenet5_mnist", "claims": [], "command": ["etude"]},
        "resnet20_cifar10": {**shared, "name": "resnet20_cifar10", "command": command},
        "depth_medium": {**shared, "name": "depth_medium", "claims": claims},
    }
    text = generated(
        "| S06 | LeNet | `lenet5_mnist` | 0.98 | | – |\n"
        "| D12 | ResNet | `resnet20_cifar10` | | | – |\n"
        "| A3 | `depth` | whether | no | – |\n| | other | `vgg` | | stays |",
        records,
    )
    assert text.splitlines() == [
        "| S06 | LeNet | `lenet5_mnist` | 0.98 | | 0.9100 ± 0.0141 (2 seeds; "
        "[record](../ledger/lenet5_mnist.json)) |",
        "| D12 | ResNet | `resnet20_cifar10` | | | 0.9100 ± 0.0141 (2 seeds, images of `jpegs`; "
        "[record](../ledger/resnet20_cifar10.json)) |",
        "| A3 | `depth` | whether | no | undecided (2 supported, 1 undecided; "
        "[record](../ledger/depth_medium.json)) |",
        "| | other | `vgg` | | stays |",
    ]


def test_what_was_refuted_stands_beside_what_the_why_came_to():
    judged: dict[str, Any] = {"claim": "E > A", "word": "refuted", "difference": -0.0895}
    judged |= {"low": -0.1, "high": -0.08}
    later = judged | {"difference": -0.034, "low": -0.04, "high": -0.027}
    records: dict[str, Any] = {
        "depth_medium": {"claims": [judged, judged | {"claim": "B > A", "word": "undecided"}]},
        "depth_why": {"name": "depth_why", "claims": [later]},
        "lrn_medium": {"claims": [judged]},
    }
    rows = "| why A3 | `depth` | most of it | old | old |\n| why A7 | `lrn` | not run | | |"
    first, second = generated(rows, records).splitlines()
    assert "| most of it | E > A: -0.0895 (-0.1 to -0.08) | Are the deeper networks worse" in first
    assert "E > A: -0.034 (-0.04 to -0.027), refuted ([record](../ledger/dep" in first
    assert second == "| why A7 | `lrn` | not run | E > A: -0.0895 (-0.1 to -0.08) | |"


def test_every_study_that_is_refuted_has_a_why():
    records = read_records(ROOT / "ledger")
    refuted = {name for name, record in records.items() if record["verdict"] == "refuted"}
    for name in (name.removesuffix("_medium") for name in refuted if name.endswith("_medium")):
        assert re.search(rf"^\| why A\d+ \| `{name}` \|", PAGE, flags=re.MULTILINE)
