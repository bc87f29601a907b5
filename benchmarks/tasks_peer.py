"""A plain transformers loop over the launcher's rows and initial weights; `tasks.py` starts it.

The model is the library's own class for the task, and so is the loss: `model(**batch).loss`. Where the library has no
class (two marked entities) the head is written out here. Padding, AdamW, warm-up and clipping are written out too; from
the launcher it takes the prepared rows, which rows make a batch, and the initial weights by name.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import language_slices
import numpy as np
import torch
import transformers
from task_slices import PROMPTED
from torch import nn
from transformers import AutoConfig, AutoTokenizer, get_scheduler
from transformers.modeling_outputs import SequenceClassifierOutput

from launcher.recipe.recipe import load
from launcher.recipe.training import Training
from launcher.training.batches.order import global_batches
from launcher.training.batches.split import Ragged, Split
from launcher.training.initial_model import initial_model

SEQUENCE, TOKENS = "AutoModelForSequenceClassification", "AutoModelForTokenClassification"
CLASSES = {"sentiment": SEQUENCE, "pairs": SEQUENCE, "types": SEQUENCE, "similarity": SEQUENCE, "entities": TOKENS}
CLASSES |= dict.fromkeys(("questions", "questions_zh"), "AutoModelForQuestionAnswering")
CLASSES |= {"images": "AutoModelForImageClassification", "prompted": "AutoModelForMaskedLM"}
PROBLEMS = {"types": "multi_label_classification", "similarity": "regression"}
RATES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
WITHOUT_DROPOUT = dict.fromkeys((*RATES, "dropout", "attention_dropout", "activation_dropout"), 0.0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", required=True)
    parser.add_argument("--recipe", type=Path, required=True, help="the file that the launcher ran")
    parser.add_argument("--prepared", type=Path, required=True, help="folder that the launcher prepared (plan.json)")
    parser.add_argument("--model", required=True, help="folder of the pretrained model")
    parser.add_argument("--json", type=Path, required=True, help="where the losses go")
    return parser.parse_args()


class Related(nn.Module):
    """BERT with a linear layer over its states at the first mark of each entity, side by side."""

    def __init__(self, config: transformers.PretrainedConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = transformers.BertModel(config, add_pooling_layer=False)
        self.head = nn.ModuleDict({"classifier": nn.Linear(2 * config.hidden_size, config.num_labels)})

    def forward(self, entities: torch.Tensor, labels: torch.Tensor, **text: torch.Tensor) -> SequenceClassifierOutput:
        """The loss."""
        states = self.bert(**text).last_hidden_state
        rows = torch.arange(len(states))
        both = torch.cat([states[rows, entities[:, 0]], states[rows, entities[:, 2]]], dim=1)
        return SequenceClassifierOutput(loss=nn.functional.cross_entropy(self.head["classifier"](both), labels))


def model_of(task: str, model: str, labels: list[str]) -> nn.Module:
    """The library's own, with random weights."""
    config = AutoConfig.from_pretrained(model, num_labels=len(labels), **WITHOUT_DROPOUT)
    if task in ("translation", "headlines"):
        return transformers.AutoModelForSeq2SeqLM.from_config(config)
    config.problem_type = PROBLEMS.get(task)
    if task == "relations":
        return Related(config)
    found: nn.Module = getattr(transformers, CLASSES[task]).from_config(config)
    return found


def batch_of(split: Split, rows: np.ndarray, _: int, padding: int) -> dict[str, torch.Tensor]:
    """These rows side by side: labels padded with -100, everything else with 0."""
    batch = {}
    for name, column in split.columns.items():
        fill = -100 if name in ("labels", "answers") else padding if name == "input_ids" else 0
        if not isinstance(column, Ragged):
            batch[name] = torch.from_numpy(column[rows])
            continue
        width = max(len(column.row(row)) for row in rows)
        padded = [np.pad(column.row(row), (0, width - len(column.row(row))), constant_values=fill) for row in rows]
        batch[name] = torch.from_numpy(np.stack(padded).astype(np.int64))
    own = split.columns.get("input_ids")
    lengths = torch.from_numpy(own.lengths_of(rows) if isinstance(own, Ragged) else split.cost[rows])
    batch["attention_mask"] = (torch.arange(int(lengths.max()))[None] < lengths[:, None]).long()
    return batch


def batches(split: Split, size: int, seed: int) -> Iterator[tuple[np.ndarray, int]]:
    """For ever, in the launcher's order, each with its epoch."""
    epoch = 0
    while True:
        yield from ((rows, epoch) for rows in global_batches(split.cost, size, seed, epoch))
        epoch += 1


