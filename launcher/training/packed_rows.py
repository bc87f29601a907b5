"""Whether a model gives packed rows the states that it gives padded ones: asked of every model that is to train so.

What a model's shape shows is asked before anything starts (`model_parts.packing.packing_of`). Whether its layers keep
the rows apart is seen in what they compute.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from launcher.errors import PlanError, Problem, ran_out_of_memory
from launcher.training.batches.split import Split
from launcher.training.model_parts.outputs import passes
from launcher.training.model_parts.packing import SPARE, Packing, pack
from launcher.training.tasks.collate import Batches

SPLITS = ("train", "validation", "test")
TOLERANCE = 1e-4
"""Largest difference of a state, where the largest state is 1 or less; else this part of it."""
ROWS, LONGEST = 5, 128
"""How many rows are compared, and how long they are at most, if there are such."""


def packed(model: nn.Module, batches: Batches, splits: Iterable[Split], ask: bool) -> None:
    """Let the model pack, where batches do; if `ask`, compare what it makes of uneven rows of a split that has such.

    Raises PlanError where they differ. The model lies whole on the CPU; it draws nothing, and keeps its mode.
    """
    packing = pack(model) if batches.packing else None
    for split in splits if packing is not None and ask else ():
        given = replace(batches, device=torch.device("cpu"))(split, _uneven(split.cost)).inputs if split.rows else {}
        for inputs, _ in passes(given):
            if packing is not None and SPARE in inputs:
                _refuse_other_states(model, packing, inputs)
                return


@torch.no_grad()
def _refuse_other_states(model: nn.Module, packing: Packing, inputs: dict[str, torch.Tensor]) -> None:
    training, seen = model.training, list[dict[str, torch.Tensor]]()

    def see(_: Any, __: Any, given: dict[str, Any], output: Any) -> None:
        there = given["attention_mask"].bool()
        states = {"states": output.last_hidden_state[there]}
        pooled = getattr(output, "pooler_output", None)
        seen.append(states if pooled is None else {**states, "pooled": pooled})

    hook = packing.body.register_forward_hook(see, with_kwargs=True, prepend=True)
    model.eval()
    try:
        with torch.random.fork_rng(devices=[]):
            for given in ({name: value for name, value in inputs.items() if name != SPARE}, inputs):
                model(**given)
        padded, sequence = seen
        difference = max(float((padded[name] - sequence[name]).abs().max()) for name in padded)
        size = max(float(values.abs().max()) for values in padded.values())
    except Exception as error:  # the border: whatever the code of any architecture does with such a sequence
        if ran_out_of_memory(error):
            raise
        reason = str(error).strip().partition("\n")[0]
        raise _refused(packing, f"{type(error).__name__}: {reason}" if reason else type(error).__name__) from error
    finally:
        hook.remove()
        model.train(training)
    if np.isfinite(size) and not difference <= TOLERANCE * max(1.0, size):
        raise _refused(packing, f"states of up to {size:.2g} differ by {difference:.2g} from those of padded rows")


def _refused(packing: Packing, why: str) -> PlanError:
    what = f"rows of this {packing.model.config.model_type!r} model cannot be packed: {why}"
    return PlanError(Problem(what, "training.packing", "leave training.packing out"))


def _uneven(lengths: np.ndarray) -> np.ndarray:
    """From the shortest to the longest of at most `LONGEST` tokens, evenly spread."""
    order = np.argsort(lengths, kind="stable")
    order = order[: max(ROWS, int((lengths <= LONGEST).sum()))]
    return order[np.linspace(0, len(order) - 1, min(ROWS, len(order))).astype(np.int64)]
