"""Who stands still is told from who is slow and from who waits: the judge of pulses, with simulated clocks."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from launcher.host.vital_signs import Signs
from launcher.runs.watchdog import MOST_BETWEEN_LOOKS, Clock, Hang, Judge


@dataclass
class Rank:
    """A simulated one; a second of time adds `computes` seconds of processor and `moves` bytes."""

    section: str = "training"
    stage: str = "training"
    step: int = 0
    count: int = 0
    computes: float = 1.0
    moves: int = 0
    state: str = "R"
    more: dict[str, Any] = field(default_factory=dict)
    processor: float = 0.0
    moved: int = 0
    deep: bool = False
    mute: bool = False
    said: dict[str, Any] = field(default_factory=dict)

    def gets_on(self, step: int | None = None, **changes: Any) -> None:
        self.count += 1
        self.step = self.step + 1 if step is None else step
        self.does(**changes)

    def does(self, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(self, name, value)

    def signs(self, now: float, passed: float) -> Signs:
        self.processor += self.computes * passed
        self.moved += int(self.moves * passed)
        if not (self.mute and self.said):
            told = {"section": self.section, "stage": self.stage, "step": self.step, "count": self.count}
            self.said = {**told, "time": now, "at": "loop.py:1 f", **self.more}
        return Signs(self.said, self.state, self.processor, self.moved, self.state == "R", self.deep)


WAITS = {"computes": 0.0, "state": "S", "more": {"waits": True}}
SLEEPS: dict[str, Any] = {"computes": 0.0, "state": "S", "more": {}}
SPINS: dict[str, Any] = {"computes": 1.0, "state": "R", "more": {"in_call": 0.0}}


class World:
    """Ranks, a judge, and the time."""

    def __init__(self, ranks: int = 2, hang_seconds: float = 30.0, alone: bool = True):
        self.judge, self.now = Judge(), 0.0
        self.judge.begin(hang_seconds, alone)
        self.ranks = {rank: Rank() for rank in range(ranks)}

    def look(self, passed: float = 1.0) -> Hang | None:
        self.now += passed
        return self.judge.look(self.now, {number: rank.signs(self.now, passed) for number, rank in self.ranks.items()})

    def wait(self, seconds: float) -> Hang | None:
        """Look each second, until one is found or the time is over."""
        for _ in range(round(seconds)):
            if found := self.look():
                return found
        return None

    def work(self, steps: int = 20, seconds: float = 1.0) -> None:
        """Steps that take so long; nobody is to be blamed."""
        for _ in range(steps):
            assert self.wait(seconds) is None
            for rank in self.ranks.values():
                rank.gets_on()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_hundred_thousand_jittered_steps_raise_no_alarm(seed: int) -> None:
    dice, world = random.Random(seed), World()
    usual = dice.choice([0.05, 0.7, 4.0])
    due = dict.fromkeys(world.ranks, 0.0)
    left = {rank: 34_000 for rank in world.ranks}
    while any(left.values()):
        assert world.look(dice.uniform(0.9, 1.1)) is None
        for number, rank in world.ranks.items():
            while left[number] and due[number] <= world.now:
                rank.gets_on()
                left[number] -= 1
                # most are as usual; some take many times as long: a busy machine, a long row, a checkpoint
                due[number] += usual * dice.choice([1, 1, 1, 1, 1, dice.uniform(0.2, 3), dice.uniform(1, 7)])


def test_slow_evaluations_slow_disks_and_slow_starts_raise_no_alarm() -> None:
    dice, world = random.Random(5), World()
    everybody = world.ranks.values()

    def all_do(section: str, stage: str, seconds: float, **changes: Any) -> None:
        for rank in everybody:
            rank.gets_on(rank.step, section=section, stage=stage, **{**SPINS, "deep": False, "moves": 0, **changes})
        assert world.wait(seconds) is None

    all_do("starting", "importing", 60, **SLEEPS)
    all_do("starting", "loading", 250, moves=50_000_000)
    all_do("training", "training", 200)  # a first step that compiles
    for _ in range(30):
        world.work(5, dice.uniform(1, 8))
        for _ in range(dice.randint(1, 6)):
            all_do("evaluating", "evaluating", dice.uniform(5, 28))
        all_do("saving", "saving", 400, deep=True, **SLEEPS)
        all_do("saving", "saving", 280, **{**SLEEPS, "more": {"disk": True}})
        all_do("saving", "saving", 900, moves=4_000_000)
        all_do("training", "training", 1)
    # rank 0 proves the model, layer by layer, and the others wait for it
    world.ranks[1].does(**WAITS)
    for _ in range(50):
        world.ranks[0].gets_on(9, section="saving", stage="proving")
        assert world.wait(dice.uniform(5, 25)) is None
    # and counts for as long as so many targets allow
    world.ranks[0].gets_on(9, stage="measuring", more={"allowed": 300.0})
    assert world.wait(290) is None


@pytest.mark.parametrize("section", ["starting", "rehearsing", "training", "evaluating", "saving", "testing"])
@pytest.mark.parametrize("how", [SPINS, SLEEPS])
def test_in_every_section_the_one_that_does_not_wait_is_named(section: str, how: dict[str, Any]) -> None:
    world = World(3)
    if section != "starting":
        world.work()
    for number, rank in world.ranks.items():
        rank.gets_on(7, section=section, stage=section, **(how if number == 1 else WAITS))
    began = world.now
    found = world.wait(40)
    assert found is not None and world.now - began <= 33
    assert (found.rank, found.waiting) == (1, (0, 2))
    assert found.doing == ("spinning" if how is SPINS else "sleeping")


def test_a_stopped_process_is_seen_in_a_third_of_the_time_whatever_it_did() -> None:
    for section in ("starting", "training", "saving"):
        world = World()
        world.work()
        world.ranks[0].gets_on(5, section=section, stage=section)
        world.ranks[1].gets_on(5, section=section, stage=section)
        assert world.look() is None
        world.ranks[1].does(state="T", computes=0.0, mute=True)
        world.ranks[0].does(**WAITS)
        found = world.wait(13)
        assert found is not None and (found.rank, found.doing) == (1, "stopped")


def test_one_that_goes_on_soon_is_let_be() -> None:
    world = World()
    world.work()
    for _ in range(20):
        world.ranks[1].does(state="T")
        assert world.wait(8) is None
        world.ranks[1].does(state="R")
        world.work(2)


def test_who_waits_is_never_blamed_as_long_as_one_does_not() -> None:
    world = World(4)
    world.work()
    for number, rank in world.ranks.items():
        rank.does(**(WAITS if number else {**SLEEPS, "more": {"disk": True}}))
    found = world.wait(400)
    assert found is not None and found.rank == 0 and world.now > 300, "a disk is waited for longer"


def test_a_backward_pass_without_a_processor_waits_and_with_one_computes() -> None:
    world = World()
    world.work()
    world.ranks[0].does(computes=0.0, state="S", more={"backward": True})
    world.ranks[1].does(**SPINS)
    found = world.wait(40)
    assert found is not None and found.rank == 1 and found.waiting == (0,)


def test_all_wait_for_each_other() -> None:
    world = World()
    world.work()
    for rank in world.ranks.values():
        rank.does(**WAITS)
    assert world.wait(55) is None
    found = world.wait(10)
    assert found is not None and found.doing == "waiting"
    elsewhere = World(alone=False)
    elsewhere.work()
    for rank in elsewhere.ranks.values():
        rank.does(**WAITS)
    assert elsewhere.wait(1700) is None, "the one that hangs is on another machine, and judged there"


def test_one_alone_has_ten_times_its_slowest_or_the_limit() -> None:
    world = World(1)
    world.work(20, seconds=6)
    world.ranks[0].does(**SLEEPS)
    assert world.wait(58) is None
    assert world.wait(5) is not None
    fresh = World(1)
    fresh.ranks[0].does(section="starting", stage="loading", **SPINS)
    assert fresh.wait(295) is None, "nothing is known of how long it takes to load"
    assert fresh.wait(10) is not None


def test_what_was_too_quick_to_be_seen_the_rank_tells_itself() -> None:
    world = World(1)
    world.ranks[0].gets_on(12, more={"usual": 0.02, "in_call": 0.0})
    assert world.look() is None
    assert world.wait(33) is not None
    slow = World(1)
    slow.ranks[0].gets_on(12, more={"usual": 9.0, "in_call": 0.0})
    assert slow.wait(88) is None


def test_one_slow_step_is_forgotten_in_time() -> None:
    world = World(1)
    world.work(5)
    world.work(1, seconds=20)
    world.work(300, seconds=1)
    world.ranks[0].does(**SPINS)
    assert world.wait(33) is not None


def test_native_code_at_work_is_not_python_that_spins() -> None:
    world = World()
    for rank in world.ranks.values():
        rank.does(section="starting", stage="loading")
    assert world.look() is None
    world.ranks[0].does(**WAITS)
    for second in range(280):
        world.ranks[1].more = {"in_call": float(second)}
        assert world.look() is None


def test_a_rank_that_cannot_even_tell_what_it_does_is_given_time() -> None:
    world = World()
    world.work()
    world.ranks[0].does(**WAITS)
    world.ranks[1].does(mute=True)
    assert world.wait(280) is None
    found = world.wait(30)
    assert found is not None and found.rank == 1


def test_a_stage_that_was_killed_as_hung_gets_twice_as_long() -> None:
    world = World(1)
    world.work()
    world.ranks[0].does(**SLEEPS)
    assert world.wait(33) is not None
    world.judge.begin(30.0, alone=True)
    assert world.wait(58) is None
    assert world.wait(5) is not None


def test_the_looker_s_own_sleep_is_not_held_against_anybody() -> None:
    clock = Clock()
    assert clock.awake(100.0) == 0.0
    assert clock.awake(101.5) == 1.5
    assert clock.awake(9000.0) == 1.5 + MOST_BETWEEN_LOOKS
