"""The run folder: whole files or none, torn lines, leases of the dead, and finding runs again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import BackendError, json_files, json_lines
from launcher.jobs import submission
from launcher.launch import opening, run_request
from launcher.launch.request import Request
from launcher.plan.placement import Placement
from launcher.runs import driver, run_files, run_folder
from launcher.runs.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    path = tmp_path / "runs" / "first"
    path.mkdir(parents=True)
    return RunFolder(path)


def a_run(runs: Path, name: str, minute: int) -> RunFolder:
    folder = RunFolder((runs / name).resolve())
    folder.path.mkdir(parents=True)
    json_files.write_json(folder.plan, {"recipe": "/x.py"})
    os.utime(folder.plan, (minute * 60, minute * 60))
    return folder


def lease(folder: RunFolder, **changes: object) -> None:
    """The lease this process would hold, with some of it changed."""
    driver.take_lease(folder)
    json_files.write_json(folder.lease, {**run_files.read_json(folder.lease), **changes})


class TestFiles:
    def test_json_comes_back_as_it_was(self, tmp_path: Path) -> None:
        path = tmp_path / "x.json"
        json_files.write_json(path, {"名": [1, 2.5, None, "中文"]})
        assert run_files.read_json(path) == {"名": [1, 2.5, None, "中文"]}
        assert "中文" in path.read_text(encoding="utf-8")
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize("broken", ["fsync", "replace", "write"])
    def test_a_failed_write_leaves_the_old_file_and_no_scrap(self, tmp_path: Path, monkeypatch, broken: str) -> None:
        path = tmp_path / "x.json"
        json_files.write_json(path, {"old": True})

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        if broken == "fsync":
            monkeypatch.setattr(os, "fsync", full)
        elif broken == "replace":
            monkeypatch.setattr(Path, "replace", full)
        else:
            monkeypatch.setattr(Path, "open", full)
        with pytest.raises(OSError, match="No space left"):
            json_files.write_json(path, {"new": "x" * 100_000})
        monkeypatch.undo()
        assert run_files.read_json(path) == {"old": True}
        assert list(tmp_path.iterdir()) == [path]

    def test_the_old_file_stands_until_the_new_one_is_whole(self, tmp_path: Path, monkeypatch) -> None:
        path = tmp_path / "x.json"
        json_files.write_json(path, {"old": True})
        seen = []
        real = os.fsync
        monkeypatch.setattr(os, "fsync", lambda fd: (seen.append(run_files.read_json(path)), real(fd)))
        json_files.write_json(path, {"new": True})
        assert seen[0] == {"old": True}
        assert run_files.read_json(path) == {"new": True}

    def test_a_missing_file_is_none_and_a_broken_one_is_said(self, tmp_path: Path) -> None:
        assert run_files.read_json(tmp_path / "none.json") is None
        (tmp_path / "half.json").write_text('{"a": ')
        with pytest.raises(BackendError) as caught:
            run_files.read_json(tmp_path / "half.json")
        (problem,) = caught.value.problems
        assert problem.what.startswith("the file is not valid JSON: ")
        assert problem.where == str(tmp_path / "half.json")


class TestLines:
    def test_lines_are_appended_and_read_in_order(self, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        for step in range(3):
            json_lines.append_line(path, {"step": step, "类": "好"})
        assert [line["step"] for line in json_lines.read_lines(path)] == [0, 1, 2]
        assert list(json_lines.read_lines(tmp_path / "none.jsonl")) == []

    @pytest.mark.parametrize("cut", range(1, 18))
    def test_a_line_that_is_still_being_written_is_left_out(self, tmp_path: Path, cut: int) -> None:
        """Cut after any byte, also inside a Chinese character."""
        path = tmp_path / "events.jsonl"
        json_lines.append_line(path, {"step": 1})
        path.write_bytes(path.read_bytes() + '{"类": "好的"}\n'.encode()[:cut])
        assert list(json_lines.read_lines(path)) == [{"step": 1}]

    def test_a_torn_line_in_the_middle_is_left_out(self, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        path.write_text('{"step": 1}\n{"step": 2, "lo\n{"step": 3}\n')
        assert [line["step"] for line in json_lines.read_lines(path)] == [1, 3]

    def test_of_several_attempts_those_steps_count_from_which_the_next_one_went_on(self, folder: RunFolder) -> None:
        for number, source in ((1, None), (2, {"attempt": 1, "step": 10}), (3, {"attempt": 2, "step": 30})):
            json_files.write_json(folder.new_attempt().origin, {"continues": source})
            assert folder.attempts()[-1].number == number
        for attempt, steps in ((1, (10, 20, 30)), (2, (20, 30, 40)), (3, (40,)), (1, (40, 50)), (2, (50, 60))):
            for step in steps:
                for path in (folder.events, folder.evaluations):
                    json_lines.append_line(path, {"step": step, "attempt": attempt})
        counting = [(10, 1), (20, 2), (30, 2), (40, 3)]
        for told in (folder.events_so_far(), folder.evaluations_so_far()):
            assert [(line["step"], line["attempt"]) for line in told] == counting
        assert RunFolder(folder.path / "other").events_so_far() == []


class TestLease:
    def test_the_living_driver_is_known_and_may_take_its_lease_again(self, folder: RunFolder) -> None:
        assert driver.lease_holder(folder) is None
        driver.take_lease(folder)
        assert driver.lease_holder(folder) == os.getpid()
        driver.take_lease(folder)
        driver.drop_lease(folder)
        driver.drop_lease(folder)
        assert driver.lease_holder(folder) is None

    def test_who_was_left_behind_does_not_drop_the_lease_of_another(self, folder: RunFolder) -> None:
        lease(folder, boot="00000000-0000-0000-0000-000000000000")
        driver.drop_lease(folder)
        assert folder.lease.exists()

    def test_a_second_driver_is_refused_while_the_first_lives(self, folder: RunFolder) -> None:
        taken = "from launcher.runs import driver; from launcher.runs.run_folder import RunFolder\n"
        taken += f"from pathlib import Path; p = Path({str(folder.path)!r})\n"
        taken += "driver.take_lease(RunFolder(p)); print('taken', flush=True); input()"
        other = subprocess.Popen([sys.executable, "-c", taken], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert other.stdout is not None and other.stdout.readline() == b"taken\n"
            with pytest.raises(BackendError) as caught:
                driver.take_lease(folder)
            (problem,) = caught.value.problems
            assert problem.what == f"run first is being driven by process {other.pid}"
            assert problem.do == f"wait for it, or stop it with `kill {other.pid}`"
            assert driver.status_of(folder) == "running"
        finally:
            other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert driver.lease_holder(folder) is None, "a zombie drives nothing"
        other.communicate()
        assert driver.lease_holder(folder) is None, "the dead drive nothing"
        driver.take_lease(folder)
        assert driver.lease_holder(folder) == os.getpid()

    def test_a_reused_process_number_does_not_count(self, folder: RunFolder) -> None:
        lease(folder, started=1)
        assert driver.lease_holder(folder) is None

    def test_a_lease_of_another_boot_does_not_count(self, folder: RunFolder) -> None:
        lease(folder, boot="00000000-0000-0000-0000-000000000000")
        assert driver.lease_holder(folder) is None

    def test_a_process_that_is_gone_does_not_count(self, folder: RunFolder) -> None:
        lease(folder, pid=2**22 + 1)
        assert driver.lease_holder(folder) is None


class TestStatus:
    @pytest.mark.parametrize("status", ["finished", "failed", "stopped"])
    def test_the_outcome_says_how_it_ended(self, folder: RunFolder, status: str) -> None:
        json_files.write_json(folder.outcome, {"status": status})
        assert driver.status_of(folder) == status

    def test_only_the_newest_attempt_can_say_how_it_ended(self, folder: RunFolder) -> None:
        json_files.write_json(folder.new_attempt().outcome, {"status": "stopped"})
        assert driver.status_of(folder) == "stopped"
        newest = folder.new_attempt()
        json_files.write_json(folder.outcome, {"status": "finished"})  # by an attempt that does not know
        assert driver.status_of(folder) == "died"
        json_files.write_json(newest.outcome, {"status": "failed"})
        assert driver.status_of(folder) == "failed"

    def test_a_driven_run_is_running_whatever_an_old_outcome_says(self, folder: RunFolder) -> None:
        json_files.write_json(folder.outcome, {"status": "failed"})
        driver.take_lease(folder)
        assert driver.status_of(folder) == "running"

    def test_a_run_without_driver_and_outcome_died(self, folder: RunFolder) -> None:
        assert driver.status_of(folder) == "died"
        lease(folder, started=1)
        assert driver.status_of(folder) == "died"


class TestNames:
    @pytest.mark.parametrize("name", ["a", "reviews_zh-20260101-120000", "1.0", "A" * 100, "名", "评论-2", "名" * 33])
    def test_a_plain_name_is_taken(self, name: str) -> None:
        run_folder.check_name(name)

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "a/b", "../a", "-a", ".a", "a b", "a\n", "A" * 101, "名" * 34, "a\x00", "\udc80"]
    )
    def test_any_other_name_is_refused(self, name: str) -> None:
        with pytest.raises(BackendError) as caught:
            run_folder.check_name(name)
        (problem,) = caught.value.problems
        do = "use letters, digits, '.', '_' and '-', at most 100 (a Chinese character counts three)"
        assert problem == type(problem)(f"{name!r} cannot name a run", "", do)

    @pytest.mark.parametrize(
        ("stem", "name"),
        [("reviews_zh", "reviews_zh"), ("评论 一", "评论-一"), ("-x;y", "x-y"), ("__", ""), ("名" * 50, "名" * 20)],
    )
    def test_a_run_without_a_name_gets_one_that_can_be_typed(self, stem: str, name: str) -> None:
        assert run_request.plain_name(stem) == name
        run_folder.check_name(f"{name or 'run'}-20260101-120000")

    @pytest.mark.parametrize(("run", "job"), [("a-1.0", "a-1.0"), ("评论-2026", "2026"), ("名", "run")])
    def test_a_cluster_is_told_the_plain_part_of_a_name(self, run: str, job: str) -> None:
        assert submission.job_name(run) == job

    def test_of_two_launchers_with_one_name_the_later_is_told_that_it_is_taken(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path / "two")
        request = Request(Path("x.py"), {}, Placement(), "two", tmp_path)
        folder.path.mkdir()  # the other one, after this one had looked
        with pytest.raises(BackendError, match=r"there is a run 'two' already .*\n.*two\n.*choose another --name"):
            opening.open_folder(folder, request, None, None)

    def test_a_run_is_found_by_name_and_by_path(self, tmp_path: Path, monkeypatch) -> None:
        made = a_run(tmp_path / "runs", "first", 1)
        monkeypatch.chdir(tmp_path)
        assert run_folder.find("first") == made
        assert run_folder.find("first", tmp_path / "runs") == made
        assert run_folder.find("runs/first") == made
        assert run_folder.find(made.path, "elsewhere") == made

    def test_a_missing_run_offers_the_nearest(self, tmp_path: Path) -> None:
        a_run(tmp_path, "first", 1)
        a_run(tmp_path, "second", 2)
        for asked, hint in (("frist", "did you mean 'first'?"), ("zzz", "known: first, second")):
            with pytest.raises(BackendError) as caught:
                run_folder.find(asked, tmp_path)
            (problem,) = caught.value.problems
            assert (problem.what, problem.do) == (f"there is no run {asked!r}", hint)
        with pytest.raises(BackendError):
            run_folder.find("first", tmp_path / "none")

    def test_runs_come_oldest_first_and_only_those_with_a_plan(self, tmp_path: Path) -> None:
        for name, minute in (("b", 3), ("c", 1), ("a", 2)):
            a_run(tmp_path, name, minute)
        (tmp_path / "no-run").mkdir()
        assert [folder.name for folder in run_folder.all_runs(tmp_path)] == ["c", "a", "b"]
        assert run_folder.all_runs(tmp_path / "none") == []


def test_attempts_are_counted_as_numbers(folder: RunFolder) -> None:
    assert folder.attempts() == []
    for expected in range(1, 12):
        assert folder.new_attempt().number == expected
    (folder.path / "attempts" / "scrap").mkdir()
    assert [attempt.number for attempt in folder.attempts()] == list(range(1, 12))
    assert folder.new_attempt().path == folder.path / "attempts" / "12"


def test_one_attempt_follows_another_once(folder: RunFolder) -> None:
    first = folder.attempt_after(0)
    assert folder.attempt_after(first.number).number == 2
    with pytest.raises(BackendError, match="attempt 2 has begun elsewhere"):
        folder.attempt_after(first.number)
    assert [attempt.number for attempt in folder.attempts()] == [1, 2]


def test_every_file_name_is_stated_once(folder: RunFolder) -> None:
    names = {folder.plan, folder.recipe, folder.source, folder.lease, folder.events, folder.evaluations}
    names |= {folder.outcome, folder.tensorboard, folder.model}
    assert {path.name for path in names} == {
        *("plan.json", "recipe.json", "recipe.py", "lease.json", "events.jsonl", "evaluations.jsonl"),
        *("outcome.json", "tensorboard", "model"),
    }
    attempt = folder.attempt(2)
    told = {path.name for path in (attempt.store, attempt.log(3), attempt.failure(3), attempt.pulse(3))}
    assert told == {"store", "rank-3.log", "rank-3.failure.json", "rank-3.pulse.json"}
    told = {path.name for path in (attempt.origin, attempt.checkpoint(120), attempt.outcome, attempt.model)}
    assert told == {"origin.json", "step-00000120", "outcome.json", "model"}
    assert list(folder.path.iterdir()) == [], "looking at names creates nothing"


def test_a_run_is_removed_whole(folder: RunFolder) -> None:
    folder.new_attempt()
    (folder.path / "x.json").write_text(json.dumps(1))
    run_folder.remove(folder)
    assert not folder.path.exists()
