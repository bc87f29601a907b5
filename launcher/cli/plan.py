"""`launcher plan`: what each strategy would take of memory and network, which fit, and which one would be chosen."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from launcher.cli.columns import WIDTH_OF_A_FILE, flowing, print_table, terminal_width, width_of
from launcher.cli.display import print_json
from launcher.errors import PlanError, Problem
from launcher.host import machine_facts
from launcher.host.facts import Facts
from launcher.launch import run_request
from launcher.launch.request import Request
from launcher.plan import fit, rules
from launcher.plan import plan as planning
from launcher.plan.fit import Candidate, Room, size
from launcher.plan.model_facts import ModelFacts, facts_from
from launcher.plan.placement import STRATEGIES, Placement, StrategyName
from launcher.recipe.recipe import LoadedRecipe, sound

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
PARTS = {
    "parameters": "weights",
    "gradients": "gradients",
    "optimizer": "optimiser",
    "activations": "activations",
    "buffers": "buffers",
}
"""What a rank's memory is made of, and what users call it."""


@dataclass(frozen=True)
class Outlook:
    """Everything that is shown: each strategy's candidate, or why it is refused here; the choice and its reason."""

    loaded: LoadedRecipe
    facts: ModelFacts
    room: Room
    candidates: list[Candidate]
    refused: dict[StrategyName, str]
    chosen: Candidate | None
    why: str
    problem: Problem | None

    def document(self) -> dict[str, Any]:
        """As JSON values; memory in bytes a rank, communication in bytes that a rank sends in a step."""
        room = self.room
        return {
            "recipe": str(self.loaded.path),
            "model": {
                "parameters": self.facts.total,
                "trainable": self.facts.trainable,
                "layers_traced": self.facts.layers,
                "longest_row": self.facts.longest,
            },
            "room": {
                "device": room.device,
                "nodes": room.nodes,
                "processes_per_node": room.processes_per_node,
                "memory": room.memory,
                "limit": room.limit,
            },
            "batch_size": self.loaded.recipe.training.batch_size,
            "precision": self.loaded.recipe.training.precision,
            "strategies": [candidate.document() for candidate in self.candidates],
            "refused": self.refused,
            "fitting": [candidate.strategy for candidate in self.candidates if candidate.fits],
            "chosen": self.chosen.strategy if self.chosen else None,
            "why": self.why,
            "problems": [self.problem.document()] if self.problem else [],
        }


def show_plan(request: Request, gpu_memory: str | None, as_json: bool) -> int:
    """Print the outlook; 0 where something fits. Raises the errors of the gates."""
    forecast = outlook(request, gpu_memory)
    if isinstance(forecast, Unpredictable):
        forecast.show(as_json)
        return 0
    if as_json:
        print_json(forecast.document())
    else:
        _print(forecast, request.placement)
    if forecast.problem is not None:
        print(f"launcher: {PlanError(forecast.problem)}", file=sys.stderr)
        return PlanError.exit_code
    return 0


@dataclass(frozen=True)
class Unpredictable:
    """A model that can be trained, but whose memory cannot be predicted."""

    recipe: Path
    strategy: StrategyName
    why: str

    def show(self, as_json: bool) -> None:
        """Print it."""
        if as_json:
            print_json({"recipe": str(self.recipe), "chosen": self.strategy, "why": self.why})
        else:
            print(f"{self.recipe}: {self.why}")


def outlook(request: Request, gpu_memory: str | None) -> Outlook | Unpredictable:
    """Look at the model, then at every strategy. Raises RecipeError, DataError, PlanError; loads no weights."""
    loaded = sound(run_request.recipe_of(request))
    machine, placement = _machine(request.placement, gpu_memory)
    problems = rules.judge(loaded, machine, placement)
    if problems:
        raise PlanError(problems)
    prepared = run_request.prepare(loaded)
    if prepared.get("model") is None and "unknown" not in prepared:
        prepared |= run_request.model_facts(loaded, prepared)
    if "unknown" in prepared:
        plan = planning.make(loaded, machine, placement, prepared, machine_facts.versions())
        return Unpredictable(loaded.path, plan.strategy, plan.why)
    run_request.look_again(loaded, machine, placement, prepared)
    facts, room = facts_from(prepared["model"]), planning.room_for(machine, placement)
    names = [planning.named_strategy(placement)] if placement.strategy != "auto" else list(STRATEGIES)
    refused: dict[StrategyName, str] = {}
    for name in names:
        why = rules.judge(loaded, machine, replace(placement, strategy=name))
        if why:
            refused[name] = why[0].what
    candidates = planning.candidates(loaded, room, prepared, [name for name in names if name not in refused])
    allowed = names if placement.strategy != "auto" else fit.possible(room, machine.deepspeed)
    takeable = [candidate for candidate in candidates if candidate.strategy in allowed]
    try:
        chosen, why_chosen = fit.cheapest(takeable)
    except PlanError as error:
        problem = error.problems[0]
        return Outlook(loaded, facts, room, candidates, refused, None, problem.what, problem)
    return Outlook(loaded, facts, room, candidates, refused, chosen, why_chosen, None)


