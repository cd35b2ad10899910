"""The documents' figures beside ours, arm by arm."""

from collections.abc import Sequence
from dataclasses import dataclass

from etude.report.results import Results, finished
from etude.report.words import NONE, number, spaced

TITLES = ("arm", "figure", "document", "asked for", "here", "agrees", "source")


@dataclass(frozen=True)
class DocumentFigure:
    """One figure of a document, and what the runs of one arm have instead.

    Args:
        arm: The arm's name.
        metric: Which figure.
        document: Its value there; None where the document states no number.
        rule: When a run agrees, in words.
        ours: Of each run that has it.
        agreeing: How many runs agree.
        judged: How many are the documented run, at its full length; others get no verdict.
        source: Where the document says so.
    """

    arm: str
    metric: str
    document: float | None
    rule: str
    ours: Sequence[float]
    agreeing: int
    judged: int
    source: str

    @property
    def verdict(self) -> str:
        """Say whether they agree."""
        if not self.judged:
            return NONE
        if self.judged == 1:
            return "yes" if self.agreeing else "NO"
        return (
            f"{'yes' if self.agreeing == self.judged else 'NO'}, {self.agreeing} of {self.judged}"
        )

    def texts(self) -> list[str]:
        """Give what a table shows, a cell for each of `TITLES`."""
        mean = sum(self.ours) / len(self.ours) if self.ours else None
        return [
            self.arm,
            spaced(self.metric),
            number(self.document),
            self.rule,
            number(mean),
            self.verdict,
            self.source,
        ]


def figures(results: Results) -> list[DocumentFigure]:
    """Collect every figure that the runs were held against."""
    found: list[DocumentFigure] = []
    for row in results.rows:
        lists = [run.summary.get("reference") or [] for run in finished(row.arm)]
        for same in zip(*lists, strict=False):
            first = same[0]
            verdicts = [figure["agrees"] for figure in same if figure["agrees"] is not None]
            ours = [figure["ours"] for figure in same if figure["ours"] is not None]
            found.append(
                DocumentFigure(
                    arm=row.label,
                    metric=first["metric"],
                    document=first["value"],
                    rule=first["rule"],
                    ours=ours,
                    agreeing=sum(verdicts),
                    judged=len(verdicts),
                    source=first["source"],
                )
            )
    return found
