"""Lists that were written into a cell as text, as pandas, datasets and numpy write them. Nothing is evaluated.

    ["a", "b"]     JSON                     ('a', 'b')  {'a', 'b'}     a tuple, a set
    ['a', 'b']     a list of Python         ['a' 'b']                  an array of numpy
    []  ()  {}  set()                       nothing in it

Names stand between quotes; whole numbers may stand without. Other text in brackets is recognised by
`half_a_list`.
"""

from __future__ import annotations

import json
import re
from typing import Any

CLOSES = {"[": "]", "(": ")", "{": "}"}
EMPTY = re.compile(r"\[\s*\]|\(\s*\)|\{\s*\}|(?:frozen)?set\(\s*\)")
ITEM = re.compile(
    r"""\s*(?:'(?P<single>(?:[^'\\]|\\.)*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<number>-?\d{1,18})(?![\w.]))\s*(?P<comma>,?)"""
)
ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
BARE = re.compile(r"[^\[\](){}]*")


def list_in(cell: str) -> list[Any] | None:
    """What a list that is written in this cell holds; None where the cell is no list."""
    cell = cell.strip()
    if EMPTY.fullmatch(cell):
        return []
    if not cell or CLOSES.get(cell[0]) != cell[-1]:
        return None
    if cell[0] == "[":
        try:
            parsed = json.loads(cell)
        except (ValueError, RecursionError):
            pass
        else:
            return parsed if isinstance(parsed, list) else None
    return _items(cell[1:-1], of_numbers=cell[0] != "(" or "," in cell)


def half_a_list(cell: str) -> bool:
    """Whether the cell has the brackets of a list around no quoted names: `[sport, politics]`, `array([…])`."""
    cell = cell.strip()
    if re.fullmatch(r"\w+\(\s*[\[{(].*\)", cell, re.DOTALL):
        return True
    if not cell or cell[0] not in "[{" or CLOSES[cell[0]] != cell[-1]:
        return False
    return bool(BARE.fullmatch(cell[1:-1])) or ("'" in cell or '"' in cell)


def _items(inside: str, of_numbers: bool) -> list[Any] | None:
    items: list[Any] = []
    position = 0
    while position < len(inside):
        match = ITEM.match(inside, position)
        if match is None:
            return None if inside[position:].strip() else items
        if match["number"] is not None:
            if not of_numbers:
                return None
            items.append(int(match["number"]))
        else:
            items.append(ESCAPE.sub(_unescaped, match["single"] if match["single"] is not None else match["double"]))
        position = match.end()
    return items


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    return chr(int(code, 16)) if code else {"n": "\n", "t": "\t", "r": "\r"}.get(match[3], match[3])
