"""A run's figures beside those of the document that it reproduces."""

from collections.abc import Mapping, Sequence

from etude.config import Reference
from etude.runs.records import Agreement, EpochRow


def compare(
    references: Sequence[Reference],
    rows: Sequence[EpochRow],
    results: Mapping[str, Mapping[str, float]],
    *,
    judged: bool,
) -> list[Agreement]:
    """Hold each figure against the run's own.

    Args:
        references: The document's figures.
        rows: Metrics, one row an epoch.
        results: The results called `best` and `final`.
        judged: Whether the run is the documented one, at its full length; if not, no verdict.
    """
    return [_compare(reference, rows, results, judged=judged) for reference in references]


def _compare(
    reference: Reference,
    rows: Sequence[EpochRow],
    results: Mapping[str, Mapping[str, float]],
    *,
    judged: bool,
) -> Agreement:
    place, _, metric = reference.metric.partition(".")
    if place in results:
        ours = results[place].get(metric)
    else:
        epoch = int(place.removeprefix("epoch_"))
        ours = next((row.get(metric) for row in rows if row["epoch"] == epoch), None)
    rule, agrees = _judge(reference, ours)
    return {
        "metric": reference.metric,
        "value": reference.value,
        "rule": rule,
        "source": reference.source,
        "ours": ours,
        "agrees": agrees if judged else None,
    }


def _judge(reference: Reference, ours: float | None) -> tuple[str, bool | None]:
    """Give the rule in words, and whether our figure keeps it."""
    rules: list[str] = []
    kept: list[bool] = []
    if reference.at_least is not None:
        rules.append(f"at least {reference.at_least:g}")
        kept.append(ours is not None and ours >= reference.at_least)
    if reference.tolerance is not None and reference.value is not None:
        rules.append(f"± {reference.tolerance:g}")
        kept.append(ours is not None and abs(ours - reference.value) <= reference.tolerance)
    return ", ".join(rules), all(kept) if kept and ours is not None else None
