"""A report's tables as files: for other programs, for a README, for a paper."""

import csv
import io
from collections.abc import Mapping, Sequence

from etude.report.answer import Sentence
from etude.report.arms import axes
from etude.report.layers import records
from etude.report.read import RunFolder
from etude.report.references import TITLES, DocumentFigure
from etude.report.results import ArmResults, Results
from etude.report.statistics import Spread
from etude.report.table import columns, remarks

_LATEX = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
          "±": r"$\pm$", "−": r"$-$", "–": "--", "<": r"$<$", "λ": r"$\lambda$",
          ">": r"$>$", "≤": r"$\leq$", "≥": r"$\geq$", "×": r"$\times$", "→": r"$\to$"}  # fmt: skip


def arms_csv(results: Results) -> str:
    """Write one line an arm, every number in full."""
    names = axes([row.arm for row in results.rows])
    return _csv([_arm(row, results, names) for row in results.rows])


def runs_csv(results: Results) -> str:
    """Write one line a run, every hyperparameter included."""
    return _csv([_run(row.label, run) for row in results.rows for run in row.arm.runs])


def layers_csv(results: Results) -> str:
    """Give every layer of every run before its first step; nothing where none was recorded."""
    found = list(records(results))
    return _csv(found) if found else ""


def markdown(
    results: Results, sentences: Sequence[Sentence], figures: Sequence[DocumentFigure]
) -> str:
    """Write the answer and the tables for a README."""
    shown = columns(results)
    lines = [f"- {sentence.text}" for sentence in sentences]
    lines += ["", _line([column.title for column in shown])]
    lines.append(_line([":--" if column.left else "--:" for column in shown]))
    lines += [_line([c.cell(row, results).text for c in shown]) for row in results.rows]
    if figures:
        lines += ["", _line(TITLES), _line([":--"] * len(TITLES))]
        lines += [_line(figure.texts()) for figure in figures]
    return "\n".join(lines) + "\n"


def latex(results: Results) -> str:
    """Write the table of arms for a paper, with the rules of the package booktabs."""
    shown = columns(results)
    layout = "".join("l" if column.left else "r" for column in shown)
    lines = [rf"\begin{{tabular}}{{{layout}}}", r"\toprule"]
    lines.append(_row_of_latex([column.title for column in shown]))
    lines.append(r"\midrule")
    lines += [_row_of_latex([c.cell(row, results).text for c in shown]) for row in results.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _arm(row: ArmResults, results: Results, names: Sequence[str]) -> Mapping[str, object]:
    d, none = row.difference, (None, None)
    plain, holm = (d and d.interval()) or none, row.interval or none
    return {
        "arm": row.label,
        **{f"axis {name}": row.arm.levels.get(name) for name in names},
        "runs": len(row.arm.runs),
        **row.states,
        **_spread("", row.result),
        "metric": results.metric,
        **_spread("other_", row.other),
        "baseline": results.baseline,
        "difference": d.mean if d else None,
        "difference_low": plain[0],
        "difference_high": plain[1],
        "method": d.method if d else None,
        "p": d.p if d else None,
        "difference_low_holm": holm[0],
        "difference_high_holm": holm[1],
        "p_holm": row.p,
        "seconds": row.median("seconds"),
        "images_per_second": row.median("images_per_second"),
        "peak_memory_bytes": row.median("peak_memory_bytes"),
        "remarks": remarks(row, results),
    }


def _spread(prefix: str, spread: Spread | None) -> dict[str, float | None]:
    names = ("count", "mean", "deviation", "low", "high")
    return {f"{prefix}{name}": getattr(spread, name) if spread else None for name in names}


def _run(label: str, run: RunFolder) -> Mapping[str, object]:
    keys = ("seconds", "images_per_second", "peak_memory_bytes", "device", "precision", "scale",
            "fingerprint", "selection", "error")  # fmt: skip
    results = {
        f"{place}.{key}": value
        for place in ("final", "best")
        for key, value in run.summary.get(place, {}).items()
    }
    return {
        "arm": label,
        "name": run.name,
        "seed": run.seed,
        "state": run.state,
        "epochs": run.epochs,
        **results,
        **{key: run.summary.get(key) for key in keys},
        "parameters": run.summary.get("parameters", {}).get("trainable"),
        "folder": str(run.folder),
        **{key: value for key, value in run.hyperparameters.items() if key != "seed"},
    }


def _csv(rows: Sequence[Mapping[str, object]]) -> str:
    names = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _row_of_latex(cells: Sequence[str]) -> str:
    escaped = ("".join(_LATEX.get(letter, letter) for letter in cell) for cell in cells)
    return " & ".join(escaped) + r" \\"
