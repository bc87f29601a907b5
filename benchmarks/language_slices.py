"""Language models for `tasks.py`: slices of Chinese texts, a plain loop's own losses, and perplexity as it is defined.

The models are drawn, with tokenizers that are trained on the slice. Which tokens are hidden, and what follows what, is
drawn by the launcher, so the peer and the score of masked words take these from it; all the rest is written out here.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from task_slices import TEST, TRAIN, Slice, json_lines

TEMPLATE = (
    "{% for message in messages %}{{ message.role }}\n"
    "{% if message.role == 'assistant' %}{% generation %}{{ message.content + eos_token }}{% endgeneration %}"
    "{% else %}{{ message.content + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}assistant\n{% endif %}"
)
SIZES = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256}
DRAWN = "FromConfig(config={}, tokenizer=TrainedTokenizer(tokens=2000, pieces={!r}))"
LLAMA = DRAWN.format({"model_type": "llama", **SIZES, "max_position_embeddings": 512}, "bytes")
BERT = DRAWN.format({"model_type": "bert", **SIZES, "max_position_embeddings": 128}, "wordpiece")
CLASSES = {"causal": "CausalLM", "masked": "PreTraining", "dialogue": "CausalLM"}
"""transformers' own for each task."""


def _documents(data: Path) -> list[list[str]]:
    """Of Chinese web pages, sentence by sentence."""
    text = (data / "lm/cluecorpus_small.nsp.txt").read_text(encoding="utf-8")
    return [block.split("\n") for block in text.split("\n\n") if block.strip()]


def _causal(data: Path, folder: Path) -> None:
    """Sentences that are surely no longer than an input."""
    sentences = (sentence.strip() for document in _documents(data) for sentence in document)
    json_lines(folder, ({"text": text} for text in sentences if 20 <= len(text) <= 100))


def _masked(data: Path, folder: Path) -> None:
    json_lines(folder, ({"text": "\n".join(document)} for document in _documents(data) if len(document) > 1))


def _dialogue(data: Path, folder: Path) -> None:
    """The first two exchanges of conversations about films and music."""
    files = sorted((data / "kdconv").glob("*.jsonl"))
    talks = (json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines())
    json_lines(folder, ({"messages": talk["messages"][:4]} for talk in talks))
    (folder / "template.jinja").write_text(TEMPLATE, encoding="utf-8")


def _slice(task: str, data: str, write: Callable[[Path, Path], None], source: str) -> Slice:
    return Slice(task, data + '(train="train.jsonl", test="test.jsonl")', write, source=source, asked=False, rate=1e-3)


SLICES = {
    "causal": _slice("CausalLanguageModel()", "Texts", _causal, LLAMA),
    "masked": _slice("MaskedLanguageModel(whole_words=True, next_sentence=True)", "Texts", _masked, BERT),
    "dialogue": _slice('Dialogue(chat_template="template.jinja")', "Conversations", _dialogue, LLAMA),
}


def model_of(task: str, config: Any) -> Any:
    """The library's own class with random weights, without dropout."""
    import transformers

    config = copy.deepcopy(config)
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
        setattr(config, name, 0.0)
    return getattr(transformers, f"AutoModelFor{CLASSES[task]}").from_config(config)


def labelled(task: str, batch: dict[str, Any]) -> dict[str, Any]:
    """What the library's class takes of padded rows: labels are -100 where nothing is learnt."""
    ids, mask = batch["input_ids"], batch["attention_mask"]
    learnt = mask if task == "causal" else batch["said"]
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(learnt == 0, -100)}


