"""Tables of which one column has long names, for terminals of every width: no number is cut."""

from collections.abc import Collection, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from etude.base.text import fold, fold_first

_NARROWEST = 20  # characters of a column of long names beside others
_EDGES = 2

Rows = Sequence[Sequence[str]]


def fitted(
    heading: Sequence[str],
    rows: Rows,
    width: int,
    *,
    long: int = 0,
    left: Collection[str] = (),
) -> RenderableType:
    """Lay out a table of which one column may be long.

    That column goes on in the next line, at a place where no number and no hash is cut. In a
    terminal that is too narrow for it, it stands in lines of its own, above or below the others.

    Args:
        heading: The columns' titles, which may have several lines.
        rows: Their texts.
        width: Of the terminal.
        long: The place of the column that gives way.
        left: Other columns that are no numbers, by their titles.
    """
    others = [place for place in range(len(heading)) if place != long]
    titles = [max(title.split("\n"), key=len) for title in heading]
    whole = [[row[long], *(row[place] for place in others)] for row in (titles, *rows)]
    names = fold_first(whole, width)
    if not _has_room(names, whole, width):
        return _stacked(heading, rows, width, long, left)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place, title in enumerate(heading):
        own = place == long or title in left
        shown = names[0] if place == long and "\n" not in title else title
        table.add_column(shown, justify="left" if own else "right", no_wrap=True)
    for name, row in zip(names[1:], rows, strict=True):
        table.add_row(*map(escape, [*row[:long], name, *row[long + 1 :]]))
    return table


def _has_room(names: Sequence[str], whole: Rows, width: int) -> bool:
    """Whether long names, as they were folded, go beside the other columns."""
    others = sum(2 + max(map(len, column)) for column in list(zip(*whole, strict=True))[1:])
    longest = max(len(row[0]) for row in whole)
    folded = max(len(line) for name in names for line in name.split("\n"))
    room = width - _EDGES - others
    return folded <= room and room >= min(_NARROWEST, longest)


def _stacked(
    heading: Sequence[str], rows: Rows, width: int, long: int, left: Collection[str]
) -> Text:
    """Put the long names into lines of their own; the other cells stay below each other."""
    others = [place for place in range(len(heading)) if place != long]
    shown = [heading[place].split("\n") for place in others]
    height = max(map(len, shown), default=0)
    titles = [[""] * (height - len(own)) + own for own in shown]
    widths = [
        max(map(len, [*own, *(row[place] for row in rows)]))
        for own, place in zip(titles, others, strict=True)
    ]
    sides = [heading[place] in left for place in others]
    head = [_line(cells, widths, sides) for cells in zip(*titles, strict=True)]
    lines = [heading[long], *head] if not long else [*head, f"  {heading[long]}"]
    for row in rows:
        cells = _line([row[place] for place in others], widths, sides)
        names = fold(row[long], width - 2).split("\n")
        lines += [*names, cells] if not long else [cells, *(f"  {name}" for name in names)]
    return Text("\n".join(lines), no_wrap=True, overflow="ignore")


def _line(cells: Sequence[str], widths: Sequence[int], left: Sequence[bool]) -> str:
    parts = zip(cells, widths, left, strict=True)
    texts = (cell.ljust(n) if is_left else cell.rjust(n) for cell, n, is_left in parts)
    return f"  {'  '.join(texts)}".rstrip()
