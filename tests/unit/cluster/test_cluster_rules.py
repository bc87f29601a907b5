"""What a cluster cannot give is refused before anything is submitted, all at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from launcher.cluster.cluster_rules import facts_of, judge_folder, judge_job, node_for
from launcher.cluster.inventory import Cluster, Nodes, Partition
from launcher.cluster.job import Job, Profile
from launcher.host.facts import Facts
from launcher.host.machine_facts import file_system

PLAIN = Nodes(count=8, cores=32, memory_bytes=64 << 30, gpus=0, gpu_type="")
SMALL = Nodes(count=4, cores=64, memory_bytes=256 << 30, gpus=4, gpu_type="a100")
LARGE = Nodes(count=2, cores=96, memory_bytes=512 << 30, gpus=8, gpu_type="h100")
CLUSTER = Cluster(
    (
        Partition("cpu", True, 2880, (PLAIN,)),
        Partition("gpu", False, 90, (SMALL, LARGE)),
        Partition("endless", False, None, (LARGE,)),
    )
)


@pytest.mark.parametrize(
    ("asked", "what", "do"),
    [
        ({"partition": "gpuu"}, "there is no partition 'gpuu' here", "did you mean 'gpu'? known: cpu, endless, gpu"),
        ({"partition": "gpu,none"}, "there is no partition 'none' here", "known: cpu, endless, gpu"),
        ({"account": "npl"}, "you have no account 'npl' here", "did you mean 'nlp'? known: nlp, vision"),
        ({"nodes": 9}, "9 nodes are more than the 8 there are", "--nodes 8 or less"),
        ({"gpus_per_node": 1}, "no node has 1 GPUs; the most is 0", "choose one that has GPUs"),
        ({"partition": "gpu", "gpus_per_node": 9}, "no node has 9 GPUs; the most is 8", "--processes-per-node 8"),
        ({"partition": "gpu", "gpu_type": "v100"}, "no node has GPUs of the type 'v100'", "known: a100, h100"),
        ({"cpus_per_task": 33}, "no node has 33 cores; the most is 32", "--cpus-per-process"),
        ({"memory": "65G"}, "no node has 65G of memory; the most is 65536M", "less --memory"),
        ({"memory": "65537"}, "no node has 65537 of memory; the most is 65536M", "less --memory"),
        ({"time": "2-00:01"}, "--time 2-00:01 is more than this partition allows, 2-00:00:00", "--time 2-00:00:00"),
        ({"partition": "gpu", "time": "91"}, "--time 91 is more than this partition allows, 01:30:00", "01:30:00"),
    ],
)
def test_each_impossible_wish_is_refused(asked: dict[str, Any], what: str, do: str) -> None:
    (problem,) = judge_job(CLUSTER, ["nlp", "vision"], Job(name="a", **asked))
    assert problem.what == what
    assert do in problem.do


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"nodes": 8, "cpus_per_task": 32, "memory": "64G", "time": "2-0"},
        {"partition": "gpu", "gpus_per_node": 8, "gpu_type": "h100", "time": "90"},
        {"partition": "endless", "time": "300-0"},
        {"partition": "gpu,endless", "time": "300-0"},
        {"account": "nlp"},
    ],
)
def test_what_the_cluster_has_is_let_through(asked: dict[str, Any]) -> None:
    assert judge_job(CLUSTER, ["nlp"], Job(name="a", **asked)) == []


def test_all_of_them_are_told_at_once() -> None:
    job = Job(name="a", nodes=9, gpus_per_node=1, cpus_per_task=64, memory="1T", time="3-0")
    assert len(judge_job(CLUSTER, [], job)) == 5
    assert len(judge_job(CLUSTER, ["nlp"], replace(job, partition="x,y", account="z"))) == 3


def test_an_account_is_not_judged_where_no_books_are_kept() -> None:
    assert judge_job(CLUSTER, [], Job(name="a", account="any")) == []


def test_without_a_default_a_partition_must_be_named() -> None:
    cluster = Cluster(CLUSTER.partitions[1:])
    (problem,) = judge_job(cluster, [], Job(name="a"))
    assert problem.what == "this cluster has no default partition"


@pytest.mark.parametrize(
    ("asked", "processes", "device", "shape"),
    [
        ({}, None, "auto", PLAIN),
        ({}, 4, "cuda", PLAIN),
        ({"partition": "gpu"}, None, "auto", LARGE),
        ({"partition": "gpu"}, 2, "auto", SMALL),
        ({"partition": "gpu"}, 5, "cuda", LARGE),
        ({"partition": "gpu"}, 99, "cuda", LARGE),
        ({"partition": "gpu"}, 2, "cpu", SMALL),
        ({"partition": "gpu", "gpu_type": "h100"}, 2, "auto", LARGE),
        ({"partition": "gpu", "gpu_type": "v100"}, 2, "auto", None),
        ({"partition": "none"}, None, "auto", None),
        ({"partition": "cpu,gpu"}, None, "auto", LARGE),
    ],
)
def test_the_node_that_is_planned_for(
    asked: dict[str, Any], processes: int | None, device: str, shape: Nodes | None
) -> None:
    assert node_for(CLUSTER, Job(name="a", **asked), processes, device) == shape


def test_a_node_is_seen_by_the_other_rules_as_a_machine_is() -> None:
    here = Facts(cores=2, memory_bytes=1, cpu_bf16=True, deepspeed=False)
    found = facts_of(SMALL, here, 16, Profile())
    assert found.gpus == ("a100",) * 4
    assert (found.cores, found.memory_bytes) == (16, 256 << 30)
    assert (found.cpu_bf16, found.deepspeed) == (True, False)
    assert found.gpu_memory_bytes == (1 << 50,) * 4, "unknown: it limits nothing"
    assert facts_of(PLAIN, here, None, Profile()).cores == 32
    assert facts_of(LARGE, here, None, Profile(gpu_memory="80GB")).gpu_memory_bytes == (80 * 10**9,) * 8
    assert facts_of(LARGE, here, None, Profile(gpu_memory="1.5GiB")).gpu_memory_bytes == (3 << 29,) * 8


@pytest.mark.parametrize(
    ("memory", "planned"),
    [(None, 64 << 30), ("4G", 4 << 30), ("2048", 2 << 30), ("900G", 64 << 30)],
)
def test_a_job_is_planned_with_the_memory_that_it_asks_for(memory: str | None, planned: int) -> None:
    assert facts_of(PLAIN, Facts(2, 1), None, Profile(memory=memory)).memory_bytes == planned


def test_what_is_installed_here_is_on_the_node_unless_a_setup_file_says_more() -> None:
    bare = Facts(cores=2, memory_bytes=1, bitsandbytes=False, compiler=False)
    found = facts_of(SMALL, bare, 16, Profile())
    assert (found.bitsandbytes, found.compiler) == (False, False)
    found = facts_of(SMALL, replace(bare, bitsandbytes=True, compiler=True), 16, Profile())
    assert (found.bitsandbytes, found.compiler) == (True, True)
    found = facts_of(SMALL, bare, 16, Profile(setup="modules.sh"))
    assert (found.bitsandbytes, found.compiler) == (True, True), "the node tells; nothing is refused by guess"


@pytest.mark.parametrize(
    ("kind", "nodes", "refused"),
    [("tmpfs", 2, True), ("ramfs", 8, True), ("tmpfs", 1, False), ("nfs4", 2, False), ("ext4", 2, False)],
)
def test_a_folder_in_this_machines_memory_is_refused_where_other_machines_need_it(
    kind: str, nodes: int, refused: bool
) -> None:
    """A local disk may be one that this machine serves to the others: that is for the nodes to tell."""
    cluster = Cluster((Partition("main", True, None, (replace(PLAIN, count=nodes),)),))
    found = judge_folder(cluster, Path("/dev/shm/runs"), kind)
    assert [problem.what for problem in found] == (
        [f"/dev/shm/runs lies in the memory of this machine ({kind}): no node can see it"] if refused else []
    )


def test_the_kind_of_a_file_system_is_told_also_for_what_is_not_there_yet(tmp_path: Path) -> None:
    assert file_system(Path("/proc/self")) == "proc"
    assert file_system(Path("/proc/none/at/all")) == "proc"
    assert file_system(tmp_path / "a" / "b") == file_system(tmp_path) != ""
