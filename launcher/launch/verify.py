"""Does a recipe give the same run under every strategy? A slice of it is trained each way and compared.

The reference is one process without any wrapper, computing as the recipe says. Every other run divides its share
of the batch into uneven micro-batches, so that accumulation is put to the test even where it is not needed. All
are real runs through gates, plan, run folder and ranks, with dropout off and few evaluation rows, and each run's
proven model is read back.

Two things must agree:

- Losses, at every step. fp32 rounds differently when a sum is taken in another order; that stays below 1e-5 over
  tens of steps. bf16 keeps 8 bits, and gets 5e-2.
- Saved weights: the distance between the two models as a part of the distance that training covered. Adam divides
  each gradient by its own size, so where a gradient is nothing but rounding (the bias of attention's keys), the
  weight moves a whole learning rate either way: single weights may lie apart by many learning rates in two right
  runs, and the largest difference is reported, not judged. Over all weights such noise is small; the effect of a
  wrong step is not.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

from launcher import child
from launcher.errors import LauncherError, PlanError, Problem, RecipeError, WorkerError, did_you_mean
from launcher.launch import opening, run_request, supervisor
from launcher.launch.node import Node
from launcher.launch.request import Request
from launcher.plan.placement import STRATEGIES, StrategyName
from launcher.recipe.recipe import LoadedRecipe
from launcher.runs import driver

USUAL: tuple[StrategyName, ...] = ("ddp", "fsdp2", "zero1", "zero2", "zero3")
"""What is compared by default; offloading needs a GPU."""
LOSS_TOLERANCE = {"fp32": 1e-5, "bf16": 5e-2, "fp16": 5e-2}
"""Largest difference of a step's loss, by precision."""
MODEL_TOLERANCE = {"fp32": 1e-2, "bf16": 0.2, "fp16": 0.2}
"""Largest distance from the reference's weights, as a part of the distance of these from their initial values."""
EVALUATION_ROWS = 64

Verdict = Literal["reference", "agrees", "differs", "failed", "refused"]


@dataclass
class Row:
    """One line of the table: a strategy on a number of processes, beside the run on one."""

    strategy: StrategyName
    world_size: int
    verdict: Verdict = "agrees"
    steps: int = 0
    loss_difference: float | None = None
    model_difference: float | None = None
    """Largest difference of one trained weight."""
    model_distance: float | None = None
    """See `MODEL_TOLERANCE`."""
    why: str = ""
    batch: str = ""
    """How the global batch was divided."""
    seconds: float = 0.0

    def run_name(self) -> str:
        """The name of its run."""
        return "reference" if self.verdict == "reference" else f"{self.strategy}-{self.world_size}"

    def name(self) -> str:
        """`zero3 on 2`."""
        return f"{self.strategy} on {self.world_size} process{'es' if self.world_size > 1 else ''}"


@dataclass
class Verification:
    """The whole table, and what its tolerances depend on."""

    rows: list[Row]
    steps: int
    precision: str

    def problems(self) -> list[Problem]:
        """One for each row that does not agree; empty when all do. What a rule refused cannot disagree."""
        return [
            Problem(f"{row.name()} {row.verdict}: {row.why}", do="compare with --keep DIR and `launcher logs`")
            for row in self.rows
            if row.verdict in ("differs", "failed")
        ]

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        tolerance = {"loss": LOSS_TOLERANCE[self.precision], "model_distance": MODEL_TOLERANCE[self.precision]}
        return {**asdict(self), "tolerance": tolerance, "agrees": not self.problems()}


def verify(
    request: Request,
    strategies: Sequence[str],
    processes: Sequence[int],
    steps: int,
    say: Callable[[str], None],
) -> Verification:
    """Run the recipe of `request` for `steps` steps each way, in folders under `request.runs`, and compare.

    `say` gets a line as each run ends. Raises the gates' errors for what stands in the way of all runs: RecipeError,
    DataError, PlanError; WorkerError when the reference itself fails.
    """
    request = replace(request, overrides=_settings(request, steps))
    rows = [Row(strategy, count) for strategy in _known(strategies) for count in _counts(strategy, processes)]
    reference = Row("single", 1, verdict="reference")
    loaded = run_request.gates(_placed(request, reference))
    if loaded.recipe.training.epochs == 0:
        what = "the recipe trains nothing, so there are no losses to compare"
        raise PlanError(Problem(what, loaded.where("training.epochs"), "--set training.epochs=1"))
    _refuse_impossible(request, rows)
    precision = loaded.recipe.training.precision
    trials = _Trials(request, Node.open(), say)  # imports while the data is prepared
    try:
        data = {"rows": EVALUATION_ROWS, "folder": str(request.runs.resolve() / "data")}
        prepared = run_request.prepare(loaded, slice=data)
        losses = trials.run(reference, loaded, prepared)
        for row in rows:
            if row.verdict != "refused":
                trials.compare(row, prepared, losses, LOSS_TOLERANCE[precision])
    finally:
        trials.node.close()
    _compare_models(request, reference, rows, MODEL_TOLERANCE[precision])
    return Verification([reference, *rows], reference.steps, precision)


