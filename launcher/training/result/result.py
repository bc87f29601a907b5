"""The result of a run: the trained weights put together, saved, read back, and compared before they count.

The same for every strategy, and rehearsed after the first step: no run fails only at its end.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from launcher.errors import Problem, WorkerError
from launcher.recipe.recipe import Recipe
from launcher.runs import pulse
from launcher.training.batches.split import Split
from launcher.training.evaluation import rows_at_a_time
from launcher.training.methods import MethodWork
from launcher.training.model_parts.sparse_table import expand
from launcher.training.result import card_of_run, model_folder
from launcher.training.strategies import Strategy, gather
from launcher.training.tasks.collate import Batches

SECONDS_TO_LOOK = 300.0
"""Limit for what looks at the model, on rank 0 alone."""


@dataclass(frozen=True)
class Result:
    """What one rank does for the run's result; rank 0 writes, all take part."""

    recipe: Recipe
    strategy: Strategy
    method: MethodWork
    prepared: Path
    labels: list[str]
    max_length: int
    validation: Split
    batches: Batches
    initial_model: Callable[[], nn.Module]

    def rehearse(self, folder: Path) -> None:
        """Save and prove once to a folder that is thrown away. Raises WorkerError as the real one would."""
        try:
            self.save_and_prove(folder)
        finally:
            if self.strategy.world.leads:
                shutil.rmtree(folder, ignore_errors=True)

    def save_and_prove(
        self,
        folder: Path,
        look: Callable[[nn.Module], None] = lambda model: None,
    ) -> dict[str, Any] | None:
        """Write the model folder and read it back; the proof (on rank 0). Leaves generators as they were.

        `look` is called with the whole model once it is proven.
        """
        most = rows_at_a_time(self.strategy.plan, model_folder.PROOF_ROWS)
        rows = np.arange(min(most, self.validation.rows))
        trained = gather(self.strategy)
        pulse.tick("answering")  # rows through the whole model take longer than a tensor
        outputs = self._outputs(rows)
        if not self.strategy.world.leads:
            return None
        with self._generators_kept():
            pulse.tick("building the model")
            model = self.initial_model()
            pulse.tick("filling")
            _fill(model, trained)
            self.method.restore(model, self.method.state(self.strategy.model))
            expand(model)
            about = (self.recipe, self.labels, self.prepared, self.max_length)
            with pulse.at_the_disk():
                chosen = self.batches.work.chosen
                model_folder.save_model(model, *about, folder, self.strategy.plan.base, chosen)
            pulse.tick("proving")
            # other devices and precisions round otherwise; there the weights are compared bit by bit, and this is not
            exact = self.strategy.world.device.type == "cpu" and self.recipe.training.precision == "fp32"
            # a tick for each layer: one of a large model takes long on a CPU
            layers = register_module_forward_hook(lambda *_: pulse.tick("proving"))
            try:
                proof = model_folder.prove(
                    model, folder, self.validation, rows, self.padded, outputs if exact else None
                )
            finally:
                layers.remove()
            pulse.tick("looking", allowed=SECONDS_TO_LOOK)
            look(model)
            pulse.tick("saving")
            return proof

    def complete_card(self, folder: Path, outcome: dict[str, Any]) -> None:
        """Say on the proven model's card how the run went. Raises WorkerError on a full disk."""
        if not self.strategy.world.leads:
            return
        try:
            with pulse.at_the_disk():
                card_of_run.complete(folder, self.recipe, self.strategy.plan, outcome)
        except OSError as error:
            what, do = f"the model's card could not be written: {error}", "make room and resume the run"
            raise WorkerError(Problem(what, str(folder), do)) from None

    @torch.no_grad()
    def put_back_initial(self) -> None:
        """Give the wrapped model the weights it began with, and what the method began with."""
        pulse.tick("building the model")
        with self._generators_kept():
            model = self.initial_model()
            initial = dict(model.named_parameters())
        self.method.restore(self.strategy.model, self.method.state(model))
        self.strategy.restore(
            lambda name, start, stop: initial[name.removeprefix("model.")].detach().reshape(-1)[start:stop],
            optimiser=False,
        )

    @property
    def padded(self) -> Batches:
        """Batches that a model takes which was never told to pack."""
        return replace(self.batches, packing=False)

    def _outputs(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """The wrapped model's outputs for these validation rows; all ranks compute them."""
        inputs = self.padded(self.validation, rows).inputs
        self.strategy.wrapped.eval()
        with torch.no_grad():
            outputs = self.strategy.outputs(inputs, self.batches.work.outputs)
        self.strategy.wrapped.train()
        return {name: values.cpu() for name, values in outputs.items()}

    def _generators_kept(self) -> Any:
        device = self.strategy.world.device
        return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


@torch.no_grad()
def _fill(model: nn.Module, trained: dict[str, torch.Tensor]) -> None:
    """Copy the trained values into the parameters of these names: into all that train, and nothing else."""
    wanted = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert wanted.keys() == trained.keys(), "the rebuilt model has other trainable parameters than the trained one"
    for name, parameter in wanted.items():
        parameter.copy_(trained[name])
