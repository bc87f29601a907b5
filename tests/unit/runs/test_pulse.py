"""What a rank counts of its own getting on, by stage."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from launcher.runs import pulse


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pulse.Pulse:
    made = pulse.Pulse(tmp_path / "pulse.json", 30.0)
    monkeypatch.setattr(pulse, "_mine", made)
    return made


def test_a_stage_is_entered_once(mine: pulse.Pulse) -> None:
    pulse.section("testing", 7, 20)
    assert (mine.section, mine.stage, mine.count) == ("testing", "testing", 1)
    pulse.enter("evaluating")
    pulse.enter("evaluating")
    assert (mine.section, mine.stage, mine.count) == ("testing", "evaluating", 2)


def test_a_beat_says_how_slow_this_stage_was_before_and_what_it_may_take(mine: pulse.Pulse) -> None:
    pulse.tick("evaluating")
    mine.ticked -= 50
    pulse.tick("measuring", allowed=120.0)
    mine.beat()
    told = json.loads(mine.path.read_text(encoding="utf-8"))
    assert (told["stage"], told["allowed"], told["usual"]) == ("measuring", 120.0, None)
    pulse.enter("evaluating")
    mine.beat()
    told = json.loads(mine.path.read_text(encoding="utf-8"))
    assert (told["stage"], told["allowed"]) == ("evaluating", 0.0) and 50 <= told["usual"] < 60


def test_where_nobody_watches_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "_mine", None)
    pulse.section("testing", 7, 20)
    pulse.enter("evaluating")
    with pulse.at_the_disk():
        pulse.tick()
    assert pulse._mine is None


def test_the_files_in_which_a_rank_waits_are_where_it_says() -> None:
    roots = [Path(find_spec(name).submodule_search_locations[0]).parent for name in ("launcher", "torch", "deepspeed")]
    sharding = roots[1] / "torch/distributed/fsdp"
    for place in pulse.MEETING_PLACES:
        assert any((root / place[1:]).is_file() for root in (*roots, sharding)), place
    assert len(pulse.MEETING_PLACES) == 9
