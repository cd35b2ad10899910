"""A bundle into a folder: copies of the runs' own files, and what tells of them."""

import datetime
import json
import os
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from etude.base.atomic import write_text
from etude.report import files
from etude.report.bundle.crate import crate
from etude.report.bundle.credit import Credit
from etude.report.bundle.facts import computing, contents, data
from etude.report.bundle.gather import RUNS, Gathered, gather
from etude.report.bundle.prose import prose
from etude.report.bundle.script import script
from etude.report.results import Results
from etude.runs.names import CRATE
from etude.runs.records import finite

BUNDLE = "bundle"  # beside the page
_LOCK, _PATCH = "versions of the packages, as pip takes them", "the code against its commit"
_COPIES = "configuration, words and epochs of every run, copied"
_FILES = {
    "README.md": "the answer, what the runs were made with and on, how to make them again",
    "reproduce.sh": "makes every run again, and holds it against what it was",
    "data.json": "the data, weights and code of one's own, by their digests",
    "computing.json": "machines, hours, energy",
    "arms.csv": "the results, one line an arm",
    "runs.csv": "the results and every hyperparameter, one line a run",
}


def write_bundle(results: Results, table: str, folder: Path, credit: Credit) -> None:
    """Write it, with what an earlier report left there replaced.

    Args:
        results: Of the report.
        table: Its answer and tables, as Markdown.
        folder: Made if it is not there.
        credit: Who made the results.
    """
    gathered = gather(results)
    patches = [name for name in gathered.copies if "/" not in name]
    told = {**_FILES, **dict.fromkeys(gathered.locks, _LOCK), **dict.fromkeys(patches, _PATCH)}
    runs = [bundled.run for bundled in gathered.runs]
    texts = {
        **gathered.locks,
        "README.md": prose(results, gathered, table, {**told, f"{RUNS}/": _COPIES}),
        "reproduce.sh": script(gathered),
        "data.json": _json({"data": data(runs), "contents": contents(runs)}),
        "computing.json": _json(computing(runs)),
        "arms.csv": files.arms_csv(results),
        "runs.csv": files.runs_csv(results),
    }
    ours = (folder / CRATE).exists()
    folder.mkdir(parents=True, exist_ok=True)
    # First, as it is the sign that the runs in here are copies, which no command takes for others.
    today = datetime.datetime.now(datetime.UTC).date()
    write_text(folder / CRATE, _json(crate(results, gathered, told, credit, today)))
    for name, text in texts.items():
        write_text(folder / name, text)
    (folder / "reproduce.sh").chmod(0o755)
    if ours:
        _clear(folder, {*texts, *gathered.copies})
    _copy(gathered, folder)


def _json(value: Mapping[str, object]) -> str:
    """Write it in ASCII, as names of files may be in no encoding."""
    return json.dumps(finite(value), indent=2) + "\n"


def _copy(gathered: Gathered, folder: Path) -> None:
    """Copy the files that are not there as they are."""
    for place, source in gathered.copies.items():
        copy = folder / place
        if not _is_same(source, copy):
            copy.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # of a run that begins anew in this moment
                shutil.copy2(source, copy)


def _is_same(source: Path, copy: Path) -> bool:
    """Whether a file was copied before; the time of its last change is copied with it."""
    if not copy.is_file():
        return False
    one, other = source.stat(), copy.stat()
    return (one.st_size, one.st_mtime_ns) == (other.st_size, other.st_mtime_ns)


def _clear(folder: Path, wanted: Collection[str]) -> None:
    """Remove what an earlier bundle had and this one has not: other runs, locks, differences."""
    found = [*folder.glob("requirements*.txt"), *folder.glob("code*.patch")]
    found += [path for path in (folder / RUNS).rglob("*") if path.is_file()]
    for path in found:
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
    for name, _, _ in os.walk(folder / RUNS, topdown=False):
        if not any(Path(name).iterdir()):
            Path(name).rmdir()
