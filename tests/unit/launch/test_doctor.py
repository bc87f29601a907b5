"""`launcher doctor`: each check finds what is wrong when it is, and says what to do."""

from __future__ import annotations

import errno
import shutil
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from launcher import child
from launcher.cluster import slurm
from launcher.errors import BackendError, Problem
from launcher.host import machine_facts
from launcher.host.facts import Facts
from launcher.launch import doctor, preflight
from launcher.launch.doctor import CHECKS, Finding


def found(check: str, runs: Path = Path()) -> list[Finding]:
    return list(CHECKS[check](runs))


def only(check: str, runs: Path = Path()) -> Finding:
    (finding,) = found(check, runs)
    return finding


WANTED = ["pydantic<3,>=2.11", "seqeval>=1.2.2", "typer>=0.20", 'bitsandbytes>=999; extra == "qlora"']


def test_what_is_here_and_admitted_is_ok(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: WANTED)
    assert only("packages").what.startswith("3 as recipe-launcher ")
    assert [only(name).grade for name in ("python", "packages", "loopback")] == ["ok", "ok", "ok"]


def test_another_python_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.python_version", lambda: "3.9.1")
    told = only("python")
    assert (told.grade, told.what.startswith("3.9.1, but recipe-launcher needs >=3.11")) == ("bad", True)


def test_each_package_that_is_not_admitted_is_named_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "requires", lambda name: WANTED)
    real = metadata.version

    def version(name: str) -> str:
        if name == "seqeval":
            raise metadata.PackageNotFoundError
        return "1.10.0" if name == "pydantic" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    told = only("packages")
    assert told.grade == "bad"
    assert told.what.endswith(": pydantic 1.10.0, seqeval is missing")
    assert told.do == "pip install 'pydantic<3,>=2.11' 'seqeval>=1.2.2'"


@pytest.mark.parametrize(
    ("gpus", "free", "visible", "grades"),
    [
        ((), 8 << 30, None, {"cores": "ok", "memory": "ok", "gpus": "ok", "bf16": "ok"}),
        ((), 1 << 30, "", {"cores": "ok", "memory": "warn", "gpus": "warn", "bf16": "ok"}),
        (("H100",), 8 << 30, None, {"cores": "ok", "memory": "ok", "gpus": "ok"}),
    ],
)
def test_the_machine(
    monkeypatch: pytest.MonkeyPatch, gpus: tuple[str, ...], free: int, visible: str | None, grades: dict[str, str]
) -> None:
    monkeypatch.setattr(machine_facts, "facts", lambda: Facts(4, 16 << 30, gpus, (80 << 30,) * len(gpus)))
    monkeypatch.setattr(preflight, "available_memory", lambda: free)
    monkeypatch.setattr(Path, "exists", lambda path: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert {finding.name: finding.grade for finding in found("machine")} == grades


def test_a_driver_without_gpus_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_facts, "facts", lambda: Facts(4, 16 << 30))
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidiactl")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    told = next(finding for finding in found("machine") if finding.name == "gpus")
    assert (told.grade, told.do) == ("bad", "see what `nvidia-smi` says")


def test_a_runs_folder_that_cannot_be_written_is_bad_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "LEAST_SPEED", 0.0)  # how fast this machine's disk is today is not the question
    runs, cache = found("disk", tmp_path / "not" / "yet")
    assert (runs.name, runs.grade, cache.name) == ("runs folder", "ok", "cache")
    assert runs.what.startswith(f"{tmp_path}: ")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cache"]
    runs, _ = found("disk", Path("/proc/1"))  # not even root writes there
    assert (runs.grade, runs.do) == ("bad", "choose another --runs")


def test_a_full_disk_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1 << 30))
    runs, _ = found("disk", tmp_path)
    assert (runs.grade, "1.1 GB free" in runs.what) == ("warn", True)


def test_no_compiler_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    found = only("compiler")
    assert (found.grade, only("scheduler").grade) == ("warn", "ok")
    assert "torch.compile" in found.what and "ZeRO" not in found.what, "decision 007: ZeRO compiles nothing"
    assert "compile=True" in found.do


def test_a_slurm_that_does_not_answer_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent() -> Any:
        raise BackendError(Problem("sinfo gave no answer in 60 s", do="ask who runs it"))

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(slurm, "cluster", silent)
    assert only("scheduler") == Finding("slurm", "warn", "sinfo gave no answer in 60 s", "ask who runs it")


def test_what_is_bad_makes_the_machine_unfit() -> None:
    warned, bad = Finding("a", "warn", "x"), Finding("b", "bad", "y")
    assert [doctor.document(found)["fit"] for found in ([warned], [warned, bad])] == [True, False]


def test_a_check_that_breaks_is_a_finding_and_the_rest_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(runs: Path) -> Any:
        raise RuntimeError("boom")

    monkeypatch.setattr(doctor, "CHECKS", {"x": breaks, "text": CHECKS["text"]})
    first, second = doctor.examine(Path(), lambda finding: None)
    assert (first.grade, first.what, second.name) == ("bad", "the check broke: RuntimeError: boom", "text")


def test_a_loopback_that_is_down_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> Any:
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    monkeypatch.setattr(socket, "create_server", refuses)
    assert only("loopback").grade == "bad"


def test_another_encoding_is_warned_of() -> None:
    code = "from launcher.launch.doctor import CHECKS; print([f.line() for f in CHECKS['text'](None)])"
    environment = {"PATH": "", "LC_ALL": "en_US.ISO-8859-1", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "warn text: not UTF-8: " in done.stdout, done.stderr
    assert "stdout iso8859-1" in done.stdout


@pytest.mark.parametrize(
    ("offline", "endpoint", "grade"), [("1", "", "ok"), ("", "closed", "warn"), ("", "file", "ok")]
)
def test_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, offline: str, endpoint: str, grade: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    addresses = {"closed": f"http://127.0.0.1:{port}", "file": tmp_path.as_uri(), "": ""}
    monkeypatch.setenv("HF_HUB_OFFLINE", offline)
    monkeypatch.setenv("HF_ENDPOINT", addresses[endpoint])
    if endpoint == "file":
        (tmp_path / "x").write_text("")
        monkeypatch.setenv("HF_ENDPOINT", (tmp_path / "x").as_uri())
    assert only("hub").grade == grade


def test_what_torch_says_comes_from_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def heavy(verb: str, request: dict[str, Any]) -> Any:
        asked.append((verb, request))
        return [Finding("torch", "bad", "a CPU build, but there are 1 GPUs", "install another").document()]

    monkeypatch.setattr(child, "heavy", heavy)
    monkeypatch.setattr(machine_facts, "facts", lambda: Facts(4, 16 << 30, ("H100",), (80 << 30,)))
    assert only("torch").line() == "bad  torch: a CPU build, but there are 1 GPUs\n     do: install another"
    assert asked == [("diagnose", {"gpus": 1})]
