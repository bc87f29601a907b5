"""What memory a process may have: limits of its control groups, in both versions and as containers show them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.host import cgroups, machine_facts
from launcher.launch import preflight

GROUP = Path("/sys/fs/cgroup/memory/launcher-test")


def tree(folder: Path, group: str, mount: str, files: dict[str, str]) -> Path:
    """A process's folder of /proc: its line of `cgroup`, its line of `mountinfo`, files below the mount."""
    (folder / "proc").mkdir()
    (folder / "proc/cgroup").write_text(f"12:cpuset:/x\n1:name=systemd:/\n{group}\n")
    (folder / "proc/mountinfo").write_text(
        f"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n35 31 0:32 {mount.format(folder=folder)}\n"
    )
    for name, text in files.items():
        path = folder / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return folder / "proc"


V2 = "/ {folder}/fs rw,relatime shared:4 - cgroup2 cgroup2 rw"
V1 = "/ {folder}/fs rw,relatime - cgroup cgroup rw,memory"
NONE = "9223372036854771712"
JOB = "system.slice/slurmstepd.scope/job_7"
V1_JOB = "slurm/uid_0/job_7"
LIMIT = "memory.limit_in_bytes"


@pytest.mark.parametrize(
    ("group", "mount", "files", "limit"),
    [
        ("0::/a/b", V2, {"a/memory.max": "5000", "a/b/memory.max": "max"}, 5000),
        ("0::/a/b", V2, {"a/memory.max": "5000", "a/b/memory.max": "400"}, 400),
        ("0::/a", V2, {"a/memory.max": "max"}, None),
        ("0::/", V2, {"memory.max": "777"}, 777),  # a container's own tree
        ("0::/../..", V2, {"memory.max": "777"}, 777),
        (f"0::/{JOB}/step_0/user/task_0", V2, {f"{JOB}/memory.max": "4000", f"{JOB}/step_0/memory.max": "max"}, 4000),
        ("5:memory:/a/b", V1, {f"a/{LIMIT}": "5000", f"a/b/{LIMIT}": NONE, LIMIT: NONE}, 5000),
        ("5:hugetlb,memory:/a", V1, {f"a/{LIMIT}": NONE}, None),
        (f"5:memory:/{V1_JOB}/step_0", V1, {f"{V1_JOB}/{LIMIT}": "4000", f"{V1_JOB}/step_0/{LIMIT}": "3000"}, 3000),
        ("5:memory:/docker/abc", "/docker/abc {folder}/fs rw - cgroup cgroup rw,memory", {LIMIT: "900"}, 900),
        ("5:memory:/docker/abc", V1, {LIMIT: "900"}, 900),  # the host's path, which is not to be seen from inside
        ("0::/a", V1, {f"a/{LIMIT}": "5"}, None),  # no group of ours is in that tree
        ("0::/a", V2, {"a/memory.max": "nonsense"}, None),
        ("", V2, {}, None),
    ],
)
def test_the_tightest_limit_counts(
    group: str, mount: str, files: dict[str, str], limit: int | None, tmp_path: Path
) -> None:
    assert cgroups.limit(tree(tmp_path, group, mount, files)) == limit


def test_what_is_left_below_the_limit_counts_cached_files_as_free(tmp_path: Path) -> None:
    files = {"a/memory.max": "1000", "a/memory.current": "900"}
    files["a/memory.stat"] = "anon 400\nfile 500\ninactive_file 300\nactive_file 50\nslab 9"
    assert cgroups.room(tree(tmp_path, "0::/a", V2, files)) == 450
    assert cgroups.room(tmp_path / "nowhere") is None


def test_this_machine_is_planned_with_no_more_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    monkeypatch.setattr(cgroups, "limit", lambda: None)
    monkeypatch.setattr(cgroups, "room", lambda: None)
    assert machine_facts.facts().memory_bytes == whole and preflight.available_memory() > 1 << 20
    monkeypatch.setattr(cgroups, "limit", lambda: 1 << 30)
    monkeypatch.setattr(cgroups, "room", lambda: 1 << 20)
    assert machine_facts.facts().memory_bytes == 1 << 30 and preflight.available_memory() == 1 << 20


def test_a_real_limit_is_seen() -> None:
    try:
        GROUP.mkdir(exist_ok=True)
        (GROUP / LIMIT).write_text(str(3 << 30))
    except OSError as error:
        pytest.skip(f"no control group of version 1 can be made here: {error}")
    words = "import os; from launcher.host import machine_facts; print(machine_facts.facts().memory_bytes)"
    enter = f"open('{GROUP}/cgroup.procs', 'w').write('0'); {words}"
    try:
        done = subprocess.run([sys.executable, "-c", enter], capture_output=True, text=True)
        assert (done.stdout.strip(), done.stderr) == (str(3 << 30), "")
    finally:
        GROUP.rmdir()
