"""Results as Markdown, and as JSON beside it in `benchmarks/results/`."""

import json
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.rows import ROOT

FOLDER = ROOT / "benchmarks" / "results"
MARKS = {None: "", True: "met", False: "**missed**"}
SMALLEST = "This is the smallest form, to see that it runs: its sizes say nothing about goals."


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Lay cells out in columns; all but the first are to the right."""
    widths = [max(len(line[i]) for line in (head, *lines)) for i in range(len(head))]
    rule = [("-" if i == 0 else "") + "-" * (w - 1) + ("" if i == 0 else ":")
            for i, w in enumerate(widths)]  # fmt: skip

    def text(line: Sequence[str]) -> str:
        cells = (
            cell.ljust(w) if i == 0 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        return "| " + " | ".join(cells) + " |"

    return "\n".join(text(line) for line in (head, rule, *lines))


def quotient(value: float, digits: int = 2) -> str:
    """Write a quotient; a dash where there was nothing to divide by."""
    return "–" if isnan(value) else f"{value:.{digits}f}"


def row(name: str, result: dict[str, Any], rates: Mapping[str, float]) -> str:
    """Show one row of the contest: everybody's speed, then Étude's ratios.

    Args:
        name: The row's.
        result: What was measured.
        rates: Operations a second of a large matrix product, by precision.
    """
    title = (
        f"### {name}: batch {result['batch_size']}, {result['rounds']} rounds of "
        f"{result['steps']} steps"
    )
    speeds = [
        [
            contestant + " (auto)" * told.get("auto", False),
            f"{told['images_per_second']:,.0f}",
            f"{result['batch_size'] / told['images_per_second'] * 1e6:,.0f}",
            f"{told['peak_bytes'] / 2**20:,.0f}",
            _share(contestant, result, rates),
        ]
        for contestant, told in result["contestants"].items()
    ]
    head = ["contestant", "images/s", "µs a step", "peak MiB", "share of matmul rate"]
    ratios = table(
        ["ratio of images/s", "median", "quartiles", "goal", "", "CPU seconds", "µs a step more"],
        [_comparison(comparison) for comparison in result["comparisons"]],
    )
    return f"{title}\n\n{table(head, speeds)}\n\n{ratios}\n"


def _share(contestant: str, result: dict[str, Any], rates: Mapping[str, float]) -> str:
    """Give a step's operations a second as a share of a large matrix product's."""
    told = result["contestants"]
    precision = "bfloat16" if "bfloat16" in contestant else "float32"
    flops = next(each["step_flops"] for each in told.values() if "step_flops" in each)
    return f"{told[contestant]['steps_per_second'] * flops / rates[precision]:.0%}"


def _comparison(told: dict[str, Any]) -> list[str]:
    ratio = told["ratio"]
    return [
        f"{told['ours']} ÷ {told['theirs']}",
        f"{ratio['median']:.3f}",
        f"{ratio['low']:.3f}–{ratio['high']:.3f}",
        "" if told["goal"] is None else f"≥ {told['goal']:g}",
        MARKS[told["met"]],
        quotient(told["cpu_ratio"]["median"], digits=3),
        f"{told['overhead_us']:,.0f}",
    ]


def give(name: str, results: dict[str, Any], text: str, *, small: bool) -> None:
    """Print a benchmark's results, and save them unless they are of its smallest form."""
    print(text)
    if small:
        print(SMALLEST)
    else:
        save(name, results, text)


def save(name: str, results: dict[str, Any], text: str, *, device: str = "cpu") -> None:
    """Write a benchmark's results: `benchmarks/results/<device>-<name>.json` and `.md`."""
    FOLDER.mkdir(exist_ok=True)
    facts = machine.facts(device)
    path = FOLDER / f"{machine.slug(device)}-{name}"
    told = json.dumps({"machine": facts, **results}, indent=1)
    for suffix, content in {".json": told, ".md": f"{_headline(facts)}\n{text}"}.items():
        Path(f"{path}{suffix}").write_text(content.rstrip() + "\n", encoding="utf-8")
    print(f"written: {path.relative_to(ROOT)}.md and .json\n")


def _headline(facts: dict[str, Any]) -> str:
    """Show what a result was measured on, and with which command."""
    return (
        f"{facts['device']}, {facts['cores']} cores ({' '.join(facts['flags'])}), "
        f"{facts['date']}, commit {facts['commit']}{' with changes' * facts['changed']}\n\n"
        f"    {facts['command']}\n"
    )
