"""`CITATION.cff` says of the project what `pyproject.toml` says."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_the_citation_is_of_this_version_and_license():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    told = yaml.safe_load(text)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert str(told["version"]) == project["version"]
    assert told["license"] == project["license"]
    assert told["authors"] == project["authors"]
    assert told["keywords"] == project["keywords"]
    assert told["title"].removeprefix("Étude: a") in project["description"].removeprefix("A")
    assert {"cff-version", "message", "title", "authors"} <= told.keys()  # what the format asks for
    assert "://" not in text