Loss = Callable[[nn.Module, dict[str, torch.Tensor]], torch.Tensor]
Make = Callable[[Split, np.ndarray, int], dict[str, torch.Tensor]]


def losses(model: nn.Module, split: Split, training: Training, make: Make, loss_of: Loss) -> list[float]:
    """Of each step, whose batch `make` makes of its rows and epoch."""
    steps, rate = training.max_steps, training.learning_rate
    assert steps is not None and rate is not None
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    free = [p for p in model.parameters() if p.ndim < 2 or id(p) in tables]
    kept = {id(p) for p in free}
    decayed = [p for p in model.parameters() if id(p) not in kept]
    decay = training.weight_decay
    groups = [{"params": decayed, "weight_decay": decay}, {"params": free, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=rate)
    schedule = get_scheduler("linear", optimiser, round(training.warmup * steps), steps)
    told = []
    for _, (rows, epoch) in zip(range(steps), batches(split, training.batch_size, training.seed), strict=False):
        loss = loss_of(model, make(split, rows, epoch))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), float(training.clip_norm or 0.0))
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        told.append(float(loss))
    return told


def of_library(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss as the library takes it; columns that are not the model's are for scoring only."""
    left_out = ("gold", "seen", "begins", "ends", "context", "right", "references")
    kept = {name: values for name, values in batch.items() if name not in left_out}
    if "answers" in kept:
        return of_targets(model, kept)
    if "start_positions" in kept:
        return of_spans(model, kept)
    if "canvas" in kept:
        return of_pixels(model, kept)
    if model.config.problem_type == "multi_label_classification":
        kept["labels"] = kept["labels"].float()  # yes or no for each label
    loss: torch.Tensor = model(**kept).loss
    return loss


def of_targets(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The library's loss of each token of the target, moved to the right by the model itself."""
    targets = batch.pop("answers")
    mask = batch["attention_mask"][:, : batch["input_ids"].shape[1]]
    loss: torch.Tensor = model(input_ids=batch["input_ids"], attention_mask=mask, labels=targets).loss
    return loss


def of_spans(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The library's loss; it would count padding as tokens that an answer may start or end with."""
    positions = batch.pop("start_positions"), batch.pop("end_positions")
    outputs, padding = model(**batch), batch["attention_mask"] == 0
    logits = (each.masked_fill(padding, -1e30) for each in (outputs.start_logits, outputs.end_logits))
    loss: torch.Tensor = model.loss_function(*logits, *positions)
    return loss


def of_pixels(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The library's loss, of images whose numbers go from -1 to 1."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # its statistics stay as they are, which is the launcher's default
    pixels = batch["canvas"].permute(0, 3, 1, 2).float() / 127.5 - 1
    loss: torch.Tensor = model(pixel_values=pixels, labels=batch["labels"]).loss
    return loss


def of_words(words: list[int]) -> Loss:
    """Cross entropy over these words' logits at each row's mask; the library's head computes them at every place."""

    def loss_of(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        places, labels = batch.pop("answer_at"), batch.pop("labels")
        logits = model(**batch).logits
        return nn.functional.cross_entropy(logits[torch.arange(len(logits)), places][:, words], labels)

    return loss_of


def of_text(task: str) -> Loss:
    """The library's loss of the tokens that are learnt."""

    def loss_of(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        loss: torch.Tensor = model(**(batch if "labels" in batch else language_slices.labelled(task, batch))).loss
        return loss

    return loss_of


def loss_for(task: str, prepared: Path, labels: list[str]) -> Loss:
    """What the loop takes for a task."""
    if task in language_slices.SLICES:
        return of_text(task)
    if task != "prompted":
        return of_library
    tokenizer = AutoTokenizer.from_pretrained(prepared / "tokenizer")
    return of_words([tokenizer.convert_tokens_to_ids(PROMPTED[label]) for label in labels])


def main() -> None:
    args = arguments()
    split = Split.load(args.prepared / "train.safetensors")
    labels = json.loads((args.prepared / "facts.json").read_text())["labels"]
    recipe = load(args.recipe).recipe
    initial = initial_model(recipe, labels, args.prepared)
    if args.task in language_slices.SLICES:
        model = language_slices.model_of(args.task, initial.config)
    else:
        model = model_of(args.task, args.model, labels)
    model.load_state_dict(initial.state_dict())
    model.train()
    make: Make = partial(batch_of, padding=int(getattr(model.config, "pad_token_id", None) or 0))
    if args.task == "masked":
        make = language_slices.Hidden(args.recipe, args.prepared).batch
    told = losses(model, split, recipe.training, make, loss_for(args.task, args.prepared, labels))
    args.json.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
