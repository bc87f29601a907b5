"""One process of the Hugging Face Trainer at its best settings on a CPU; `roads.py` starts it.

It trains on the rows that the launcher has tokenised, so both sides see the same token ids. Settings: rows
tokenised once, padding to the longest of the batch, batches grouped by length, fused AdamW, clip 1.0; no
logging, evaluation, saving, workers, pinned memory or progress bar.

`--order launcher` feeds exactly the launcher's batches instead; everything else stays the Trainer's own.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from launcher.training.batches.order import global_batches
from launcher.training.batches.split import Ragged, Split


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepared", type=Path, required=True, help="folder that `launcher` prepared (plan.json)")
    parser.add_argument("--model", required=True, help="folder of the pretrained model")
    parser.add_argument("--steps", type=int, required=True, help="optimiser steps")
    parser.add_argument("--batch-size", type=int, required=True, help="rows of one step, over all processes")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="bf16 is autocast")
    parser.add_argument("--order", choices=("grouped", "launcher"), default="grouped", help="whose batches")
    parser.add_argument("--pad-multiple", type=int, default=1, help="pad the width of a batch to a multiple of this")
    parser.add_argument("--seed", type=int, default=0, help="of order and dropout")
    parser.add_argument("--scratch", type=Path, required=True, help="a folder the Trainer may write to")
    parser.add_argument("--json", type=Path, required=True, help="where the figures go")
    return parser.parse_args()


def training_rows(split: Split) -> list[dict[str, Any]]:
    """Rows as the Trainer's collators take them; a plain list is the cheapest data set there is."""
    tokens, labels, rows = split.ragged("input_ids"), split.columns["labels"], []
    for number in range(split.rows):
        ids = tokens.row(number).tolist()
        label = labels.row(number).tolist() if isinstance(labels, Ragged) else int(labels[number])
        rows.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": label})
    return rows


class CountedCollator:
    """The library's collator, counting the padded tokens of each batch."""

    def __init__(self, collator: Any):
        self.collator = collator
        self.tokens: list[int] = []

    def __call__(self, features: list[dict[str, Any]]) -> Any:
        batch = self.collator(features)
        self.tokens.append(batch["input_ids"].numel())
        return batch


class Clock(TrainerCallback):
    """When each optimiser step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(time.time())


class SameBatches(Trainer):
    """The Trainer fed with given batches of row numbers, in their order."""

    given: list[list[int]]

    def get_train_dataloader(self) -> DataLoader[Any]:
        loader = DataLoader(self.train_dataset, batch_sampler=self.given, collate_fn=self.data_collator)
        return self.accelerator.prepare(loader)


def main() -> None:
    args = arguments()
    split = Split.load(args.prepared / "train.safetensors")
    labels = json.loads((args.prepared / "facts.json").read_text())["labels"]
    tokenizer = AutoTokenizer.from_pretrained(args.prepared / "tokenizer")
    of_tokens = isinstance(split.columns["labels"], Ragged)
    torch.manual_seed(args.seed)
    head = AutoModelForTokenClassification if of_tokens else AutoModelForSequenceClassification
    model = head.from_pretrained(args.model, num_labels=len(labels), dtype=torch.float32)
    pad = DataCollatorForTokenClassification if of_tokens else DataCollatorWithPadding
    collator = CountedCollator(pad(tokenizer, pad_to_multiple_of=args.pad_multiple if args.pad_multiple > 1 else None))
    settings = TrainingArguments(
        output_dir=str(args.scratch),
        max_steps=args.steps,
        per_device_train_batch_size=args.batch_size,
        train_sampling_strategy="group_by_length",
        optim="adamw_torch_fused",
        learning_rate=5e-5,
        weight_decay=0.01,
        warmup_steps=0.1,
        max_grad_norm=1.0,
        bf16=args.precision == "bf16",
        use_cpu=True,
        seed=args.seed,
        logging_strategy="no",
        eval_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
    )
    if args.batch_size % settings.world_size:
        raise SystemExit(f"{args.batch_size} rows cannot be shared by {settings.world_size} processes")
    settings.per_device_train_batch_size = args.batch_size // settings.world_size
    clock = Clock()
    kind = SameBatches if args.order == "launcher" else Trainer
    trainer = kind(model, settings, collator, training_rows(split), processing_class=tokenizer, callbacks=[clock])
    if isinstance(trainer, SameBatches):
        batches = global_batches(split.cost, args.batch_size, args.seed, 0)
        trainer.given = [batch.tolist() for batch in batches[: args.steps]]
    trainer.train()
    if settings.process_index == 0:
        told = {
            "ends": clock.ends,
            "padded_tokens": collator.tokens[: args.steps],
            "world_size": settings.world_size,
            "threads": torch.get_num_threads(),
            "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        args.json.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
