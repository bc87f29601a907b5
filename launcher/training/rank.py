"""The life of one rank: data, model, strategy, loop, best weights, test, save, proof, outcome."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from launcher.errors import Problem, WorkerError, over_rows
from launcher.json_files import finite
from launcher.plan.plan import Plan
from launcher.recipe.language_data import streams
from launcher.recipe.recipe import LoadedRecipe
from launcher.recipe.task import metrics_of
from launcher.runs import pulse, room
from launcher.runs.publishing import publish
from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.training.alone import tell_of
from launcher.training.batches.split import Split
from launcher.training.checkpoints.writer import Checkpoints
from launcher.training.data.shared_cache import refuse_damage
from launcher.training.distributed.stop_flag import StopFlag
from launcher.training.distributed.world import World
from launcher.training.evaluation import EVALUATION_ROWS, Evaluated, Stopped, evaluate, rows_at_a_time
from launcher.training.initial_model import initial_model
from launcher.training.loop import Loop, LoopState
from launcher.training.memory.measured import peak_memory, resident, side_by_side
from launcher.training.methods import method_work
from launcher.training.model_parts.compiled import compile_model
from launcher.training.model_parts.recompute import recompute
from launcher.training.model_parts.sparse_table import compact
from launcher.training.model_parts.summary import count, model_summary
from launcher.training.onward.account import Account
from launcher.training.onward.consolidation import Consolidated, remembering
from launcher.training.onward.old_rows import OLD_TRAIN
from launcher.training.optimiser import build_schedule
from launcher.training.packed_rows import SPLITS, packed
from launcher.training.prepare import reader_of
from launcher.training.report.gallery import ResultGallery
from launcher.training.report.report import Report
from launcher.training.result.result import Result
from launcher.training.resuming import go_on, put_down, restore
from launcher.training.sources import bases
from launcher.training.steps import shape_of
from launcher.training.steps.lwf import LwF
from launcher.training.strategies import build, in_force, verify
from launcher.training.streaming import account_of, rows_for
from launcher.training.tasks import work_for
from launcher.training.tasks.collate import Batches
from launcher.training.written import with_texts

SECONDS_TO_COMPILE, SECONDS_TO_CONCLUDE = 900.0, 300.0
"""How long a first step may compile, and how long rank 0 alone may draw the last figures and compare memory."""


class RankTraining:
    """Everything one rank holds while it trains. `run` is the whole sequence, top to bottom."""

    def __init__(self, loaded: LoadedRecipe, plan: Plan, folder: RunFolder, attempt: int, world: World, began: float):
        self.recipe, self.plan, self.world, self.began = loaded.recipe, plan, world, began
        self.folder, self.attempt = folder, folder.attempt(attempt)
        self.prepared, self.splits = Path(plan.prepared), dict[str, Split]()
        if world.local_rank == 0:  # once on each machine
            refuse_damage(self.prepared)
            bases.refuse_others(self.recipe, plan.base)
        self.resident = resident()
        self.facts = read_json(self.prepared / "facts.json")
        self.labels: list[str] = self.facts["labels"]
        self.onward = Account(self.recipe, self.facts)
        self.work = work_for(self.recipe.task, reader_of(self.labels, self.facts["max_length"], self.prepared))
        self.stop = StopFlag()
        self.stop.listen()
        self.report = Report(folder, attempt, world.rank, plan.steps, loaded.source)
        self.checkpoints = Checkpoints(folder, attempt, world, self.recipe.training.keep_checkpoints, self.report.note)
        self.batches = Batches(self.work, world.device, self.recipe.training.packing)
        self.method = remembering(method_work(self.recipe.peft), self.recipe.training.ewc)
        self.strategy = build(plan, world)
        self.distilled: LwF | None = None
        any_token = self.work.feeds_any_token or streams(self.recipe.data)
        self.strategy.rows_alone = not (self.method.lives or any_token)
        self.result = self._result()

    def run(self) -> str:
        """Train to the end or to a requested stop; the outcome's status."""
        self.report.starts("building the model")
        initial = self._initial()
        packed(initial, self.batches, map(self.split, SPLITS), self.world.leads)
        counts, summary = count(initial), model_summary(initial)
        padding = tell_of(initial, self.split("train"), self.batches, self.world, self.report.note)
        self._compact(initial)
        if self.plan.recompute:
            recompute(initial)
        if self.recipe.training.compile:
            compile_model(initial)
        self.strategy.wrap(initial, self.recipe.training)
        held = verify(self.strategy)
        torch.manual_seed(self.recipe.training.seed + 1 + self.world.rank)  # dropout differs between ranks
        loop = self._loop()
        go_on(loop, self.checkpoints, self.report)
        self._introduce(counts, held, summary)
        train_began = time.time()
        complete = self._train(loop)
        train_seconds = time.time() - train_began
        committed = self.checkpoints.close()
        outcome = self.onward.document() | {
            "strategy": self.plan.strategy,
            "in_force": in_force(self.strategy),
            "held_bytes": self.world.of_each({**held, **(loop.held or {})}),
            "world_size": self.world.size,
            "device": self.plan.device,
            "precision": self.plan.precision,
            "steps": loop.state.step,
            "skipped_steps": int(self.strategy.scale.skipped),
            "examples_per_second": loop.examples / loop.seconds_in_steps if loop.examples else None,
            **{"parameters": counts, "stream": account_of(loop.rows, self.report)},
            "metrics": {"before": None, "validation": None, "test": None},
            **{"proof": None, "padding": padding, "waited_for_batches": loop.ahead.part_of(loop.seconds_in_steps)},
        }
        first = loop.first_step_done
        seconds = {"to_first_step": first - self.began if first else None, "train": train_seconds}
        status = "stopped"
        try:
            if complete:
                self._finish(loop, outcome)
                status = "finished"
        except Stopped:
            self.report.say("stopped on request after training; the last checkpoint holds it")
        if not committed:
            self.report.note("the last checkpoint is not on disk")
        self.report.section(status, loop.state.step)
        self._conclude(status, outcome, seconds)
        return status

    def evaluate(self, split: str, details: bool = False, write: bool = True) -> Evaluated:
        """What the model is worth on a split, over all ranks; with `details` for figures, with `write` by its texts."""
        rows, most = self.split(split), rows_at_a_time(self.plan, EVALUATION_ROWS)
        wrapped = self.strategy.wrapped
        wrapped.eval()
        try:
            outputs = partial(self.strategy.outputs, names=self.work.outputs)
            evaluated = evaluate(outputs, self.batches, rows, self.world, most, self.stop, details)
        finally:
            wrapped.train()
        wanted = self.recipe.training.generate_rows if write else 0
        return with_texts(evaluated, self.strategy.generate, self.batches, rows, wanted, self.world, most, self.stop)

    def _initial(self) -> nn.Module:
        """The model before any step, and what training is to remember of it."""
        model, labels = initial_model(self.recipe, self.labels, self.prepared, self.method), self.onward.sizes
        if isinstance(self.method, Consolidated):
            self.method.remember(model, self.split(OLD_TRAIN), self.batches, self.world, labels)
        if weight := self.recipe.training.lwf:
            before, precision = initial_model(self.recipe, self.labels, self.prepared), self.plan.precision
            self.distilled = LwF.of(weight, before, self.world, precision, self.work, labels[0])
        return model

    def _compact(self, model: nn.Module) -> nn.Module:
        """The model with its tables split into the rows that train and the rest."""
        pulse.tick("wrapping")
        if self.strategy.rows_alone:
            compact(model, self.split("train").token_ids, int(self.work.tokenizer.pad_token_id or 0))
        return model

    def _result(self) -> Result:
        return Result(
            recipe=self.recipe,
            strategy=self.strategy,
            method=self.method,
            prepared=self.prepared,
            labels=self.labels,
            max_length=self.facts["max_length"],
            validation=self.split("validation"),
            batches=self.batches,
            initial_model=lambda: self._compact(initial_model(self.recipe, self.labels, self.prepared)),
        )

    @over_rows()
    def _train(self, loop: Loop) -> bool:
        """Run the loop; whether to its end, or to a requested stop. An error in it leaves the checkpoint whole."""
        self.report.starts("making the first step")
        # the first step may have to compile
        pulse.tick(allowed=SECONDS_TO_COMPILE if self.recipe.training.compile else 0.0)
        try:
            return loop.run()
        except Exception:
            self.checkpoints.outlast()
            raise

    def _loop(self) -> Loop:
        training, train = self.recipe.training, self.split("train")
        work, rank = self.work.for_training(train), self

        class Observer:
            """Connects the loop to report, evaluation and checkpoints."""

            logged, pulse = rank.report.logged, rank.report.pulse

            @staticmethod
            def first_step() -> None:
                rank.report.section("rehearsing", loop.state.step)
                rank.result.rehearse(rank.attempt.path / ".rehearsal")

            @staticmethod
            def evaluate(step: int, write: bool) -> dict[str, Any]:
                rank.report.section("evaluating", step)
                metrics = rank.evaluate("validation", write=write).metrics
                rank.report.evaluated(step, metrics)
                return metrics

            @staticmethod
            def save(state: LoopState) -> None:
                rank.report.section("saving", state.step)  # it may wait for the write before
                put_down(loop, rank.checkpoints)

            @staticmethod
            def kept(step: int) -> bool:
                if not (kept := rank.checkpoints.kept(step)):
                    rank.report.note(f"step {step} was the best and is lost: the best one before counts again")
                return kept

        loop = Loop(
            plan=self.plan,
            training=training,
            strategy=self.strategy,
            schedule=build_schedule(self.strategy.optimiser, training, self.plan.scheduled(training)),
            work=work,
            rows=rows_for(self.recipe, self.plan, train, work, self.world),
            batches=self.batches,
            shape=self.distilled or shape_of(training, self.strategy.model, work, self.world),
            observer=Observer(),
            better=metrics_of(self.recipe.task)[str(training.select_by)],
            method=self.method,
            stop_asked=self.stop,
        )
        return loop

    @over_rows()
    def _finish(self, loop: Loop, outcome: dict[str, Any]) -> None:
        """Best weights, test metrics after and before, the saved model and its proof."""
        best = loop.state.best_step
        if best is not None and best != loop.state.step:
            self._refuse_damage(best)
            restore(self.checkpoints.open(best).read, self.strategy, self.method, optimiser=False)
        self.report.section("testing", loop.state.step)
        outcome["metrics"]["validation"] = loop.state.best_metrics
        self.work = self.work.settled_by(loop.state.best_metrics or {})
        self.batches = replace(self.batches, work=self.work)
        self.result = replace(self.result, batches=self.batches)
        tested = self.evaluate("test", details=True)
        self.onward.measure("after", self.evaluate)
        gallery = ResultGallery(self.report.board, self.work, self.split("test"), tested.kept)
        outcome["metrics"]["test"] = tested.metrics
        outcome["selected_step"] = best
        metric = str(self.recipe.training.select_by)
        outcome["warnings"] = gallery.doubts(loop.state.best_metrics or {}, metric, loop.state.step)
        self.report.section("saving", loop.state.step)
        outcome["proof"] = self.result.save_and_prove(self.attempt.model, gallery.look)
        self.report.concluded(gallery, outcome["metrics"], loop.state.step)
        self.report.section("testing", loop.state.step)
        self.result.put_back_initial()
        outcome["metrics"]["before"] = self.evaluate("test").metrics
        self.onward.measure("before", self.evaluate)
        outcome |= self.onward.document()
        self.result.complete_card(self.attempt.model, outcome)

    def _refuse_damage(self, step: int) -> None:
        if damage := self.checkpoints.damage(step):
            where, do = str(self.checkpoints.path(step)), "resume the run: it goes back to an earlier checkpoint"
            raise WorkerError(Problem(f"the best checkpoint, of step {step}, is damaged: {damage}", where, do))

    def _conclude(self, status: str, outcome: dict[str, Any], seconds: dict[str, Any]) -> None:
        pulse.tick("concluding", allowed=SECONDS_TO_CONCLUDE)
        peaks = np.zeros(self.world.size, dtype=np.int64)
        peaks[self.world.rank] = peak_memory(self.world)
        peaks, before = self.world.largest(peaks), self.world.of_each({"resident": self.resident})["resident"]
        self.report.close()
        if self.world.leads:
            seconds["total"] = time.time() - self.began
            prepared = {**self.facts, "folder": str(self.prepared)}
            rows, peak_bytes = rows_at_a_time(self.plan, EVALUATION_ROWS), peaks.tolist()
            memory = side_by_side(self.recipe, self.plan, prepared, rows, peak_bytes, before)
            whole = {"status": status, **outcome, "seconds": seconds, "peak_memory_bytes": peak_bytes, "memory": memory}
            room.patiently(publish, self.folder, self.attempt, finite(whole))

    def _introduce(self, counts: dict[str, int], held: dict[str, int], summary: str) -> None:
        self.report.introduce(self.plan, in_force(self.strategy), counts, held)
        self.report.describe(self.prepared, self.work, summary)

    def split(self, name: str) -> Split:
        """One split of the prepared data, read once."""
        if name not in self.splits:
            self.splits[name] = Split.load(self.prepared / f"{name}.safetensors")
        return self.splits[name]
