"""Slices of numbered words for the recipes of search."""

import json
import random

from numbered import sentences
from slices_of_words import tiny


def retrieval(folder, bert):
    """A passage belongs to a query if it has the words that are 30 greater: none is in both."""
    for name in ("train", "test"):
        generator = random.Random(name)
        rows = []
        for _ in range(800 if name == "train" else 160):
            asked = generator.sample(range(30), 2)
            passage = [f"word{30 + number}" for number in (*asked, generator.randrange(30))]
            rows.append({"question": " ".join(f"word{number}" for number in asked), "context": " ".join(passage)})
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    places = {"data.train": folder / "train.jsonl", "data.test": folder / "test.jsonl", "data.validation": "null"}
    return {**places, **tiny(bert), "task.sizes": "[16]", "training.epochs": 8, "training.micro_batch_size": 8}


def reranker(folder, bert):
    """The right passage has even words, the other one has odd ones."""
    for name in ("train", "test"):
        rows = []
        for one, other in zip(sentences(600, f"{name} right"), sentences(600, f"{name} wrong"), strict=True):
            even, odd = (
                " ".join(f"word{int(w[4:]) // 2 * 2 + odd}" for w in words) for odd, words in enumerate((one, other))
            )
            rows.append({"query": other[0], "positive": even, "negatives": [odd]})
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"data.train": folder / "train.jsonl", "data.test": folder / "test.jsonl", **tiny(bert)}


SLICES = {
    "reranker_zh": reranker,
    "retrieval_zh": retrieval,
}
