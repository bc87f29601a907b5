"""What fits: for each strategy the largest micro-batch that the memory takes, and the cheapest strategy of all.

The global batch is the recipe's and stays. Pure: facts, settings and room in, values out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from launcher.errors import PlanError, Problem
from launcher.plan.memory import WORD, Breakdown, Setting, predict
from launcher.plan.model_facts import ModelFacts
from launcher.plan.placement import StrategyName

ORDER: tuple[StrategyName, ...] = ("single", "ddp", "zero1", "zero2", "fsdp2", "zero3", "zero3_offload")
"""`auto` takes the one that fits and sends least in a step; of equals the earlier. Offload is the last resort."""
GPU_PART, CPU_PART = 0.92, 0.90
"""Part of the memory that may be planned: a CUDA context and fragments, or the operating system, take the rest."""
LIBRARIES_BYTES, PROCESS_BYTES = 700 << 20, 100 << 20
"""In a machine's memory: the libraries, which forked ranks share, and what each rank has besides tensors."""
EVALUATED_ROWS = 64
"""Most rows that one process evaluates at a time; a training micro-batch may be larger."""


@dataclass(frozen=True)
class Room:
    """Where the ranks run: `cpu` or `cuda`, how many on how many nodes, and bytes of memory.

    `memory` is that of the smallest GPU, or of a whole machine on a CPU, where its processes share it.
    """

    device: str
    nodes: int
    processes_per_node: int
    memory: int

    @property
    def world_size(self) -> int:
        """All ranks."""
        return self.nodes * self.processes_per_node

    @property
    def limit(self) -> int:
        """Bytes that may be planned for one rank."""
        if self.device == "cuda":
            return int(self.memory * GPU_PART)
        return (int(self.memory * CPU_PART) - LIBRARIES_BYTES) // self.processes_per_node - PROCESS_BYTES


@dataclass(frozen=True)
class Batch:
    """What the recipe says of a step: rows, most rows of a micro-batch (None: no limit), the optimiser.

    And whether activations are recomputed, as the facts must say too, how often each row is computed at a time, and how
    often a micro-batch goes forward and backward.
    """

    rows: int
    most: int | None
    optimizer: str
    recompute: bool = False
    passes: int = 1
    turns: int = 1


@dataclass(frozen=True)
class Candidate:
    """One strategy here: its best way to divide the batch, what that takes, and whether there is room."""

    strategy: StrategyName
    micro_batch_size: int
    accumulation: int
    memory: Breakdown
    limit: int
    fits: bool
    recompute: bool = False

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "strategy": self.strategy,
            "fits": self.fits,
            "recompute": self.recompute,
            "limit": self.limit,
            "micro_batch_size": self.micro_batch_size,
            "accumulation": self.accumulation,
            "memory": self.memory.document(),
        }


def candidates(facts: ModelFacts, batch: Batch, room: Room, strategies: Iterable[StrategyName]) -> list[Candidate]:
    """Each strategy with the largest micro-batch that fits; with one row where none does."""
    return [_candidate(facts, batch, room, strategy) for strategy in strategies]


def possible(room: Room, deepspeed: bool) -> list[StrategyName]:
    """The strategies that `auto` may take here, cheapest first where they send alike."""
    if room.world_size == 1:
        alone: list[StrategyName] = ["single"]
        return alone + (["zero3_offload"] if deepspeed and room.device == "cuda" else [])
    strategies: list[StrategyName] = [name for name in ORDER if name != "single"]
    if not deepspeed:
        strategies = [name for name in strategies if not name.startswith("zero")]
    return [name for name in strategies if name != "zero3_offload" or room.device == "cuda"]


def cheapest(options: Sequence[Candidate]) -> tuple[Candidate, str]:
    """The candidate to take and why, in a sentence. Raises PlanError where none fits."""
    fitting = [candidate for candidate in options if candidate.fits]
    if not fitting:
        raise PlanError(too_large(options))
    best = min(fitting, key=_cost)
    why = f"{best.strategy} needs {size(best.memory.total)} of {size(best.limit)} a rank"
    passed = list(dict.fromkeys(one.strategy for one in options if not one.fits and _cost(one) < _cost(best)))
    passed = [strategy for strategy in passed if strategy != best.strategy]
    if passed:
        why += f"; {', '.join(passed)} would send less but {'do' if len(passed) > 1 else 'does'} not fit"
    elif len(fitting) > 1:
        why += f" and sends least of all that fit, {size(best.memory.communication)} a step"
    if best.recompute:
        why += "; activations are computed again in the backward pass"
    if best.accumulation > 1:
        why += f"; {best.micro_batch_size} rows at a time, {best.accumulation} times a step"
    return best, why + "."


