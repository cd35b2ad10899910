"""Pieces of the page: tables that sort, and figures."""

from collections.abc import Sequence
from html import escape

from etude.report.drawings import Drawing
from etude.report.table import Cell

# The headings as title, hint and whether text stands left; then the rows as class and cells.
Table = tuple[Sequence[tuple[str, str, bool]], Sequence[tuple[str, Sequence[Cell]]]]


def table(name: str, content: Table, *, html: int | None = None) -> str:
    """Write a table that sorts; the column `html` is markup already."""
    heads, rows = content
    head = "".join(
        f'<th scope="col"{_class(left)}{_tip(hint)}><button>{escape(title)}</button></th>'
        for title, hint, left in heads
    )
    lines: list[str] = []
    for kind, cells in rows:
        line: list[str] = []
        for index, (cell, (title, _, left)) in enumerate(zip(cells, heads, strict=True)):
            text = cell.text if index == html else escape(cell.text)
            value = "" if cell.value is None else escape(str(cell.value))
            wrap = title in {"remarks", "remark", "source", "arm"}
            line.append(f'<td{_class(left, wrap)} data-v="{value}">{text}</td>')
        lines.append(f'<tr class="{kind}">{"".join(line)}</tr>')
    return (
        f'<div class="scroll"><table id="{name}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _class(left: bool, wrap: bool = False) -> str:  # noqa: FBT001, FBT002
    names = ["l"] * left + ["wrap"] * wrap
    return f' class="{" ".join(names)}"' if names else ""


def _tip(hint: str) -> str:
    return f' data-tip="{escape(hint)}"' if hint else ""


def panels(drawings: Sequence[Drawing]) -> str:
    """Put figures beside each other, as many as the screen has room for."""
    content = "".join(
        f"<figure><h3>{escape(drawing.chart.title)}</h3>{drawing.svg}</figure>"
        for drawing in drawings
    )
    return f'<div class="panels">{content}</div>' if content else ""