@dataclass
class _Trials:
    """The runs, one after another, forked from one fork server."""

    request: Request
    node: Node
    say: Callable[[str], None]

    def run(self, row: Row, loaded: LoadedRecipe, prepared: dict[str, Any]) -> dict[int, float]:
        """One real run; the loss of each step."""
        began = time.time()
        request = _placed(self.request, row)
        plan = run_request.make_plan(request, loaded, prepared)
        if row.verdict != "reference" and plan.accumulation == 1:
            plan = supervisor.with_micro_batch(plan, _uneven(plan.micro_batch_size))
        folder = run_request.find_folder(request, loaded)
        attempt = opening.open_folder(folder, request, loaded, plan)
        try:
            outcome = supervisor.drive(folder, attempt, plan, self.node, began, lambda: None, lambda: 0)
        finally:
            driver.drop_lease(folder)
            for made in folder.attempts():
                shutil.rmtree(made.checkpoints, ignore_errors=True)
        row.steps, row.seconds = int(outcome["steps"]), time.time() - began
        row.batch = plan.derivation()
        if row.verdict == "reference":
            self.say(f"{row.name()}: {row.steps} steps to compare with ({row.seconds:.0f} s)")
        return {int(event["step"]): float(event["loss"]) for event in folder.events_so_far()}

    def compare(self, row: Row, prepared: dict[str, Any], reference: dict[int, float], tolerance: float) -> None:
        """Run and fill in the row's losses; what breaks is this row's verdict, and the others go on."""
        try:
            losses = self.run(row, run_request.gates(_placed(self.request, row)), prepared)
        except PlanError as error:  # only the plan can know
            row.verdict, row.why = "refused", _in_a_line(error)
        except WorkerError as error:
            row.verdict, row.why = "failed", _in_a_line(error)
        else:
            _judge_losses(row, losses, reference, tolerance)
        summary = row.why if row.loss_difference is None else f"largest loss difference {row.loss_difference:.1e}"
        self.say(f"{row.name()}: {summary}" + (f" ({row.seconds:.0f} s)" if row.seconds else ""))


def _judge_losses(row: Row, losses: dict[int, float], reference: dict[int, float], tolerance: float) -> None:
    if losses.keys() != reference.keys():
        row.verdict, row.why = "differs", f"{len(losses)} steps instead of {len(reference)}"
        return
    apart = {step: abs(losses[step] - reference[step]) for step in sorted(reference)}
    row.loss_difference = max(apart.values())
    beyond = [step for step, difference in apart.items() if not difference <= tolerance]
    if beyond:
        row.verdict = "differs"
        row.why = f"losses up to {row.loss_difference:.1e} apart, more than {tolerance:g} from step {beyond[0]} on"


def _judge_models(row: Row, apart: dict[str, float], tolerance: float) -> None:
    row.model_difference, row.model_distance = apart["largest"], apart["distance"]
    if not row.model_distance <= tolerance:
        why = f"saved models apart by {row.model_distance:.1e} of the distance trained, more than {tolerance:g}"
        row.verdict, row.why = "differs", "; ".join(part for part in (row.why, why) if part)


def _compare_models(request: Request, reference: Row, rows: list[Row], tolerance: float) -> None:
    compared = [row for row in rows if row.loss_difference is not None]
    folders = [str(request.runs.resolve() / row.run_name()) for row in (reference, *compared)]
    distances = child.heavy("compare", {"runs": folders}) if compared else []
    for row, apart in zip(compared, distances, strict=True):
        _judge_models(row, apart, tolerance)


def _uneven(share: int) -> int:
    """A micro-batch that divides a process's share in two parts of different size, or in single rows."""
    return share // 2 + 1 if share > 2 else 1


def _placed(request: Request, row: Row) -> Request:
    placement = replace(request.placement, strategy=row.strategy, processes=row.world_size)
    return replace(request, placement=placement, name=row.run_name())


def _settings(request: Request, steps: int) -> dict[str, str]:
    """The user's overrides and those that make it a slice. Raises RecipeError where the two contradict."""
    ours = {
        "training.dropout": "0",
        "training.max_steps": str(steps),
        "training.log_every": "1",
        "training.evaluate_every": str(steps),
        "training.checkpoint_every": str(steps),
        "training.patience": "null",
    }
    said = "--steps" if "training.max_steps" in request.overrides else ""
    if both := sorted(ours.keys() & request.overrides.keys()):
        what = f"verify sets {', '.join(both)} itself"
        raise RecipeError(Problem(what, "--set", f"leave it out{f', and give {said}' if said else ''}"))
    return {**request.overrides, **ours}


def _known(strategies: Sequence[str]) -> Iterator[StrategyName]:
    unknown = [name for name in strategies if name not in STRATEGIES]
    problems = [
        Problem(f"there is no strategy {name!r}", "--strategies", did_you_mean(name, STRATEGIES)) for name in unknown
    ]
    if not strategies:
        problems = [Problem("no strategy was named", "--strategies", "known: " + ", ".join(STRATEGIES))]
    if problems:
        raise PlanError(problems)
    # a cast: every name was looked up in STRATEGIES
    yield from (cast(StrategyName, name) for name in dict.fromkeys(strategies))


def _counts(strategy: str, processes: Sequence[int]) -> list[int]:
    return [1] if strategy == "single" else list(dict.fromkeys(processes))


def _refuse_impossible(request: Request, rows: list[Row]) -> None:
    """Mark the rows that a rule refuses. Raises PlanError where none is left to compare."""
    problems = []
    for row in rows:
        try:
            run_request.gates(_placed(request, row))
        except PlanError as error:
            row.verdict, row.why = "refused", _in_a_line(error)
            problems += [problem for problem in error.problems if problem not in problems]
    if all(row.verdict == "refused" for row in rows):
        raise PlanError(problems)


def _in_a_line(error: LauncherError) -> str:
    return "; ".join(problem.what for problem in error.problems)
