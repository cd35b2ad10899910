"""The page of a bundle that a person reads first."""

from collections.abc import Iterator, Mapping, Sequence

from etude.base.duration import duration
from etude.base.text import counted
from etude.report.bundle.facts import ENERGY, contents, data, hours, machines
from etude.report.bundle.gather import Gathered
from etude.report.bundle.software import code, went_on
from etude.report.read import RunFolder
from etude.report.results import Results
from etude.report.words import listed


def prose(results: Results, gathered: Gathered, table: str, files: Mapping[str, str]) -> str:
    """Write it.

    Args:
        results: What the runs came to.
        gathered: The runs.
        table: The report's answer and tables, as Markdown.
        files: What the bundle has, by name, in words.
    """
    names, plan = listed(results.names), results.study
    lines = [f"# {names}", ""]
    if plan is not None:
        lines += [plan["question"], ""]
    if plan is not None and plan["claim"]:
        lines += [f"What the document says: {plan['claim']} ({plan['source']})", ""]
    lines += [table, "## What is here", "", "| file | what |", "|---|---|"]
    lines += [f"| `{name}` | {what} |" for name, what in files.items()]
    lines += ["", "## Made with", "", *_made_with(gathered), ""]
    lines += ["## Made again", "", *_again(gathered), ""]
    return "\n".join(lines)


def _made_with(gathered: Gathered) -> Iterator[str]:
    runs = [bundled.run for bundled in gathered.runs]
    yield from dict.fromkeys(
        f"- {code(one.run.environment, one.patch)}; `{one.lock}`" for one in gathered.runs
    )
    if count := went_on(runs):
        yield f"- {counted(count, 'run')} went on with other software than begun with"
    for machine, own in machines(runs).items():
        yield f"- {counted(len(own), 'run')} in {_lasted(own)} on {machine.told()}"
    unfinished = [run for run in runs if not run.state.has_result]
    lost = f", {_lasted(unfinished)} of them for runs without a result" if unfinished else ""
    yield f"- {_lasted(runs)} of computing in all{lost}; runs side by side count each"
    yield f"- energy: {ENERGY}"
    for digest, told in data(runs).items():
        counts = ", ".join(f"{told[split]} {split}" for split in ("train", "validation", "test"))
        yield f"- data {told['name']}, digest {digest}: {counts}"
    for key, digests in contents(runs).items():
        yield f"- {key}: {', '.join(digests)}"


def _lasted(runs: Sequence[RunFolder]) -> str:
    return duration(3600 * hours(runs))


def _again(gathered: Gathered) -> Iterator[str]:
    locks = list(dict.fromkeys(bundled.lock for bundled in gathered.runs))
    own = any("+" in text for text in gathered.locks.values())
    makers = "; one with a + in it is its maker's own build" if own else ""
    yield f"1. The versions: `pip install -r {locks[0] if locks else 'requirements.txt'}`{makers}."
    yield "2. Étude as it is named above; a `.patch` goes on top of its commit with `git apply`."
    yield "3. The data: a digest tells whether it is the same."
    yield "4. `sh reproduce.sh`, which says of each run whether it came to the same bits."
    yield ""
    yield (
        "That is to be expected on a processor of the same kind with these versions; elsewhere, "
        "sums round otherwise. `etude-report runs` makes the report once more from the copies here."
    )