def too_large(options: Sequence[Candidate]) -> Problem:
    """That not even one row at a time fits: what is missing, and what would help."""
    least = min(options, key=lambda candidate: candidate.memory.total)
    parts = {
        "weights": least.memory.parameters,
        "gradients": least.memory.gradients,
        "optimiser state": least.memory.optimizer,
        "activations": least.memory.activations,
        "buffers": least.memory.buffers,
        "what EWC and LwF remember": least.memory.remembered,
    }
    most = max(parts, key=lambda name: parts[name])
    states = parts["weights"] + parts["gradients"] + parts["optimiser state"]
    if most == "what EWC and LwF remember":
        do = "use training.replay instead, which keeps no copies, or train LoRA"
    elif most in ("activations", "buffers") and states < least.memory.total // 2:
        do = "cut embedding.max_length, or take GPUs (a machine) with more memory"
    elif least.strategy in ("single", "ddp", "zero1", "zero2"):
        do = "shard the weights over more processes (--strategy fsdp2), or train LoRA"
    else:
        do = "train LoRA instead of everything, take more processes, or a smaller model"
    needed, missing = size(least.memory.total), size(least.memory.total - least.limit)
    what = f"{least.strategy} needs {needed} a rank for one row at a time, {missing} more than may be planned"
    what += f"; the largest part: {most}, {size(parts[most])}"
    return Problem(what, do=do)


def rows_at_a_time(micro_batch_size: int, accumulation: int, most: int = EVALUATED_ROWS) -> int:
    """How many rows to compute without gradients: `most`, or twice the micro-batch where memory is so short that
    a process's share of the batch was divided.
    """
    return most if accumulation == 1 else min(most, 2 * micro_batch_size)


def plainly_fits(bound: dict[str, int], rows: int, room: Room) -> bool:
    """Whether a model fits however it is spread, judged by counts alone (`training/memory/model_bound.py`).

    Nine times the weights: weights, gradient, two moments, master copy, two gathered copies, and the two models
    that the proof of the save holds; and the copies of EWC and LwF.
    """
    return (9 + bound.get("copies", 0)) * WORD * bound["weights"] + max(rows, EVALUATED_ROWS) * bound[
        "row_bytes"
    ] <= room.limit


def size(number: int) -> str:
    """Bytes for a person: `1.2 GB`."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.3g} {unit}"
        value /= 1000
    raise AssertionError


def _cost(candidate: Candidate) -> tuple[bool, bool, int, int]:
    offloads = candidate.strategy == "zero3_offload"
    return offloads, candidate.recompute, candidate.memory.communication, ORDER.index(candidate.strategy)


def _candidate(facts: ModelFacts, batch: Batch, room: Room, strategy: StrategyName) -> Candidate:
    share = batch.rows // room.world_size
    most = min(share, batch.most or share)

    def tried(micro: int) -> Candidate:
        accumulation = math.ceil(share / micro)
        setting = Setting(
            strategy,
            room.world_size,
            micro * batch.passes,
            accumulation * batch.turns,
            facts.longest,
            batch.optimizer,
            rows_at_a_time(micro, accumulation),
            shared_memory=room.device == "cpu" and room.nodes == 1,
        )
        memory = predict(facts, setting)
        on_device = memory.total + (memory.host if room.device == "cpu" else 0)
        return Candidate(strategy, micro, accumulation, memory, room.limit, on_device <= room.limit, batch.recompute)

    whole = tried(most)
    if whole.fits or most == 1:
        return whole
    low, high = 1, most - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if tried(middle).fits else (low, middle - 1)
    return tried(math.ceil(share / math.ceil(share / low)))  # as many micro-batches, evenly filled
