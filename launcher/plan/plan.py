"""The plan: recipe + facts + placement -> one value that promises everything the workers then verify.

A pure function of these and of the strategy's file; it starts nothing.
"""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from launcher.errors import BackendError, PlanError, Problem
from launcher.host.facts import Facts
from launcher.plan import fit, rules, strategy_file
from launcher.plan.model_facts import facts_from
from launcher.plan.placement import HANG_SECONDS, Placement, StrategyName
from launcher.recipe import method_rules
from launcher.recipe.about_images import trains_batch_norm
from launcher.recipe.method import names_parts
from launcher.recipe.recipe import LoadedRecipe, digest
from launcher.recipe.source import Static
from launcher.recipe.training import Training


@dataclass(frozen=True)
class Plan:
    """What a run will be, decided before it starts. Batches are counted in rows, steps in optimiser steps."""

    recipe: str
    """Absolute path of the recipe module, which every rank imports again; empty where the run's own copy is the only
    one, written from a recipe that Python code made."""
    digest: str
    """Of the resolved recipe: what a rank imports must match it."""
    overrides: dict[str, str]
    strategy: StrategyName
    sharding: dict[str, Any]
    """What the strategy's file says (`strategy_file.read`)."""
    device: str
    world_size: int
    threads_per_process: int
    batch_size: int
    micro_batch_size: int
    accumulation: int
    steps: int
    steps_per_epoch: int | None
    """None of a stream: nobody knows before it has been read."""
    precision: str
    prepared: str
    """Folder of the tokenised data."""
    versions: dict[str, str]
    data: str = ""
    """Digest of the data's content."""
    recompute: bool = False
    """Whether activations are computed again in the backward pass."""
    nodes: int = 1
    """Machines that share the processes evenly."""
    memory: dict[str, int] | None = None
    """The predicted peak of a rank in bytes (`memory.Breakdown`); None where it was plain that all fits."""
    base: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What the model is built on, by its content (`training/sources/bases.py`)."""
    why: str = ""
    """Why this strategy and this micro-batch, in a sentence."""
    hang_seconds: float = HANG_SECONDS
    """A rank that makes no progress for so long hangs (`launcher.runs.watchdog`)."""

    def document(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return dataclasses.asdict(self)

    @property
    def processes_per_node(self) -> int:
        """The ranks of one machine."""
        return self.world_size // self.nodes

    def scheduled(self, training: Training) -> int:
        """Over how many steps warm-up and schedule are laid out."""
        if training.schedule_epochs is None or self.steps_per_epoch is None:
            return self.steps
        return training.schedule_epochs * self.steps_per_epoch

    def derivation(self) -> str:
        """`64 global = 2 processes x 8 x 4 accumulation`."""
        processes = "1 process" if self.world_size == 1 else f"{self.world_size} processes"
        return f"{self.batch_size} global = {processes} x {self.micro_batch_size} x {self.accumulation} accumulation"


def from_document(values: dict[str, Any]) -> Plan:
    """The plan that `Plan.document` described. Raises BackendError for one that another version wrote."""
    if not isinstance(values, dict):
        raise BackendError(Problem("plan.json is missing", do="start a new run"))
    known = {field.name for field in dataclasses.fields(Plan)}
    try:
        return Plan(**{name: value for name, value in values.items() if name in known})
    except TypeError as error:
        what = f"plan.json was not written by this version: {error}"
        raise BackendError(Problem(what, do="start a new run")) from None


def make(
    loaded: LoadedRecipe,
    facts: Facts,
    placement: Placement,
    prepared: dict[str, Any],
    versions: dict[str, str],
) -> Plan:
    """Decide the run. `prepared` is what `prepare` returned: `{"folder": str, "rows": {split: n}, …}`."""
    training = loaded.recipe.training
    processes = rules.processes_for(facts, placement)
    world_size = processes * placement.nodes
    device = rules.device_for(facts, placement)
    steps, steps_per_epoch = steps_of(training, prepared)
    if too_long := method_rules.schedule_too_long(loaded, steps):
        raise PlanError(too_long)
    chosen = _chosen(loaded, facts, placement, prepared)
    _refuse_parted_statistics(loaded, chosen)
    return Plan(
        recipe="" if loaded.given else str(loaded.path.resolve()),
        digest=digest(loaded.recipe),
        overrides=dict(loaded.overrides),
        strategy=chosen.strategy,
        sharding=strategy_file.read(chosen.strategy),
        device=device,
        world_size=world_size,
        threads_per_process=max(1, facts.cores // processes),
        batch_size=training.batch_size,
        micro_batch_size=chosen.micro_batch_size,
        accumulation=chosen.accumulation,
        steps=steps,
        steps_per_epoch=steps_per_epoch,
        precision=training.precision,
        prepared=str(prepared["folder"]),
        versions=versions,
        data=str(prepared.get("data", "")),
        base=dict(prepared.get("base", {})),
        recompute=chosen.recompute,
        nodes=placement.nodes,
        memory=chosen.memory,
        why=chosen.why,
        hang_seconds=placement.hang_seconds,
    )


def steps_of(training: Training, prepared: dict[str, Any]) -> tuple[int, int | None]:
    """How many steps a run has at most, and how many an epoch has, where that is known."""
    if prepared.get("stream"):
        assert training.max_steps is not None  # the rules have refused it
        return (training.max_steps if training.epochs else 0), None
    steps_per_epoch = math.ceil(int(prepared["rows"]["train"]) / training.batch_size)
    steps = steps_per_epoch * training.epochs
    return min(steps, training.max_steps or steps), steps_per_epoch


def _refuse_parted_statistics(loaded: LoadedRecipe, chosen: _Choice) -> None:
    """Raise PlanError where memory is too short for the batch whose statistics batch normalisation is to take."""
    if trains_batch_norm(loaded.recipe.task) and (chosen.accumulation > 1 or chosen.recompute):
        what = "batch_norm='trained' takes the statistics of the whole batch, and memory is too short for it at once"
        do = "make training.batch_size smaller, use more processes, or leave task.batch_norm out"
        raise PlanError(Problem(what, loaded.where("task.batch_norm"), do))


@dataclass(frozen=True)
class _Choice:
    strategy: StrategyName
    micro_batch_size: int
    accumulation: int
    memory: dict[str, int] | None
    why: str
    recompute: bool


def _chosen(loaded: LoadedRecipe, facts: Facts, placement: Placement, prepared: dict[str, Any]) -> _Choice:
    """Strategy and micro-batch. Raises PlanError where not even one row at a time fits."""
    room, training = room_for(facts, placement), loaded.recipe.training
    if prepared.get("model") is not None:
        best, why = fit.cheapest(candidates(loaded, room, prepared, allowed(loaded, facts, placement)))
        memory = best.memory.document()
        return _Choice(best.strategy, best.micro_batch_size, best.accumulation, memory, why, best.recompute)
    share = training.batch_size // room.world_size
    micro = min(share, training.micro_batch_size or share)
    strategy = next(iter(allowed(loaded, facts, placement)), "ddp" if room.world_size > 1 else "single")
    why = f"{strategy} with {micro} rows at a time plainly fits."
    if prepared.get("unknown"):
        why = f"{unpredictable(prepared)}; {strategy} with {micro} rows at a time is tried."
    return _Choice(strategy, micro, math.ceil(share / micro), None, why, bool(training.recompute))


def unpredictable(prepared: dict[str, Any]) -> str:
    """The message that this model's memory cannot be predicted, and why."""
    return f"what this model takes of memory cannot be predicted ({prepared['unknown']})"


