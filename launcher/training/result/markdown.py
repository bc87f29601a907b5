"""Texts of others inside Markdown: labels, names of files, recipes. Whatever they hold, they are shown as they are."""

from __future__ import annotations

import itertools


def code(text: str) -> str:
    """A span of code, in one line, which shows the text."""
    line = " ".join(text.splitlines()) if text.strip() else "(blank)"
    longest = max((sum(1 for _ in run) for char, run in itertools.groupby(line) if char == "`"), default=0)
    fence = "`" * (longest + 1)
    room = " " if longest and (line.startswith("`") or line.endswith("`")) else ""
    return f"{fence}{room}{line}{room}{fence}"


def row(*cells: str) -> str:
    """A row of a table; a bar in a cell, also within code, would begin the next one."""
    shown = (cell.replace("|", "\\|") for cell in cells)
    return f"|{'|'.join(f' {cell} ' if cell else ' ' for cell in shown)}|"
