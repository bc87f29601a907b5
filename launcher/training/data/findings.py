"""The problems found while data is read: all of them are kept, so that a user can fix them all at once."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.errors import DataError, Problem

SHOWN = 20
"""How many problems one error shows; the rest is counted."""
MOST_LOCATIONS = 5
"""How many locations are shown of a problem that occurs several times."""


@dataclass
class _Repeated:
    """A problem, and how often it occurred."""

    problem: Problem
    locations: list[str]
    """The first of its locations."""
    times: int = 1


class Findings:
    """Problems by kind; the first ones of each kind in full, the others as a count. Equal messages are shown once."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, _Repeated]] = {}
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(self._counts.values())

    def add(self, kind: str, what: str, where: str = "", do: str = "") -> None:
        """Note one problem; `kind` says which problems are alike and is not shown."""
        kept = self._kept.setdefault(kind, {})
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if what in kept:
            kept[what].times += 1
            kept[what].locations += [where] if len(kept[what].locations) < MOST_LOCATIONS else []
        elif len(kept) < SHOWN:
            kept[what] = _Repeated(Problem(what, where, do), [where])

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
            shown = list(kept.values())[: shares[kind]]
            problems += [_counted(repeated) for repeated in shown]
            rest = self._counts[kind] - sum(repeated.times for repeated in shown)
            if rest:
                problems.append(Problem(f"and {rest:,} more of this kind"))
        return problems


def _counted(repeated: _Repeated) -> Problem:
    """The problem, and where else it occurs: `reviews.csv row 3, 4, 9 and 12,088 more`."""
    problem, rest = repeated.problem, repeated.times - len(repeated.locations)
    first, *others = repeated.locations
    if not first:
        return problem if repeated.times == 1 else Problem(problem.what, f"{repeated.times:,} times", problem.do)
    file = first[: first.rfind(" ") + 1]
    where = ", ".join([first, *(other.removeprefix(file) if file else other for other in others)])
    return Problem(problem.what, where + (f" and {rest:,} more" if rest else ""), problem.do)
