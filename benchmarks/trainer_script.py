"""A user's own Trainer script, kept short: 64 sentences, one optimiser step; `startup.py` starts it.

It imports what it needs and no more, tokenises the rows in one call and writes down when the first step ended.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--train", type=Path, required=True, help="TSV with columns sentence and label")
parser.add_argument("--model", required=True, help="folder of the pretrained model")
parser.add_argument("--batch-size", type=int, default=16, help="rows of a step on each process")
parser.add_argument("--scratch", required=True, help="a folder the Trainer may write to")
parser.add_argument("--json", type=Path, required=True, help="where the moment of the first step goes")
args = parser.parse_args()


class FirstStep(TrainerCallback):
    """Writes when the first step ended, on the leading process."""

    def on_step_end(self, settings: TrainingArguments, *_: Any, **__: Any) -> None:
        if settings.process_index == 0:
            args.json.write_text(json.dumps({"time": time.time(), "world_size": settings.world_size}))


with args.train.open(encoding="utf-8") as file:
    table = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
tokenizer = AutoTokenizer.from_pretrained(args.model)
encoded = tokenizer([row["sentence"] for row in table], truncation=True, max_length=128)
columns = zip(encoded["input_ids"], encoded["attention_mask"], table, strict=True)
rows = [{"input_ids": ids, "attention_mask": mask, "labels": int(row["label"])} for ids, mask, row in columns]
model = AutoModelForSequenceClassification.from_pretrained(args.model, num_labels=2, dtype=torch.float32)
settings = TrainingArguments(
    output_dir=args.scratch,
    max_steps=1,
    per_device_train_batch_size=args.batch_size,
    train_sampling_strategy="group_by_length",
    optim="adamw_torch_fused",
    use_cpu=True,
    logging_strategy="no",
    eval_strategy="no",
    save_strategy="no",
    report_to="none",
    disable_tqdm=True,
    dataloader_pin_memory=False,
)
collator = DataCollatorWithPadding(tokenizer)
Trainer(model, settings, collator, rows, processing_class=tokenizer, callbacks=[FirstStep()]).train()
