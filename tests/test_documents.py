"""The page that lists the documents' systems knows every experiment and study, and no others."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "documents.md").read_text(encoding="utf-8")


def files(group: str) -> set[str]:
    return {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}


def test_every_experiment_and_study_is_listed():
    named = set(re.findall(r"`(\w+)(?: init=[\w.]+)?`", PAGE))
    documented = {name for name in files("experiment") if not name.endswith("_digits")}
    assert documented - named == set()
    assert files("study") - named == set()


def test_every_system_of_the_documents_has_an_experiment_that_exists():
    rows = re.findall(r"^\| ([SD]\d\d) \|[^|]*\| ([^|]*)\|", PAGE, flags=re.MULTILINE)
    assert [name for name, _ in rows if name[0] == "S"] == [f"S{n:02}" for n in range(1, 22)]
    assert [name for name, _ in rows if name[0] == "D"] == [f"D{n:02}" for n in range(1, 15)]
    for _, commands in rows:
        assert set(re.findall(r"`(\w+)", commands)) <= files("experiment")
