"""Which steps of which attempt count, from what each attempt said of where it comes from."""

from __future__ import annotations

import pytest

from launcher.runs.lineage import follow, origin

NONE = {"continues": None}


def goes_on(attempt: int, step: int) -> dict[str, object]:
    return {"continues": origin(attempt, step)}


@pytest.mark.parametrize(
    ("told", "last"),
    [
        ([], {}),
        ([(1, None)], {}),
        ([(1, NONE)], {1: float("inf")}),
        ([(1, NONE), (2, None)], {1: float("inf")}),  # the second has not said anything yet
        ([(1, NONE), (2, goes_on(1, 40))], {1: 40, 2: float("inf")}),
        ([(1, NONE), (2, NONE)], {2: float("inf")}),  # begun anew
        ([(1, NONE), (2, goes_on(1, 40)), (3, goes_on(1, 40))], {1: 40, 3: float("inf")}),  # the second saved nothing
        ([(1, NONE), (2, goes_on(1, 40)), (3, goes_on(2, 70)), (4, None)], {1: 40, 2: 70, 3: float("inf")}),
        ([(2, goes_on(1, 40)), (1, NONE)], {1: 40, 2: float("inf")}),  # in any order
        ([(1, NONE), (10, goes_on(1, 5)), (2, goes_on(1, 9))], {1: 5, 10: float("inf")}),  # as numbers
    ],
)
def test_the_chain_of_attempts(told: list[tuple[int, dict[str, object] | None]], last: dict[int, float]) -> None:
    assert dict(follow(told).last) == last


def test_what_an_attempt_did_beyond_the_step_where_it_was_left_counts_no_more() -> None:
    chain = follow([(1, NONE), (2, goes_on(1, 40)), (3, goes_on(1, 40))])
    counting = {(attempt, step) for attempt in range(5) for step in (0, 39, 40, 41, 1000) if chain.holds(attempt, step)}
    assert counting == {(1, 0), (1, 39), (1, 40), *((3, step) for step in (0, 39, 40, 41, 1000))}