def candidates(
    loaded: LoadedRecipe, room: fit.Room, prepared: dict[str, Any], strategies: Sequence[StrategyName]
) -> list[fit.Candidate]:
    """Each strategy as it fits best; twice if `prepared` also has the facts of the model that recomputes."""
    training, fitted = loaded.recipe.training, []
    for name, recompute in (("model", bool(training.recompute)), ("recomputed", True)):
        if prepared.get(name) is not None:
            most = training.micro_batch_size
            passes, turns = training.passes, training.turns
            batch = fit.Batch(training.batch_size, most, training.optimizer, recompute, passes, turns)
            fitted += fit.candidates(facts_from(prepared[name]), batch, room, strategies)
    return fitted


def allowed(loaded: LoadedRecipe, facts: Facts, placement: Placement) -> list[StrategyName]:
    """The strategy that was requested; or those that `auto` may take, which no rule refuses for this recipe."""
    if placement.strategy != "auto":
        return [named_strategy(placement)]
    strategies = fit.possible(room_for(facts, placement), facts.deepspeed)
    return [name for name in strategies if not rules.judge(loaded, facts, replace(placement, strategy=name))]


def room_for(facts: Facts, placement: Placement) -> fit.Room:
    """The ranks' memory: that of the smallest GPU, or the machine's."""
    device = rules.device_for(facts, placement)
    memory = min(facts.gpu_memory_bytes, default=0) if device == "cuda" else facts.memory_bytes
    return fit.Room(device, placement.nodes, rules.processes_for(facts, placement), memory)


def named_strategy(placement: Placement) -> StrategyName:
    """The strategy that was requested by name."""
    return cast(StrategyName, placement.strategy)  # `rules.judge` has refused all other names


def wants_model_facts(loaded: LoadedRecipe, facts: Facts, placement: Placement, prepared: dict[str, Any]) -> bool:
    """Whether the model must be looked at before the run can be planned.

    Memory is a question, or the method names parts of the model, which only the model itself can find.
    """
    if prepared.get("model") is not None or "unknown" in prepared:
        return False
    if names_parts(loaded.recipe.peft):
        return True
    room, training = room_for(facts, placement), loaded.recipe.training
    share = training.batch_size // room.world_size
    rows = min(share, training.micro_batch_size or share)
    return prepared.get("bound") is None or not fit.plainly_fits(prepared["bound"], rows, room)


def wants_recomputed_facts(loaded: LoadedRecipe, facts: Facts, placement: Placement, prepared: dict[str, Any]) -> bool:
    """Whether the model must be looked at once more, as it recomputes its activations.

    The recipe leaves it open, and nothing fits otherwise (offloading is the last resort).
    """
    recipe = loaded.recipe
    if recipe.training.recompute is not None or isinstance(recipe.embedding, Static):
        return False
    if prepared.get("model") is None or "recomputed" in prepared:
        return False
    fitted = candidates(loaded, room_for(facts, placement), prepared, allowed(loaded, facts, placement))
    return not any(candidate.fits and candidate.strategy != "zero3_offload" for candidate in fitted)


def command_by_hand(plan: Plan, recipe: str, config_file: str, options: list[str]) -> str:
    """The `accelerate launch` line that gives the same run; for several machines with names for what differs."""
    line = ["accelerate", "launch", "--config_file", config_file, "--num_processes", str(plan.world_size)]
    if plan.nodes > 1:
        line += ["--num_machines", str(plan.nodes), "--machine_rank", "K"]
        line += ["--main_process_ip", "HOST", "--main_process_port", "PORT"]
    return shlex.join([*line, recipe, *options])
