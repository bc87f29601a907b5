"""Fields that came later, in digests."""

from __future__ import annotations

from launcher.recipe.later import as_digested


def test_what_came_later_counts_where_it_is_used_and_in_no_dict_of_a_users_own() -> None:
    before = {"kind": "Table", "train": {"start": "zero"}, "options": {"columns": None}}
    assert as_digested({"data": {**before, "columns": None, "augment": None}}) == {"data": before}
    assert as_digested({**before, "columns": ["a"]}) == {**before, "columns": ["a"]}
