"""Only the newest attempt puts its outcome and model where everybody looks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from launcher import WorkerError
from launcher.runs import publishing
from launcher.runs.attempt import AttemptFolder
from launcher.runs.publishing import publish
from launcher.runs.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def with_model(attempt: AttemptFolder) -> AttemptFolder:
    attempt.model.mkdir()
    (attempt.model / "made-by").write_text(str(attempt.number))
    return attempt


def shown(folder: RunFolder) -> tuple[int, str]:
    return json.loads(folder.outcome.read_text())["attempt"], (folder.model / "made-by").read_text()


def test_the_newest_attempt_takes_the_place_of_what_was_there(folder: RunFolder) -> None:
    publish(folder, with_model(folder.new_attempt()), {"status": "finished"})
    assert shown(folder) == (1, "1")
    second = with_model(folder.new_attempt())
    publish(folder, second, {"status": "finished"})
    assert shown(folder) == (2, "2")
    publish(folder, second, {"status": "finished", "attempts": []})  # once more, with the story of the attempts
    assert shown(folder) == (2, "2")
    assert [path.name for path in folder.path.iterdir() if path.name.startswith(".")] == []


def test_an_attempt_that_is_taken_over_publishes_nothing(folder: RunFolder) -> None:
    stale, newest = with_model(folder.new_attempt()), with_model(folder.new_attempt())
    publish(folder, newest, {"status": "finished"})
    for _ in range(2):
        with pytest.raises(WorkerError, match="attempt 2 has taken over: what attempt 1 does no longer counts"):
            publish(folder, stale, {"status": "stopped"})
        assert shown(folder) == (2, "2")
        assert folder.ended() == {"status": "finished", "attempt": 2}


def test_one_that_was_held_up_between_looking_and_moving_replaces_nothing(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked before the newer one began, and moves after that one has published."""
    stale = with_model(folder.new_attempt())
    look, looks = publishing.refuse_taken_over, []

    def held_up(run: RunFolder, number: int) -> None:
        look(run, number)
        looks.append(number)
        if looks == [1]:
            publish(run, with_model(run.new_attempt()), {"status": "finished"})

    monkeypatch.setattr(publishing, "refuse_taken_over", held_up)
    with pytest.raises(WorkerError, match="attempt 2 has taken over"):
        publish(folder, stale, {"status": "finished"})
    assert shown(folder) == (2, "2")
    assert looks[0] == 1 and 2 in looks


def test_a_model_that_somebody_still_reads_is_moved_out_of_the_way(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a network file system open files outlive their deletion, and their folder with them."""
    with monkeypatch.context() as reading:
        reading.setattr(shutil, "rmtree", lambda path, ignore_errors: None)
        for number in (1, 2, 3):
            publish(folder, with_model(folder.new_attempt()), {"status": "finished"})
            assert shown(folder) == (number, str(number))
        assert len(list(folder.path.glob(".model.doomed*"))) == 2
    publish(folder, with_model(folder.new_attempt()), {"status": "finished"})
    assert shown(folder) == (4, "4")
    assert list(folder.path.glob(".model.doomed*")) == []


def test_a_model_that_cannot_be_moved_away_is_told_and_not_tried_for_ever(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(folder, with_model(folder.new_attempt()), {"status": "finished"})
    monkeypatch.setattr(publishing, "remove_tree", lambda path: None)
    with pytest.raises(WorkerError, match="the one that is there cannot be moved away"):
        publish(folder, with_model(folder.new_attempt()), {"status": "finished"})
    assert shown(folder) == (1, "1")


def test_a_run_whose_folder_was_taken_away_is_told_so(folder: RunFolder) -> None:
    attempt = folder.new_attempt()
    shutil.rmtree(folder.path)
    with pytest.raises(WorkerError, match="was removed while the run was at work"):
        publishing.refuse_taken_over(folder, attempt.number)
