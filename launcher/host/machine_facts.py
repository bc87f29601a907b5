"""This machine: what it has, as far as it can be seen without torch."""

from __future__ import annotations

import os
import shutil
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from launcher.host import cgroups
from launcher.host.facts import Facts

PACKAGES = ("torch", "accelerate", "deepspeed", "transformers", "peft", "datasets", "fasttext-community", "safetensors")


def facts() -> Facts:
    """Cores and memory this process may use, CUDA devices, whether the CPU computes in bf16, what is installed."""
    names, memory = _gpus()
    return Facts(
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), cgroups.limit() or 1 << 62),
        gpus=names,
        gpu_memory_bytes=memory,
        cpu_bf16=_cpu_bf16(),
        deepspeed=find_spec("deepspeed") is not None,
        bitsandbytes=find_spec("bitsandbytes") is not None,
        compiler=compiler() is not None,
    )


def compiler() -> str | None:
    """The C++ compiler that torch.compile would call."""
    names = (os.environ.get("CXX") or "g++", "g++", "clang++")
    return next((path for name in names if (path := shutil.which(name))), None)


def process_start() -> float:
    """When this process was started, in seconds since the epoch.

    From its age: psutil's create_time depends on the boot time, which the kernel gives in whole seconds.
    """
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    return time.time() - (uptime - ticks / os.sysconf("SC_CLK_TCK"))


def file_system(path: Path) -> str:
    """The kind of file system that `path` lies on, or would (`ext4`, `nfs4`, `tmpfs`, …); empty if unknown."""
    there = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    device = there.stat().st_dev
    mark = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(errors="replace").splitlines():
        fields = line.split()
        if fields[2] == mark:
            return fields[fields.index("-") + 1]  # fields before the dash are not always as many
    return ""


def versions() -> dict[str, str]:
    """Installed versions of the packages that decide a run's numbers."""
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed[name] = "not installed"
    return installed


def build_without_gpus() -> str:
    """The version of a torch that was built for CPUs alone, as its makers mark it; empty for any other."""
    version = versions()["torch"]
    return version if version.partition("+")[2] == "cpu" else ""


def _gpus() -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and bytes of the NVIDIA GPUs that CUDA_VISIBLE_DEVICES leaves visible."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in ("", "-1"):
        return (), ()
    if not Path("/proc/driver/nvidia").exists() and not Path("/dev/nvidiactl").exists():
        return (), ()
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return (), ()
    numbers = list(range(pynvml.nvmlDeviceGetCount()))
    if visible is not None:
        selected = [part.strip() for part in visible.split(",") if part.strip()]
        # a number picks that GPU; other names (UUIDs, MIG) are only counted
        by_number = all(part.isdigit() for part in selected)
        numbers = [int(part) for part in selected if int(part) in numbers] if by_number else numbers[: len(selected)]
    handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in numbers]
    names = tuple(str(pynvml.nvmlDeviceGetName(handle)) for handle in handles)
    return names, tuple(int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) for handle in handles)


def _cpu_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text().split("flags", 2)[1].split("\n", 1)[0].split()
    except (OSError, IndexError):
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
