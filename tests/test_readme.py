"""README and docs: short, whole, and true; what they show is what the commands do today."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
from hydra.errors import HydraException

from etude.base.errors import UserError
from etude.cli import (
    app,
    check,
    clean,
    compare,
    evaluate,
    export,
    predict,
    queue,
    report,
    rerun,
    runs,
    status,
    study_jobs,
    summary,
    sweeps,
    terminal,
)
from etude.cli import search as searches
from etude.cli.compose import composing
from etude.cli.job import PlannedJobs
from etude.cli.refusals import missing_extra

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
OTHERS = [ROOT / "benchmarks" / "README.md", ROOT / "benchmarks" / "results" / "README.md"]
LONGEST = 9_000  # characters of README

FENCED = re.compile(r"^```.*?^```$", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FOLDER = re.compile(r"[\w.=+-]*seed=\d+-[0-9a-f]{8}(?![0-9a-f])")
MISSING_EXTRA = re.compile(
    r"pip install 'etude\[\w+\]'"
)  # of a launcher that is not installed here

PARSERS: dict[str, Callable[[], Any]] = {
    "etude-report": report._parser,
    "etude-status": status._parser,
    "etude-compare": compare._parser,
    "etude-check": check._parser,
    "etude-queue": queue._parser,
    "etude-eval": evaluate._parser,
    "etude-predict": predict._parser,
    "etude-runs": runs._parser,
    "etude-clean": clean._parser,
    "etude-rerun": rerun._parser,
    "etude-export": export._parser,
}
PREPARES = {"mkdir", "cat", "sed"}  # a page's own files, which its later commands read
ELSEWHERE = {"ray", "source", "grep"}  # other programs, and what only a run leaves behind


class Shown(NamedTuple):
    """A command of a console block, with the lines that the page shows below it."""

    command: str
    lines: list[str]


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


# Links.


def headings(page: Path) -> set[str]:
    """A page's headings, as links call them."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", text(page)), flags=re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {word.replace(" ", "-") for word in words}


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The files that a page points to, each with the heading, if any."""
    for link in LINK.findall(FENCED.sub("", text(page))):
        if "://" not in link:
            path, _, heading = unquote(link).partition("#")
            yield ((page.parent / path).resolve() if path else page), heading


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=named)
def test_every_link_leads_somewhere(page: Path):
    for target, heading in links(page):
        assert target.exists(), target
        assert not heading or heading in headings(target), f"{named(target)}#{heading}"


def test_every_page_and_picture_is_reached_from_the_readme():
    reached = {target for target, _ in links(README)}
    pages = {target for target in reached if target.suffix == ".md"}
    reached |= {target for page in pages for target, _ in links(page)}
    assert set(PAGES) <= pages | {README}
    assert set((ROOT / "docs").glob("*.*")) <= reached


def test_the_readme_is_short_and_names_what_to_type_first():
    assert len(text(README)) <= LONGEST
    assert "make train" in text(README)
    assert "make test" in text(README)


# Commands.


def shown(page: Path) -> Iterator[Shown]:
    """The commands of a page's console blocks, in their order."""
    for block in re.findall(r"^```console\n(.*?)^```$", text(page), flags=re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, lines = part.rstrip("\n").split("\n"), []
            ends = "END" if "<<'END'" in command[0] else None
            length = 1 + next((n for n, line in enumerate(command) if _is_last(line, ends)), 0)
            command, lines = command[:length], command[length:]
            yield Shown("\n".join(command), lines)


def _is_last(line: str, ends: str | None) -> bool:
    return line == ends if ends else not line.endswith("\\")


def plan(words: list[str]) -> tuple[PlannedJobs | None, Any]:
    """Compose and check the jobs that a command stands for, and its study; no job for a search."""
    args = app._parser().parse_intermixed_args(words)
    own = app._own_files(args.config_dir)
    app.import_from(Path.cwd(), *([] if own is None else [own]))
    with composing(own) as composer:
        if study_jobs.names_study(args.overrides):
            if searches.of_study(composer, args.overrides) is not None:
                return None, None
            study, planned = study_jobs.plan(composer, args.overrides)
            return planned, study
        if not args.multirun:
            return composer.run(args.overrides), None
        if sweeps.is_written_so(args.overrides):
            return sweeps.plan(composer, args.overrides), None
        if searches.of_words(composer, args.overrides) is not None:
            return None, None
        return composer.sweep(args.overrides), None


def output_of(run: Callable[[], Any], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that a call prints, without what pads a table."""
    capsys.readouterr()
    run()
    captured = capsys.readouterr()
    return [line.rstrip() for line in (captured.err + captured.out).splitlines()]


def spoken(lines: list[str]) -> list[str]:
    """Lines but for what was left out, and for what tells of waiting."""
    return [line for line in lines if line not in {"…", "loading PyTorch …"}]


def is_refused(example: Shown) -> bool:
    return any(line.startswith("etude: ") for line in example.lines)


def check_words(example: Shown, words: list[str], known: set[str]) -> None:
    """Compose a command, and hold remarks, folders and a study's heading against its example."""
    try:
        planned, study = plan(words)
    except (UserError, HydraException) as error:
        if missing_extra(str(error)) is None:  # a launcher that is not installed here
            raise
        return
    if planned is None:
        return
    known |= {job.folder.name for job in planned.jobs}
    remarks = [line.removeprefix("note: ") for line in example.lines if line.startswith("note: ")]
    assert {remark for remark in remarks if "was made with" not in remark} <= {*planned.remarks}
    if study is not None:
        waiting = [job.config.epochs for job in planned.jobs]
        terminal.announce_study(study, runs=len(planned.jobs), waiting=waiting)


def check(example: Shown, known: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Hold one command against what its page shows of it."""
    command = example.command.replace("\\\n", " ")
    program, *words = shlex.split(command.removeprefix("uv run "), comments=True)
    program = Path(program).name
    if program in PREPARES:
        subprocess.run(["bash", "-euc", example.command], check=True)
    elif program == "make":
        assert re.search(rf"^{words[0]}:", text(ROOT / "Makefile"), flags=re.MULTILINE)
    elif program in PARSERS:
        PARSERS[program]().parse_args(words)
    elif program == "etude-summary":
        printed = output_of(lambda: summary.main(words), capsys)
        assert {*spoken(example.lines)} <= {*printed}
    elif program == "etude" and (is_refused(example) or (example.lines and "--cfg" in words)):
        printed = output_of(lambda: app.main(words), capsys)
        assert spoken(example.lines) == spoken(printed)
    elif program == "etude" and "--help" not in words:
        printed = output_of(lambda: check_words(example, words, known), capsys)
        heads = ("study ", "claim: ", "source: ")
        told = [line for line in example.lines if line.startswith(heads) or "arms ×" in line]
        assert {*told} <= {*printed}
    else:
        assert program in {"etude", *ELSEWHERE}, program


@pytest.mark.parametrize("page", PAGES, ids=named)
@pytest.mark.usefixtures("workplace")
def test_every_command_composes_and_its_folders_are_todays(
    page: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.setattr(terminal.console, "_width", 500)
    Path("photos", "train").mkdir(parents=True)
    known: set[str] = set()
    for example in shown(page):
        check(example, known, capsys)
        folders = FOLDER.findall("\n".join([example.command, *example.lines]))
        assert {*folders} - known == set(), example.command


def test_the_folders_that_pages_name_in_their_text_are_in_an_example():
    examples = {
        f for page in PAGES for e in shown(page) for f in FOLDER.findall("\n".join(e.lines))
    }
    for page in PAGES:
        assert {*FOLDER.findall(FENCED.sub("", text(page)))} <= examples


# Runs.


def etude(folder: Path, commands: str) -> str:
    """Type commands in a folder; give all that they print."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    words = ["bash", "-euc", commands]
    told = subprocess.run(
        words, check=False, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert told.returncode == 0, told.stderr
    return told.stderr + told.stdout


def without_digits(lines: list[str]) -> list[str]:
    """What is the same on every machine."""
    return [re.sub(r"[\d.]+", "0", re.sub(r"[ ━─]+", " ", line)).strip() for line in lines]


@pytest.mark.slow
def test_the_default_run_ends_as_the_readme_shows(tmp_path: Path):
    example = next(e for e in shown(README) if e.command == "etude")
    lines = [line for line in example.lines if line != "…"]
    told = etude(tmp_path, "etude").splitlines()[-len(lines) :]
    assert without_digits(told) == without_digits(lines)
    assert told[-2:] == lines[-2:]  # the folder and what to type next, digits and all


@pytest.mark.slow
def test_a_network_of_ones_own_is_added_as_it_says(tmp_path: Path):
    commands: list[str] = []
    for example in shown(ROOT / "docs" / "composing.md"):
        if commands or example.command.startswith("mkdir -p conf.d/model"):
            commands.append(example.command)
        with contextlib.suppress(StopIteration):
            if commands and (line := next(x for x in example.lines if x.startswith("folder "))):
                break
    assert sum("cat >" in command for command in commands) == 2
    assert line in etude(tmp_path, "\n".join(commands))