def parse_size(text: str) -> int:
    """`80GB` or `24GiB` in bytes. Raises PlanError for what is no size."""
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*([KMGT]?I?)B?\s*", text.upper())
    number = round(float(match[1]) * UNITS[match[2]]) if match and match[2] in UNITS else 0
    if number <= 0:
        raise PlanError(Problem(f"{text!r} is no size of memory", "--gpu-memory", "write it like 80GB or 24GiB"))
    return number


def _machine(placement: Placement, gpu_memory: str | None) -> tuple[Facts, Placement]:
    """This machine, or one like it with as many GPUs of that size as processes."""
    machine = machine_facts.facts()
    if gpu_memory is None:
        return machine, placement
    count = placement.processes or 1
    each = parse_size(gpu_memory)
    gpus = {"gpus": ("planned",) * count, "gpu_memory_bytes": (each,) * count}
    # mypy checks every field against the union of the values' types
    return replace(machine, **gpus), replace(placement, device="cuda", processes=count)  # type: ignore[arg-type]


def _print(forecast: Outlook, placement: Placement) -> None:
    width, room, facts = terminal_width() or WIDTH_OF_A_FILE, forecast.room, forecast.facts

    def say(text: str) -> None:
        print("\n".join(flowing(text.split(" "), width, joint=" ")))

    where = f"{room.nodes} node{'s' if room.nodes > 1 else ''} x {room.processes_per_node} x {room.device}"
    rows = f"rows of up to {facts.longest} tokens"
    say(f"{forecast.loaded.path}: {facts.total:,} parameters, {facts.trainable:,} of them train; {rows}")
    say(f"{where}, {size(room.memory)}, of which {size(room.limit)} may be planned for a rank")
    say("memory of one rank at the moment when it holds most; batch: processes x rows at a time x accumulation")
    remembers = {"remembered": "remembered"} if facts.remembered else {}  # by EWC and LwF
    made_of = {**PARTS, **remembers}
    head, parts, sums = ["strategy", "fits", "batch"], [list(made_of.values())], [["total", "host", "sent a step"]]
    names = [head]
    for candidate in forecast.candidates:
        memory = candidate.memory.document()
        divided = f"{room.world_size} x {candidate.micro_batch_size} x {candidate.accumulation}"
        marked = f"{candidate.strategy}{'*' if candidate.recompute else ''}"
        names.append([marked, "yes" if candidate.fits else "no", divided])
        parts.append([size(memory[name]) if memory[name] else "-" for name in made_of])
        sums.append([size(memory[name]) if memory[name] else "-" for name in ("total", "host", "communication")])
    print()
    whole = [[*name, *part, *whole] for name, part, whole in zip(names, parts, sums, strict=True)]
    if width_of(whole) <= width:
        print_table(whole)
    else:
        print_table([[*name, *whole] for name, whole in zip(names, sums, strict=True)], width)
        print("\nwhat the total is made of:")
        print_table([[name[0], *part] for name, part in zip(names, parts, strict=True)], width)
    if any(candidate.recompute for candidate in forecast.candidates):
        say("* activations are computed again in the backward pass")
    for name, why in forecast.refused.items():
        say(why if name in why.split(" ")[:2] else f"{name}: {why}")
    if forecast.chosen is not None:
        print()
        name, why = forecast.chosen.strategy, forecast.why.removeprefix(forecast.chosen.strategy).lstrip()
        say(f"auto takes {name}: it {why}" if placement.strategy == "auto" else f"{name}, as requested: it {why}")
