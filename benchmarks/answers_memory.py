"""What an evaluation of question answering holds: peak memory over a part of the questions, and over all of them.

    python benchmarks/answers_memory.py --data cmrc2018_dev.json --model FOLDER

The model has the tokenizer of FOLDER and a small body with random weights: what is held is the same for any body. Each
measurement is a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
from pathlib import Path

import torch
from measure import say, say_machine, table
from transformers import AutoTokenizer, BertConfig, BertForQuestionAnswering

from launcher import QuestionAnswering, Questions
from launcher.recipe.declared import SPAN_ENDS
from launcher.training.data import read_rows
from launcher.training.distributed.world import World
from launcher.training.evaluation import EVALUATION_ROWS, evaluate
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.tasks import work_for
from launcher.training.tasks.base import Reader, encoded
from launcher.training.tasks.collate import Batches

PARTS = (0.125, 0.25, 0.5, 1.0)
SHAPE = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 64}


def measured(data: str, model: str, part: float, length: int, queue: multiprocessing.Queue) -> None:
    """Questions, windows, bytes that were kept, and by how many the process grew at most."""
    torch.set_num_threads(1)
    task, tokenizer = QuestionAnswering(), AutoTokenizer.from_pretrained(model)
    rows = read_rows(Questions(train=data), task, data)
    rows = rows[: round(len(rows) * part)]
    work = work_for(task, Reader(SPAN_ENDS, tokenizer, length))
    split = encoded(work, rows).split
    small = BertForQuestionAnswering(BertConfig(vocab_size=len(tokenizer), **SHAPE)).eval()
    batches, world = Batches(work, torch.device("cpu")), World(0, 0, 1, torch.device("cpu"))

    def once(some: object) -> dict[str, int]:
        kept = evaluate(lambda inputs: outputs_of(small, inputs, work.outputs), batches, some, world, EVALUATION_ROWS)
        return {name: values.nbytes for name, values in kept.kept.values.items()}

    first = encoded(work, rows[:200]).split
    once(first)  # what a batch takes at a time
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = once(split)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    logits = 2 * 4 * int(split.cost.sum())
    queue.put([len(rows), split.rows, sum(kept.values()), logits, grown])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--length", type=int, default=256, help="tokens of a window")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    say_machine()
    found = []
    for part in PARTS:
        queue: multiprocessing.Queue = multiprocessing.get_context("spawn").Queue()
        words = (args.data, args.model, part, args.length, queue)
        process = multiprocessing.get_context("spawn").Process(target=measured, args=words)
        process.start()
        found.append(queue.get())
        process.join()
        say(f"{part:.3f}: {found[-1]}")
    header = ("questions", "windows", "kept, bytes", "all logits would be, bytes", "peak growth, MB")
    table(header, ([f"{n:,}" for n in row[:4]] + [f"{row[4] / 1e6:.1f}"] for row in found))
    if args.json:
        args.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