class Hidden:
    """Rows with what the launcher hides of them."""

    def __init__(self, recipe: Path, prepared: Path) -> None:
        from launcher.recipe.recipe import load
        from launcher.training.prepare import reader_of
        from launcher.training.tasks import work_for

        self.recipe = load(recipe).recipe
        facts = json.loads((prepared / "facts.json").read_text())
        self.work = work_for(self.recipe.task, reader_of(facts["labels"], facts["max_length"], prepared))

    def batch(self, split: Any, rows: Any, epoch: int | None) -> dict[str, Any]:
        """As the library's class takes them; `epoch` None as at evaluation."""
        import torch

        from launcher.training.tasks.base import Draw

        draw = None if epoch is None else Draw(self.recipe.training.seed, epoch)
        batch = {name: torch.from_numpy(values) for name, values in self.work.collate(split, rows, draw).items()}
        ids, asked = batch["input_ids"], batch.pop("weights") > 0
        labels = torch.full_like(ids, -100)
        row = torch.arange(len(ids))[:, None].expand(asked.shape)[asked]
        labels[row, ids.shape[1] + batch.pop("answer_at")[asked]] = batch.pop("answers")[asked]
        return {**batch, "labels": labels}


def _run(folder: Path) -> tuple[Path, Path]:
    """The saved model, and what was prepared."""
    run = folder / "runs/run"
    return run / "model", Path(json.loads((run / "plan.json").read_text())["prepared"])


def _texts(folder: Path, tokenizer: Any) -> Iterator[tuple[list[int], list[int]]]:
    """Tokens of each test row, and 1 for each that is asked for."""
    for line in (folder / "test.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if "messages" in row:
            made = tokenizer.apply_chat_template(
                row["messages"], chat_template=TEMPLATE, return_dict=True, return_assistant_tokens_mask=True
            )
            yield made["input_ids"], made["assistant_masks"]
        else:
            ids = [*tokenizer(row["text"])["input_ids"], tokenizer.eos_token_id]
            yield ids, [1] * len(ids)


def of_texts(folder: Path, _: Any) -> dict[str, float]:
    """Of each token from those before it in its row."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, _prepared = _run(folder)
    network, tokenizer = AutoModelForCausalLM.from_pretrained(model).eval(), AutoTokenizer.from_pretrained(model)
    nats, hits, count = 0.0, 0, 0
    for tokens, learnt in _texts(folder, tokenizer):
        ids, asked = torch.tensor(tokens), torch.tensor(learnt)[1:] > 0
        with torch.no_grad():
            likely = network(input_ids=ids[None]).logits[0, :-1].log_softmax(dim=-1)[asked]
        right = ids[1:][asked]
        nats -= float(likely.gather(-1, right[:, None]).sum())
        hits += int((likely.argmax(dim=-1) == right).sum())
        count += len(right)
    return {"perplexity": math.exp(nats / count), "token_accuracy": hits / count}


def of_masked(folder: Path, _: Any) -> dict[str, float]:
    """Of the hidden tokens, and the part of pairs that were told right; row by row."""
    import numpy as np
    import torch
    from transformers import AutoModelForPreTraining

    from launcher.training.batches.split import Split

    model, prepared = _run(folder)
    network, hidden = AutoModelForPreTraining.from_pretrained(model).eval(), Hidden(folder / "recipe.py", prepared)
    split, nats, hits, count, following = Split.load(prepared / "test.safetensors"), 0.0, 0, 0, 0
    for row in range(split.rows):
        batch = hidden.batch(split, np.array([row]), None)
        labels, follows = batch.pop("labels")[0], batch.pop("next_sentence_label")[0]
        with torch.no_grad():
            output = network(**batch)
        asked = labels != -100
        likely, right = output.prediction_logits[0].log_softmax(dim=-1)[asked], labels[asked]
        nats -= float(likely.gather(-1, right[:, None]).sum())
        hits += int((likely.argmax(dim=-1) == right).sum())
        count += len(right)
        following += int(output.seq_relationship_logits[0].argmax() == follows)
    told = {"perplexity": math.exp(nats / count), "token_accuracy": hits / count}
    return {**told, "next_sentence_accuracy": following / split.rows}


SCORES = {"causal": of_texts, "masked": of_masked, "dialogue": of_texts}
assert TRAIN + TEST <= 600, "KdConv has 600 conversations here"
