"""Tables and running text of a width that a terminal has; Chinese takes two columns a character."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence

from launcher.printing import one_line

WIDTH_OF_A_FILE = 100
"""Columns of what is not printed on a terminal."""
NARROWEST = 12
"""Columns that are left for a first column that is folded."""
GAP = "  "

Rows = Sequence[Sequence[str]]


def terminal_width() -> int | None:
    """Columns of the terminal that is printed on, or what COLUMNS says; None where neither is known."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit():
        return max(40, shutil.get_terminal_size().columns)
    return None


def width_of(rows: Rows) -> int:
    """Columns that a table takes."""
    return sum(_widths(rows)) + len(GAP) * (len(rows[0]) - 1)


def without(rows: Rows, spared: Iterable[str], width: int | None) -> Rows:
    """The table without as many of these columns, in this order, as must go for it to fit."""
    for name in spared:
        if width is None or width_of(rows) <= width:
            break
        index = list(rows[0]).index(name)
        rows = [[*row[:index], *row[index + 1 :]] for row in rows]
    return rows


def print_table(rows: Rows, width: int | None = None, below: Sequence[Sequence[str]] = ()) -> None:
    """Columns as wide as their widest cell, the first row being their names. Nothing is cut: where a table is too wide,
    a long first cell has a line of its own, so that a run's name can be copied.

    `below` holds, for each row after the names, pieces of text that are printed on lines below it.
    """
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = _widths(rows)
    if width is not None:
        widths[0] = min(widths[0], max(NARROWEST, width - width_of(rows) + widths[0]))
    for number, row in enumerate(rows):
        first = row[0]
        if cells_of(first) > widths[0]:
            print("\n".join(folded(first, width or cells_of(first))))
            first = ""
        cells = zip([first, *row[1:]], widths, strict=True)
        print(GAP.join(cell + " " * (wide - cells_of(cell)) for cell, wide in cells).rstrip())
        if number and below:
            for line in flowing(below[number - 1], width or WIDTH_OF_A_FILE, "    "):
                print(line)


def flowing(pieces: Iterable[str], width: int, indent: str = "", joint: str = ", ") -> list[str]:
    """Pieces of text one after the other, in as many lines as they take; a piece is broken only where it must be."""
    lines: list[str] = []
    for piece in map(one_line, pieces):
        if lines and len(indent) + cells_of(lines[-1] + joint + piece) < width:
            lines[-1] += joint + piece
            continue
        if lines:
            lines[-1] += joint.rstrip()
        lines += folded(piece, width - len(indent) - 1)
    return [indent + line for line in lines]


def folded(text: str, width: int) -> list[str]:
    """The text in lines of at most so many columns."""
    from rich.cells import chop_cells

    return [text] if cells_of(text) <= width else chop_cells(text, width)


def cells_of(text: str) -> int:
    """Columns of a terminal that the text takes."""
    from rich.cells import cell_len

    return cell_len(text)


def _widths(rows: Rows) -> list[int]:
    return [max(cells_of(row[column]) for row in rows) for column in range(len(rows[0]))]
