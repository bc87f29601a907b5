"""Rows that wait, by length: the oldest is always among those that are computed next, and its neighbours with it."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import inf
from typing import NamedTuple

from launcher.serving.served import Row
from launcher.serving.work import Work


class Waiting(NamedTuple):
    """One row: its cost and its number come first, by which rows are sorted."""

    cost: int
    number: int
    work: Work
    place: int
    """Which of the request's texts it is."""
    row: Row

    def __lt__(self, other: tuple[object, ...]) -> bool:
        return self[:2] < other[:2]


class Pool:
    """`add` rows, `take` the next batch."""

    def __init__(self, most_rows: int, most_tokens: int):
        self.most_rows, self.most_tokens = most_rows, most_tokens
        self.by_cost: list[Waiting] = []
        self.by_age: deque[Waiting] = deque()
        self.taken: set[int] = set()
        """Numbers of rows that `by_age` still has."""
        self.count = 0

    def __bool__(self) -> bool:
        return bool(self.by_cost)

    def add(self, work: Work, place: int, row: Row) -> None:
        """A row waits."""
        self.count += 1
        waiting = Waiting(row.cost, self.count, work, place, row)
        insort(self.by_cost, waiting)
        self.by_age.append(waiting)

    def take(self) -> list[Waiting]:
        """The oldest row that somebody waits for, and those next to it in length that fit in; [] if there is none."""
        self._forget_the_dropped()
        while self.by_age and self.by_age[0].number in self.taken:
            self.taken.discard(self.by_age.popleft().number)
        if not self.by_age:
            return []
        low = bisect_left(self.by_cost, self.by_age[0])
        high, own = low + 1, self.by_age[0].cost
        while high - low < self.most_rows and (low or high < len(self.by_cost)):
            longer = self.by_cost[high].cost - own if high < len(self.by_cost) else inf
            shorter = own - self.by_cost[low - 1].cost if low else inf
            up = longer <= shorter
            if (high - low + 1) * self.by_cost[high if up else high - 1].cost > self.most_tokens:
                break
            low, high = (low, high + 1) if up else (low - 1, high)
        batch = self.by_cost[low:high]
        del self.by_cost[low:high]
        self.taken.update(waiting.number for waiting in batch)
        return batch

    def _forget_the_dropped(self) -> None:
        if any(waiting.work.dropped() for waiting in self.by_cost):
            self.by_cost = [waiting for waiting in self.by_cost if not waiting.work.why_dropped]
            kept = {waiting.number for waiting in self.by_cost}
            self.by_age = deque(waiting for waiting in self.by_age if waiting.number in kept)
            self.taken.clear()
