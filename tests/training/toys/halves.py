"""A toy task: a number for a text, from two rows of the split, one for each half of its tokens."""

import numpy as np
from torch.nn import functional

from launcher.recipe.task import Halves
from launcher.training.batches.split import Ragged, Split
from launcher.training.data import Row
from launcher.training.tasks.base import Encoded, TaskWork


class Work(TaskWork):
    metric_names = tuple(Halves.metrics)
    inputs = {"input_ids": None}  # noqa: RUF012
    wanted = {"number": 0}  # noqa: RUF012

    def encode(self, examples):
        encoded = [self.tokenizer(str(row.text)).input_ids for row in examples]
        halves = [part or [1] for ids in encoded for part in (ids[: len(ids) // 2], ids[len(ids) // 2 :])]
        tokens, rows = Ragged.of(halves, np.int32), 2 * len(examples)
        numbers = np.repeat(np.array([float(row.label) for row in examples], dtype=np.float32), 2)
        targets, example = np.ones(rows, dtype=np.int64), np.arange(rows) // 2
        split = Split({"input_ids": tokens, "number": numbers}, {"loss": targets}, tokens.lengths, example)
        return Encoded(split, np.zeros(len(examples), dtype=bool))

    def example(self, text):
        return Row(text, "0", "")

    def loss(self, outputs, wanted):
        return {"loss": functional.mse_loss(outputs["logits"][:, 0], wanted["number"].float(), reduction="sum")}

    def keep(self, outputs, wanted):
        return {"number": outputs["logits"][:, 0].cpu().numpy()}

    def score(self, split, kept):
        wanted = split.array("number")[::2]
        return {"error": float(abs(kept.values["number"].reshape(-1, 2).mean(axis=1) - wanted).mean())}

    def tell(self, text, split, rows, kept):
        return {"number": float(kept.values["number"][rows].mean()), "rows": len(rows)}
