"""What a rank writes about its own end: running out of memory over a batch is told from everything else."""

from __future__ import annotations

import contextlib
import errno
import resource
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from launcher import DataError
from launcher.errors import Problem, over_rows
from launcher.runs import failure, root_cause, run_files
from launcher.runs.root_cause import UNREPORTED
from launcher.runs.run_folder import RunFolder

CUDA = "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.19 GiB"
CPU = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
CUBLAS = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"


def raised(error: BaseException, within: Callable[[], AbstractContextManager[None]]) -> BaseException:
    """The error as it comes out of there."""
    with pytest.raises(type(error)) as caught, within():
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "out"),
    [
        (RuntimeError(CUDA), True),
        (RuntimeError(CPU), True),
        (RuntimeError(CUBLAS), True),
        (ImportError("/x/_cyutility.so: failed to map segment from shared object"), True),
        (ImportError("No module named x"), False),
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (RuntimeError("[gloo] Connection closed by peer"), False),
        (ValueError("the text says: out of memory"), False),
    ],
    ids=lambda value: f"{type(value).__name__}" if isinstance(value, BaseException) else str(value),
)
def test_only_errors_about_memory_are_such(error: BaseException, out: bool) -> None:
    assert failure.ran_out_of_memory(error) is out


@pytest.mark.parametrize(
    ("over", "of", "advice"),
    [
        (over_rows, "batch", "training.micro_batch_size"),
        (contextlib.nullcontext, "model", "--strategy fsdp2 or zero3"),
    ],
)
def test_what_took_the_memory_decides_what_is_advised(
    tmp_path: Path, over: Callable[[], AbstractContextManager[None]], of: str, advice: str
) -> None:
    run = RunFolder(tmp_path)
    attempt = run.new_attempt()
    assert failure.tell(run, 1, 3, raised(RuntimeError(CUDA), over)) == 70
    told = run_files.read_json(attempt.failure(3))
    assert (told["rank"], told["kind"], told["of"]) == (3, "out_of_memory", of)
    assert advice in told["problems"][0]["do"]
    _, _, cause = root_cause._cause(3, 70, 1.0, told, attempt, we_killed=False)
    assert cause.batch_too_large is (of == "batch")


def test_our_own_errors_are_told_as_they_are(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    attempt = run.new_attempt()
    problem = Problem("a row says: out of memory", "a.tsv row 3", "mend it")
    assert failure.tell(run, 1, 0, raised(DataError(problem), over_rows)) == DataError.exit_code
    told = run_files.read_json(attempt.failure(0))
    assert told["problems"] == [problem.document()] and "kind" not in told


@pytest.mark.parametrize(("space", "advice"), [(800 << 20, "800 MiB of address space"), (-1, "(ulimit -u, ")])
def test_a_thread_that_cannot_start_is_laid_to_the_limit_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: int, advice: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (space, -1))
    run = RunFolder(tmp_path)
    attempt = run.new_attempt()
    failure.tell(run, 1, 0, raised(RuntimeError("can't start new thread"), over_rows))
    told = run_files.read_json(attempt.failure(0))
    assert advice in told["problems"][0]["do"] and "kind" not in told


def test_a_full_disk_ends_with_the_status_that_says_so(tmp_path: Path) -> None:
    assert failure.tell(RunFolder(tmp_path / "missing"), 1, 0, RuntimeError("x")) == UNREPORTED
