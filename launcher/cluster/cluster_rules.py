"""Gate 2 for a cluster: what no partition can give, all problems together, before anything is submitted. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from launcher.cluster.inventory import Cluster, Nodes, Partition
from launcher.cluster.job import Job, Profile, minutes, size_in_bytes
from launcher.errors import Problem, did_you_mean
from launcher.host.facts import Facts

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
BOUNDLESS = 1 << 50
IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs")
"""File systems that no machine can share with another."""


def judge_job(cluster: Cluster, accounts: Sequence[str], job: Job) -> list[Problem]:
    """Everything about the job that this cluster cannot give; empty when it can. Of several partitions one suffices."""
    problems = [*_names(cluster, accounts, job)]
    partitions = partitions_of(cluster, job)
    if problems or not partitions:
        return problems
    each = [[*_size(partition, job), *_time(partition, job)] for partition in partitions]
    return [] if not all(each) else min(each, key=len)


def partitions_of(cluster: Cluster, job: Job) -> list[Partition]:
    """The partitions that the job may go to."""
    if job.partition is None:
        return [cluster.default] if cluster.default else []
    named = [cluster.partition(name) for name in job.partition.split(",")]
    return [partition for partition in named if partition is not None]


def node_for(cluster: Cluster, job: Job, processes: int | None, device: str) -> Nodes | None:
    """The shape of node to plan for: the smallest that fits, where GPUs decide; the one with most where none fits."""
    shapes = [shape for partition in partitions_of(cluster, job) for shape in partition.nodes]
    if job.gpu_type:
        shapes = [shape for shape in shapes if shape.gpu_type == job.gpu_type]
    shapes.sort(key=lambda shape: (shape.gpus, shape.cores, shape.memory_bytes))
    with_gpus = [shape for shape in shapes if shape.gpus and device != "cpu"]
    fitting = [shape for shape in with_gpus if processes is not None and shape.gpus >= processes]
    return next(iter([*fitting, *with_gpus[::-1], *shapes]), None)


def facts_of(shape: Nodes, here: Facts, cores: int | None, profile: Profile) -> Facts:
    """One such node as the other rules see it; what Slurm does not report is taken to be as on this machine.

    It does not report the memory of a GPU either: unless the profile gives it, it limits nothing. What a set-up file
    loads (a compiler, an environment) is known on the node alone, and is not refused here.
    """
    each = size_in_bytes(profile.gpu_memory) if profile.gpu_memory else BOUNDLESS
    memory = _bytes(profile.memory) if profile.memory else shape.memory_bytes
    return Facts(
        cores=cores or shape.cores,
        memory_bytes=min(shape.memory_bytes, memory),
        gpus=(shape.gpu_type or "GPU",) * shape.gpus,
        gpu_memory_bytes=(each,) * shape.gpus,
        cpu_bf16=here.cpu_bf16,
        deepspeed=here.deepspeed,
        bitsandbytes=here.bitsandbytes or profile.setup is not None,
        compiler=here.compiler or profile.setup is not None,
    )


def judge_folder(cluster: Cluster, runs: Path, file_system: str) -> list[Problem]:
    """Whether other machines can see the runs at all. Only what is certain is refused: the nodes look themselves."""
    nodes = max((sum(shape.count for shape in partition.nodes) for partition in cluster.partitions), default=0)
    if file_system not in IN_MEMORY or nodes <= 1:
        return []
    what = f"{runs.resolve()} lies in the memory of this machine ({file_system}): no node can see it"
    return [Problem(what, "--runs", "name a folder on a disk that the nodes share")]


def _names(cluster: Cluster, accounts: Sequence[str], job: Job) -> Iterator[Problem]:
    known = [partition.name for partition in cluster.partitions]
    for name in (job.partition or "").split(","):
        if name and name not in known:
            yield Problem(f"there is no partition {name!r} here", "--partition", _known(name, known))
    if job.partition is None and cluster.default is None:
        yield Problem("this cluster has no default partition", "--partition", "name one: " + ", ".join(known))
    if job.account is not None and accounts and job.account not in accounts:
        yield Problem(f"you have no account {job.account!r} here", "--account", _known(job.account, accounts))


def _known(name: str, known: Sequence[str]) -> str:
    near, all_of_them = did_you_mean(name, known), "known: " + ", ".join(sorted(known))
    return near if near == all_of_them else f"{near} {all_of_them}"


def _size(partition: Partition, job: Job) -> Iterator[Problem]:
    where, shapes = f"partition {partition.name}", partition.nodes
    there = sum(shape.count for shape in shapes)
    if job.nodes > there:
        yield Problem(f"{job.nodes} nodes are more than the {there} there are", where, f"give --nodes {there} or less")
    most = max((shape.gpus for shape in shapes), default=0)
    if job.gpus_per_node > most:
        what = f"no node has {job.gpus_per_node} GPUs"
        do = f"give --processes-per-node {most} or less, and more --nodes" if most else "choose one that has GPUs"
        yield Problem(f"{what}; the most is {most}", where, do)
    types = sorted({shape.gpu_type for shape in shapes if shape.gpu_type})
    if job.gpu_type is not None and job.gpu_type not in types:
        yield Problem(f"no node has GPUs of the type {job.gpu_type!r}", where, "known: " + (", ".join(types) or "none"))
    cores = max((shape.cores for shape in shapes), default=0)
    if (job.cpus_per_task or 1) > cores:
        do = "give less --cpus-per-process, or fewer --processes-per-node"
        yield Problem(f"no node has {job.cpus_per_task} cores; the most is {cores}", where, do)
    memory = max((shape.memory_bytes for shape in shapes), default=0)
    if job.memory is not None and _bytes(job.memory) > memory:
        yield Problem(f"no node has {job.memory} of memory; the most is {memory >> 20}M", where, "give less --memory")


def _time(partition: Partition, job: Job) -> Iterator[Problem]:
    requested = minutes(job.time) if job.time is not None else None
    if requested is not None and partition.minutes is not None and requested > partition.minutes:
        limit = _written(partition.minutes)
        what = f"--time {job.time} is more than this partition allows, {limit}"
        yield Problem(what, f"partition {partition.name}", f"give --time {limit} or less")


def _bytes(memory: str) -> int:
    """Slurm's `--mem`: megabytes, unless a unit follows."""
    number, unit = re.fullmatch(r"(\d+)([KMGT]?)", memory).groups()  # type: ignore[union-attr]  # `job.Memory` allows no other
    return int(number) * UNITS[unit or "M"]


def _written(minutes: int) -> str:
    days, rest = divmod(minutes, 24 * 60)
    return f"{days}-{rest // 60:02}:{rest % 60:02}:00" if days else f"{rest // 60:02}:{rest % 60:02}:00"
