"""What is shown of a run while it goes on, and how long it says the rest will take."""

from __future__ import annotations

import io
import random
import sys
import time
from pathlib import Path

import pytest

from launcher.cli.display import Progress
from launcher.host import machine_facts
from launcher.host.facts import Facts
from launcher.json_files import write_json
from launcher.json_lines import append_line
from launcher.plan import plan as planning
from launcher.plan.placement import Placement
from launcher.plan.plan import Plan
from launcher.recipe.recipe import LoadedRecipe
from launcher.runs.news import News
from launcher.runs.pace import Pace
from launcher.runs.run_folder import RunFolder


@pytest.fixture
def plan(tmp_path: Path, loaded: LoadedRecipe) -> Plan:
    facts, prepared = Facts(cores=8, memory_bytes=1 << 34), {"folder": str(tmp_path), "rows": {"train": 1600}}
    return planning.make(loaded, facts, Placement(processes=1, device="cpu"), prepared, machine_facts.versions())


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "r")
    made.new_attempt()
    return made


def event(step: int, attempt: int = 1, rate: float = 160.0, when: float = 0.0) -> dict[str, object]:
    numbers = {"loss": 0.5, "learning_rate": 0.1, "examples_per_second": rate}
    return {"step": step, **numbers, "attempt": attempt, "time": when}


def shown(news: News) -> list[str]:
    return [line for _, line in news.look()]


def test_what_the_start_does_is_told_once(folder: RunFolder, plan: Plan) -> None:
    news = News(folder, plan)
    assert shown(news) == ["importing libraries"] and shown(news) == []
    told = []
    for stage in ("starting", "building the model", "building the model", "making the first step"):
        write_json(folder.attempt(1).pulse(0), {"section": "starting", "step": 0, "stage": stage})
        told += shown(news)
    assert told == ["reading the recipe", "building the model", "making the first step"]
    write_json(folder.attempt(1).pulse(0), {"section": "training", "step": 1, "stage": "training"})
    append_line(folder.events, event(1))
    assert shown(news) == ["step 1/200  loss 0.5000  learning rate 1.00e-01  160.0 examples/s"]
    assert (news.doing, news.step) == ("training", 1)
    write_json(folder.attempt(1).pulse(0), {"section": "evaluating", "step": 1})
    append_line(folder.evaluations, {"step": 1, "attempt": 1, "accuracy": 0.5})
    assert shown(news) == ["step 1/200  validation  accuracy 0.5000"]


def test_only_what_is_new_and_of_the_newest_attempt_is_told(folder: RunFolder, plan: Plan) -> None:
    append_line(folder.events, event(1))
    append_line(folder.evaluations, {"step": 1, "attempt": 1, "accuracy": 0.5})
    news = News(folder, plan)
    shown(news)
    append_line(folder.events, event(2))
    folder.new_attempt()
    append_line(folder.attempt(2).notes, {"note": "attempt 1 broke"})
    append_line(folder.events, event(2, attempt=2))
    assert [line.split("  ")[0] for line in shown(news)] == ["attempt 1 broke", "step 2/200"]
    append_line(folder.events, event(3))  # from one that was left behind
    assert shown(news) == []


@pytest.mark.parametrize("damage", ['{"attempt": 1}', '{"attempt": 1, "step": "x", "loss": null}', "[1]", "\x00"])
def test_damage_is_not_shown_and_ends_nothing(
    folder: RunFolder, plan: Plan, damage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(folder, plan, to_stderr=False)
    folder.events.write_text(damage + "\n")
    folder.attempt(1).pulse(0).write_text("{")
    progress.tick()
    folder.attempt(1).pulse(0).unlink()
    append_line(folder.events, event(2))
    progress.close()
    assert "step 2/200" in capsys.readouterr().out


def test_a_look_costs_the_same_however_long_the_log_is(folder: RunFolder, plan: Plan) -> None:
    """100,000 lines: 0.8 s of processor a look where all of them are read; what is asked here allows a hundredth."""
    append_line(folder.events, event(1))
    folder.events.write_text(folder.events.read_text() * 100_000)
    progress = Progress(folder, plan, to_stderr=False)
    before = time.process_time()
    for _ in range(50):
        progress.next_look = 0.0
        progress.tick()
    assert time.process_time() - before < 0.4


def test_on_a_terminal_the_bar_tells_the_time_left(
    folder: RunFolder, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    progress = Progress(folder, plan, to_stderr=False)
    progress.tick()
    assert progress.bar is not None
    progress.bar.refresh()
    for step in range(1, 5):
        append_line(folder.events, event(step, rate=16.0, when=float(step)))
    write_json(folder.attempt(1).pulse(0), {"section": "training", "step": 4})
    append_line(folder.attempt(1).notes, {"note": "a word"})
    progress.close()
    told = screen.getvalue()
    assert "importing libraries" in told and "a word" in told
    assert "3:16 left" in told and "4/200" in told and "step 4/" not in told


def paces(seconds: list[float], beside: dict[int, float], every: int = 1) -> dict[int, float | None]:
    """What is said of the time left after each logged step, of steps that take so long; `beside` is what else does."""
    pace, now, told, stepped = Pace(16), 0.0, {}, 0.0
    for step, took in enumerate(seconds, start=1):
        now, stepped = now + took, stepped + took
        if step == 1 or step % every == 0:
            since = 1 if step == 1 else min(every, step - 1) if step == every else every
            pace.hear(event(step, rate=16 * since / stepped, when=now))
            told[step], stepped = pace.left(len(seconds)), 0.0
        now += beside.get(step, 0.0)
    return told


@pytest.mark.parametrize("every", [1, 10])
@pytest.mark.parametrize("evaluation", [0.0, 5.0, 40.0])
def test_the_time_left_is_about_right_soon_after_the_start(every: int, evaluation: float) -> None:
    dice = random.Random(1)
    seconds = [30.0] + [1.0 if dice.random() < 0.01 else dice.choice([0.09, 0.1, 0.14]) for _ in range(1999)]
    beside = {step: evaluation for step in range(100, 2001, 100)} | {1: 20.0}  # after the first it is tried to save
    told = paces(seconds, beside, every)
    assert told[1] is None, "the first step is no measure"
    for step, left in told.items():
        if 20 <= step < 1500 and (not evaluation or step > 110):
            truth = sum(seconds[step:]) + sum(took for at, took in beside.items() if at >= step)
            assert left is not None and 0.7 < left / truth < 1.4, (step, left, truth)


def test_another_attempt_begins_anew() -> None:
    pace = Pace(16)
    for step in range(1, 11):
        pace.hear(event(step, rate=16.0, when=float(step)))
    assert pace.left(100) == pytest.approx(90)
    pace.hear(event(6, attempt=2, rate=1.0, when=500.0))
    assert pace.left(100) is None
    pace.hear(event(7, attempt=2, rate=32.0, when=500.5))
    assert pace.left(100) == pytest.approx(46.5)
