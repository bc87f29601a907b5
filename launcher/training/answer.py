"""Using a saved model: metrics on a split or a file, labels or entities of raw texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from launcher.spec.task import plain
from launcher.training.batches import Split
from launcher.training.data import read_rows, refuse_unknown_labels
from launcher.training.evaluation import EVALUATION_ROWS
from launcher.training.evaluation import evaluate as measure
from launcher.training.inputs import Inputs, padded
from launcher.training.prepare import prepare
from launcher.training.saving import load_saved_model
from launcher.training.tasks import flat, work_for
from launcher.training.world import World

CPU = torch.device("cpu")


def evaluate(folder: Path, data: str | None) -> dict[str, Any]:
    """Metrics of the model in `folder` on its recipe's test split, or on the file `data` of the same kind."""
    saved = load_saved_model(folder)
    work = work_for(saved.recipe.task)
    if data is None:
        split = Split.load(Path(prepare(saved.recipe)["folder"]) / "test.safetensors")
    else:
        rows = read_rows(saved.recipe.data, plain(saved.recipe.task), data)
        refuse_unknown_labels(rows, tuple(saved.labels), Path(data).name)
        split = Split(work.columns(saved.tokenizer, rows, saved.labels, saved.max_length)[0])
    inputs = Inputs(work, saved.padding, CPU)
    return measure(
        lambda batch: saved.model(**batch).logits.float(),
        work,
        split,
        saved.labels,
        inputs,
        World(0, 0, 1, CPU),
        EVALUATION_ROWS,
    )


def predict(folder: Path, texts: list[str]) -> list[dict[str, Any]]:
    """What the model in `folder` says of each text, in the texts' order (see `launcher.entry.predict`)."""
    saved = load_saved_model(folder)
    work = work_for(saved.recipe.task)
    encoded = work.encode(saved.tokenizer, texts, saved.max_length)
    ids, offsets = flat([encoding.ids or [saved.tokenizer.unk_token_id] for encoding in encoded])
    split = Split({"input_ids": ids, "offsets": offsets, "targets": np.ones(len(texts), dtype=np.int64)})
    answers: list[dict[str, Any]] = [{} for _ in texts]
    order = np.argsort(-split.lengths, kind="stable")
    with torch.inference_mode():
        for start in range(0, len(order), EVALUATION_ROWS):
            rows = order[start : start + EVALUATION_ROWS]
            batch = padded(*split.tokens(rows, saved.padding))
            logits = saved.model(**{name: torch.from_numpy(v) for name, v in batch.items()}).logits.float().numpy()
            for row, told in zip(rows, logits, strict=True):
                answers[row] = work.decode(saved.tokenizer, texts[row], told, saved.labels, encoded[row])
    return answers
