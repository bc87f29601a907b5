"""The table of benchmarks/README.md, made from the records in benchmarks/results.

    python benchmarks/table.py          write it into the page
    python benchmarks/table.py --check  end with 1 where the page differs

A record is one JSON file: command, date, machine, commit (null where it was not noted), note (the page with the whole
story) and figures, each with what the launcher has, what the peer has and, where runs were paired, their ratio.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE / "README.md"
BEGIN, END = "<!-- made by table.py -->", "<!-- end -->"
HEAD = ("what", "launcher", "peer", "ratio", "date", "commit", "command")


def rows() -> list[tuple[str, ...]]:
    """A row for each figure, records by name."""
    told = []
    for path in sorted((HERE / "results").glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for number, figure in enumerate(record["figures"]):
            command = f"`{record['command']}` ([notes]({record['note']}))" if number == 0 else '"'
            told.append((*_cells(figure), record["date"], record["commit"] or "", command))
    return told


def _cells(figure: dict[str, Any]) -> tuple[str, str, str, str]:
    unit = f" {figure['unit']}" if figure["unit"] else ""
    peer = f"{figure['theirs']}{unit} ({figure['peer']})" if figure["peer"] else ""
    ratio = "" if figure["ratio"] is None else f"{figure['ratio']:.2f}"
    return figure["what"], f"{figure['launcher']}{unit}", peer, ratio


def page() -> str:
    """The page with today's table."""
    lines = [f"| {' | '.join(row)} |" for row in (HEAD, ("---",) * len(HEAD), *rows())]
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    return "\n".join([before + BEGIN, *lines, END + rest.split(END)[1]])


if __name__ == "__main__":
    made = page()
    if "--check" in sys.argv:
        sys.exit(0 if made == PAGE.read_text(encoding="utf-8") else "run: python benchmarks/table.py")
    PAGE.write_text(made, encoding="utf-8")
