"""The checks of torch and DeepSpeed in `launcher doctor`, each reported as a finding; nothing here raises."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from launcher.training import torchvision_guard

SECONDS_TO_MEET = 60


def diagnose(gpus: int) -> list[dict[str, str]]:
    """Findings about torch, its processes and DeepSpeed. Processes are forked before anything else touches a GPU."""
    try:
        import torch
    except Exception as error:
        return [
            _finding("torch", "bad", f"it cannot be imported: {_first(error)}", "pip install --force-reinstall torch")
        ]
    return [*_together(gpus), *_build(torch, gpus), *_torchvision(), _deepspeed(gpus)]


def _finding(name: str, grade: str, what: str, do: str = "") -> dict[str, str]:
    return {"name": name, "grade": grade, "what": what, "do": do}


def _first(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _together(gpus: int) -> list[dict[str, str]]:
    """Two forked processes that meet as ranks do, and add up their numbers."""
    device, folder = "cuda" if gpus > 1 else "cpu", Path(tempfile.mkdtemp(prefix="launcher-doctor-"))
    library = "NCCL" if device == "cuda" else "gloo"
    try:
        children = [_fork(rank, device, folder) for rank in range(2)]
        late = _wait(children)
        answers = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("rank-*.json"))]
        # the other one breaks next, over the peer that it has lost
        broken = [one["error"] for one in sorted(answers, key=lambda one: one.get("time", 0.0)) if "error" in one]
        if late or broken or len(answers) < 2:
            why = broken[0] if broken else f"they did not end in {SECONDS_TO_MEET} s" if late else "one died"
            do = "NCCL_DEBUG=INFO tells more" if device == "cuda" else "see whether the loopback interface is up"
            return [_finding("all-reduce", "bad", f"two forked processes cannot add up over {library}: {why}", do)]
        return [_finding("all-reduce", "ok", f"2 forked processes over {library}: {answers[0]['line']}")]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fork(rank: int, device: str, folder: Path) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        from launcher.training.distributed.allreduce_check import measured
        from launcher.training.distributed.world import join

        answer: dict[str, Any] = {"line": measured(join(device, folder / "store", alone=False))}
    except BaseException as error:
        answer = {"error": _first(error), "time": time.time()}
    (folder / f"rank-{rank}.json").write_text(json.dumps(answer), encoding="utf-8")
    os._exit(0)


def _wait(children: list[int]) -> bool:
    """Whether any of them had to be killed."""
    deadline, late = time.monotonic() + SECONDS_TO_MEET, False
    for child in children:
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                late = True
            time.sleep(0.02)  # polled: waitpid has no time limit of its own
    return late


def _build(torch: Any, gpus: int) -> list[dict[str, str]]:
    build = torch.version.cuda
    about = f"{torch.__version__}, built for {f'CUDA {build}' if build else 'CPUs'}"
    if not gpus:
        return [_finding("torch", "ok", about)]
    if build is None:
        do = "install torch from PyTorch's CUDA index: https://pytorch.org/get-started/locally"
        return [_finding("torch", "bad", f"{about}, but there are {gpus} GPUs", do)]
    try:
        driver = _driver_cuda()
        if int(build.split(".")[0]) > driver // 1000:
            do = "update the driver, or install a torch that is built for an older CUDA"
            return [_finding("torch", "bad", f"{about}, but the driver knows CUDA {driver // 1000} at most", do)]
        values = torch.ones(64, 64, device="cuda", dtype=torch.bfloat16)
        right = float((values @ values).sum().item()) == 64.0**3
        bf16 = "bf16 in hardware" if torch.cuda.is_bf16_supported(including_emulation=False) else "no bf16 in hardware"
    except Exception as error:
        return [
            _finding("torch", "bad", f"{about}, but it cannot compute on the GPU: {_first(error)}", "see `nvidia-smi`")
        ]
    grade = "ok" if right else "bad"
    return [_finding("torch", grade, f"{about}; {'computes' if right else 'computes wrongly'} on the GPU, {bf16}")]


def _torchvision() -> list[dict[str, str]]:
    """Only where it is installed and broken: nothing here needs it."""
    if not (why := torchvision_guard.fault()):
        return []
    do = "pip uninstall torchvision, or install the one that belongs to this torch"
    what = f"torchvision cannot be imported: {why}; it is hidden from transformers, which it would break"
    return [_finding("torchvision", "warn", what, do)]


def _driver_cuda() -> int:
    """The newest CUDA that the driver knows, as 12040 for 12.4."""
    import pynvml

    pynvml.nvmlInit()
    return int(pynvml.nvmlSystemGetCudaDriverVersion())


def _deepspeed(gpus: int) -> dict[str, str]:
    if not gpus:
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # or it prints that it has looked for others
    began = time.perf_counter()
    try:
        import deepspeed
    except Exception as error:
        return _finding(
            "deepspeed", "bad", f"it cannot be imported: {_first(error)}", "pip install deepspeed, or use fsdp2"
        )
    return _finding("deepspeed", "ok", f"{deepspeed.__version__}, imported in {time.perf_counter() - began:.1f} s")
