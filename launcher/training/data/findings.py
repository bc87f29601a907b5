"""The problems found while data is read: all of them are kept, so that a user mends them in one go."""

from __future__ import annotations

from launcher.errors import DataError, Problem

SHOWN = 20
"""How many problems one error shows; the rest is counted."""


class Findings:
    """Problems by kind; the first ones of each kind in full, the others as a count."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Problem]] = {}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(self._counts.values())

    def add(self, kind: str, what: str, where: str = "", do: str = "") -> None:
        """Note one problem; `kind` says which problems are alike and is not shown."""
        kept = self._kept.setdefault(kind, [])
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if len(kept) < SHOWN:
            kept.append(Problem(what, where, do))

    def absorb(self, error: DataError) -> None:
        """Note the problems of a file that could not be read at all."""
        for problem in error.problems:
            self.add("file", problem.what, problem.where, problem.do)

    def raise_if_any(self) -> None:
        """Raise one DataError with every kind of problem, SHOWN of them in full, or do nothing."""
        if self._counts:
            raise DataError(self._problems())

    def _problems(self) -> list[Problem]:
        room = SHOWN
        shares = dict.fromkeys(self._kept, 0)
        while room and any(shares[kind] < len(kept) for kind, kept in self._kept.items()):
            for kind, kept in self._kept.items():
                if room and shares[kind] < len(kept):
                    shares[kind] += 1
                    room -= 1
        problems: list[Problem] = []
        for kind, kept in self._kept.items():
            problems += kept[: shares[kind]]
            rest = self._counts[kind] - shares[kind]
            if rest:
                problems.append(Problem(f"and {rest:,} more of this kind"))
        return problems
