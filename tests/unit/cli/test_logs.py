"""`launcher logs`: a log is followed from attempt to attempt, and waited for while a job waits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.cli import runs as watch
from launcher.cluster import slurm
from launcher.cluster.scheduler import Queued
from launcher.errors import BackendError
from launcher.json_files import write_json
from launcher.runs.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run of two ranks whose job is number 7."""
    made = RunFolder(tmp_path / "a")
    made.path.mkdir()
    write_json(made.plan, {"world_size": 2})
    write_json(made.job, {"job": 7})
    monkeypatch.setattr(watch, "SECONDS_BETWEEN_QUESTIONS", 0.0)
    return made


def say(folder: RunFolder, attempt: int, text: str) -> None:
    path = folder.attempt(attempt).log(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(text)


def happens(monkeypatch: pytest.MonkeyPatch, *scenes: Callable[[], object]) -> None:
    """One scene each time that is asked whether the run lives; then it does not."""
    left = list(scenes)

    def lives(folder: RunFolder) -> bool:
        if not left:
            return False
        left.pop(0)()
        return True

    monkeypatch.setattr(watch, "_lives", lives)


def test_a_log_is_waited_for_and_followed_from_attempt_to_attempt(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    happens(
        monkeypatch,
        lambda: None,
        lambda: say(folder, 1, "one\n"),
        lambda: say(folder, 1, "two\n"),
        lambda: folder.attempt(2).path.mkdir(parents=True),
        lambda: say(folder, 1, "last words\n"),
        lambda: say(folder, 2, "again\n"),
        lambda: say(folder, 2, "and more\n"),
    )
    watch.show_logs("a", folder.path.parent, 0, follow=True)
    assert capsys.readouterr().out == "one\ntwo\nlast words\nagain\nand more\n"


def test_without_follow_the_newest_log_is_shown_once(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(folder, 1, "old\n")
    say(folder, 2, "new\n")
    happens(monkeypatch, lambda: say(folder, 3, "never\n"))
    watch.show_logs("a", folder.path.parent, 0, follow=False)
    assert capsys.readouterr().out == "new\n"


@pytest.mark.parametrize(("rank", "follow"), [(2, True), (-1, True), (2, False)])
def test_a_rank_that_there_is_not_is_not_waited_for(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, rank: int, follow: bool
) -> None:
    monkeypatch.setattr(slurm, "look_up", lambda number: Queued(number, "PENDING", "Priority", 0, ""))
    with pytest.raises(BackendError, match=f"rank {rank} has no log") as told:
        watch.show_logs("a", folder.path.parent, rank, follow)
    assert "ranks are 0 to 1" in str(told.value)


def test_a_run_whose_job_waits_says_so(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "look_up", lambda number: Queued(number, "PENDING", "Priority", 0, ""))
    with pytest.raises(BackendError, match="rank 0 has no log") as told:
        watch.show_logs("a", folder.path.parent, 0, follow=False)
    assert "its job is pending: other jobs go first (Priority); wait with --follow" in str(told.value)
    monkeypatch.setattr(slurm, "look_up", lambda number: Queued(number, "CANCELLED", "", 0, ""))
    with pytest.raises(BackendError, match="nothing of it has begun"):
        watch.show_logs("a", folder.path.parent, 0, follow=False)
    folder.new_attempt()
    with pytest.raises(BackendError, match="prints to its own terminal"):
        watch.show_logs("a", folder.path.parent, 0, follow=False)
    folder.scheduler_log.touch()
    with pytest.raises(BackendError, match=r"no rank of the newest attempt was started: .*slurm\.log says why"):
        watch.show_logs("a", folder.path.parent, 0, follow=False)


def test_what_a_log_holds_steers_no_terminal(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(folder, 1, "a\x1b]0;title\x07\x1b[2J\u202e好\n")
    watch.show_logs("a", folder.path.parent, 0, follow=False)
    told = capsys.readouterr().out
    assert told.isprintable() or told.rstrip("\n").isprintable()
    assert told.startswith(r"a\x1b]0;title\x07\x1b[2J\u202e") and "好" in told
