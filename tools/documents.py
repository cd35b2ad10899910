"""Put what the ledger says into docs/documents.md: `python -m tools.documents`.

The last column of a row is the ledger's where there is a record of what the row names, and stays as
it is where there is none: a row without a record says by hand what it wants that is not here. Of
what a medium study refutes the last two are: what was refuted, and what the study's `why` came to.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from etude.report.ledger import Record, RecordedClaim, read_records

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "documents.md"
LEDGER = ROOT / "ledger"
STUDIES = ROOT / "conf" / "study"

_ROW = re.compile(r"^\|(?: [SDA][\d, A]*)? ?\| .*\|$")
_WHY = re.compile(r"^\| why A\d+ \|")
_NAME = re.compile(r"`(\w+)`")


def generated(text: str, records: Mapping[str, Record]) -> str:
    """Give the page with its last column as the ledger has it."""
    return "\n".join(_line(line, records) for line in text.split("\n"))


def _line(line: str, records: Mapping[str, Record]) -> str:
    if _WHY.match(line):
        return _why(line, records)
    if not _ROW.match(line):
        return line
    cells = line.strip("|").split("|")
    study = line.startswith("| A")
    named = [name for name in _NAME.findall("|".join(cells[:3])) if name]
    wanted = [f"{name}_medium" if study else name for name in named]
    found = [_said(records[name], study=study) for name in wanted if name in records]
    if study:
        why = [f"{name}_why" for name in named]
        found += [f"[why](../ledger/{name}.json)" for name in why if name in records]
    if found:
        cells[-1] = f" {', '.join(found)} "
    return f"|{'|'.join(cells)}|"


def _why(line: str, records: Mapping[str, Record]) -> str:
    """Fill in what a study refutes at medium size, and what its `why` asked and came to."""
    cells = line.strip("|").split("|")
    name = _NAME.findall(cells[1])[0]
    refuted = [claim for claim in records[f"{name}_medium"]["claims"] if claim["word"] == "refuted"]
    cells[-2] = f" {_claims(refuted)} "
    if record := records.get(f"{name}_why"):
        study = yaml.safe_load((STUDIES / f"{name}.yaml").read_text(encoding="utf-8"))
        question = study["why"]["question"]
        link = f"[record](../ledger/{record['name']}.json)"
        cells[-1] = f" {question} {_claims(record['claims'], words=True)} ({link}) "
    return f"|{'|'.join(cells)}|"


def _claims(claims: Sequence[RecordedClaim], *, words: bool = False) -> str:
    """Give each claim with the difference of its arms and the interval of that."""
    return "; ".join(
        f"{each['claim']}: {each['difference']:+.3g} ({each['low']:+.3g} to {each['high']:+.3g})"
        + f", {each['word']}" * words
        for each in claims
    )


def _said(record: Record, *, study: bool) -> str:
    """Say what a record came to: a study's word, or an experiment's mean over its seeds."""
    link = f"[record](../ledger/{record['name']}.json)"
    scale = "" if record["scale"] == 1 else f" at scale {record['scale']:g}"
    if study:
        words = [claim["word"] for claim in record["claims"]]
        counts = ", ".join(f"{words.count(w)} {w}" for w in dict.fromkeys(words))
        return f"{record['verdict']} ({counts}{scale}; {link})"
    arm = next(iter(record["arms"].values()))
    spread = "" if arm["deviation"] is None else f" ± {arm['deviation']:.4f}"
    seeds = len(arm["values"])
    images = _images(record["command"])
    return f"{arm['mean']:.4f}{spread} ({seeds} seed{'s' * (seeds > 1)}{scale}{images}; {link})"


def _images(command: Sequence[str]) -> str:
    """Name the folder whose images took the place of the configured ones."""
    roots = (word.partition("=")[2] for word in command if word.startswith("dataset.root="))
    name = Path(next(roots, "data")).name
    return "" if name == "data" else f", images of `{name}`"  # where all data sets lie by default


if __name__ == "__main__":
    PAGE.write_text(generated(PAGE.read_text(encoding="utf-8"), read_records(LEDGER)), "utf-8")
