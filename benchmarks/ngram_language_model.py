"""A run of causal language modelling beside an n-gram model of the very same tokens: perplexity of a held-out token.

    python benchmarks/ngram_language_model.py RUN [--order 5] [--json FILE]

The n-gram model is what KenLM estimates: interpolated modified Kneser-Ney, nothing pruned (Chen and Goodman 1999,
"An empirical study of smoothing techniques for language modeling"; Heafield et al. 2013). It counts the training rows
that the launcher prepared, and is asked for the tokens that the model is asked for: each of a row but the first, from
those before it in its row. The model's own losses are taken row by row, by a plain transformers model of the saved
folder. Standard errors, and that of the difference, are over the documents.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from measure import save, say, say_machine, table

from launcher.runs.run_files import read_json
from launcher.runs.run_folder import RunFolder
from launcher.training.batches.split import TOKENS, Ragged, Split

FEW = (0.5, 1.0, 1.5)
"""Discounts where the counts are too few to tell them, as KenLM falls back."""
SUM_CHECKS = 5
"""Contexts of the held-out rows for which the probabilities of all tokens are added up."""


class Grams(NamedTuple):
    """The n-grams of one length that were counted; a gram's number is its place in `keys`."""

    keys: np.ndarray
    """Number of the gram without its last token, times the symbols, plus that token: int64 [grams], ascending."""
    discounted: np.ndarray
    """Count less its discount over all counts of its context, float64 [grams]."""
    left: np.ndarray
    """What the discounts of each context leave to shorter ones, float64 [contexts]; 1 where nothing was counted."""


class NGrams:
    """An interpolated modified Kneser-Ney model of rows of tokens."""

    def __init__(self, rows: Ragged, tokens: int, order: int) -> None:
        """Count: `tokens` is the vocabulary's size."""
        self.tokens, self.symbols, self.order = tokens, tokens + 1, order
        text, depth = self._text(rows)
        asked = depth >= 2  # neither the border nor a row's first token is ever asked for
        numbers = [np.where(depth >= 0, text, -1)]
        tables = [np.arange(self.symbols, dtype=np.int64)]
        for length in range(1, order):
            keys = np.where(depth >= length, self._keys(_before(numbers[-1]), text), -1)
            distinct = np.unique(keys)
            tables.append(distinct[distinct >= 0])
            numbers.append(np.where(keys >= 0, np.searchsorted(tables[-1], keys), -1))
        self.grams = list[Grams]()
        for place in range(order):
            longer = numbers[place + 1] if place + 1 < order else None
            counts = _counts(numbers[place], longer, asked & (depth >= place), depth == place, len(tables[place]))
            contexts = tables[place] // self.symbols  # of the shortest, which has none, 0
            self.grams.append(_smoothed(tables[place], counts, contexts, len(tables[place - 1]) if place else 1))

    def nats(self, rows: Ragged) -> np.ndarray:
        """Minus the logarithm of the probability of each token but the first of each row, float64 [tokens asked]."""
        text, depth = self._text(rows)
        asked = np.flatnonzero(depth >= 2)
        return -np.log(self._probability([text[asked - back] for back in range(self.order)], depth[asked]))

    def sums(self, rows: Ragged) -> np.ndarray:
        """What the probabilities of all tokens add up to in some contexts of these rows; 1 in a model that is right."""
        text, depth = self._text(rows)
        chosen = np.flatnonzero(depth >= 2)[:: max(1, len(rows.values) // SUM_CHECKS)]
        added = []
        for place in chosen:
            before = [np.full(self.tokens, text[place - back]) for back in range(1, self.order)]
            every = np.arange(self.tokens)
            added.append(self._probability([every, *before], np.full(self.tokens, depth[place])).sum())
        return np.array(added)

    def _probability(self, window: list[np.ndarray], depth: np.ndarray) -> np.ndarray:
        """Of the first of `window`, the token; behind it, the one before it, and so on."""
        found, context = np.full(len(depth), 1 / self.tokens), np.zeros(len(depth), dtype=np.int64)
        for place, grams in enumerate(self.grams):
            context = np.where(depth >= place, self._context(window[1 : place + 1]), -1)
            known = np.flatnonzero(context >= 0)
            keys = self._keys(context[known], window[0][known])
            number = _number(grams.keys, keys)
            own = np.where(number >= 0, grams.discounted[number], 0.0)
            found[known] = own + grams.left[context[known]] * found[known]
        return found

    def _context(self, before: list[np.ndarray]) -> np.ndarray:
        """The number of the gram that these tokens are, the nearest first; -1 where it was never seen."""
        number: np.ndarray | int = 0
        for place, token in enumerate(reversed(before)):
            keys = self._keys(np.asarray(number), token)
            number = np.where(np.asarray(number) >= 0, _number(self.grams[place].keys, keys), -1)
        return np.asarray(number)

    def _keys(self, context: np.ndarray, token: np.ndarray) -> np.ndarray:
        keys: np.ndarray = context.astype(np.int64) * self.symbols + token
        return keys

    def _text(self, rows: Ragged) -> tuple[np.ndarray, np.ndarray]:
        """All rows, a border before each, and how many symbols of its row stand before each: int64 [symbols]."""
        border, lengths = self.tokens, rows.lengths
        text = np.insert(rows.values.astype(np.int64), rows.offsets[:-1], border)
        depth = np.concatenate([np.arange(length + 1) for length in lengths])
        return text, depth


def _before(numbers: np.ndarray) -> np.ndarray:
    return np.concatenate([[-1], numbers[:-1]])


def _number(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Their places in `keys`; -1 where they are not there."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, place, -1)


def _counts(own: np.ndarray, longer: np.ndarray | None, asked: np.ndarray, first: np.ndarray, size: int) -> np.ndarray:
    """How often each gram was seen; if there are longer ones, behind how many different symbols, int64 [size].

    A gram that begins with the border of a row has nothing before it, so it is counted as it is.
    """
    if longer is None:
        return np.bincount(own[asked], minlength=size)
    inside = np.flatnonzero(asked & ~first)
    _, one_of_each = np.unique(longer[inside], return_index=True)
    different: np.ndarray = np.bincount(own[inside[one_of_each]], minlength=size)
    return different + np.bincount(own[asked & first], minlength=size)


def _smoothed(keys: np.ndarray, counts: np.ndarray, contexts: np.ndarray, size: int) -> Grams:
    """Each context keeps something of its counts back: more of grams seen once than of others, by Chen and Goodman."""
    seen, discounts = np.bincount(np.minimum(counts, 5), minlength=5), np.array([0.0, *FEW])
    if seen[1:5].all():
        ratio = seen[1] / (seen[1] + 2 * seen[2])
        discounts[1:] = [many - (many + 1) * ratio * seen[many + 1] / seen[many] for many in (1, 2, 3)]
    kept_back = discounts[np.minimum(counts, 3)]
    whole = np.bincount(contexts, counts, minlength=size)
    share = np.bincount(contexts, kept_back, minlength=size) / np.maximum(whole, 1)
    return Grams(keys, (counts - kept_back) / np.maximum(whole, 1)[contexts], np.where(whole > 0, share, 1.0))


def model_nats(model: Path, rows: Ragged) -> np.ndarray:
    """The same of a saved model, each row by itself."""
    import torch
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    told = []
    with torch.inference_mode():
        for number in range(len(rows.lengths)):
            ids = torch.from_numpy(rows.row(number).astype(np.int64))[None]
            logits = network(input_ids=ids).logits[0, :-1]
            told.append(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none"))
    return torch.cat(told).double().numpy()


def by_document(nats: np.ndarray, split: Split) -> np.ndarray:
    """The sum of each document, float64 [documents]."""
    asked = np.maximum(split.ragged(TOKENS).lengths - 1, 0)
    return np.bincount(np.repeat(split.example, asked), nats, minlength=split.examples)


def mean_and_error(sums: np.ndarray, split: Split) -> tuple[float, float]:
    """A token's mean, and its standard error: that of a ratio of two sums over documents."""
    asked = np.bincount(split.example, split.targets["loss"], minlength=split.examples)
    mean = sums.sum() / asked.sum()
    apart = sums - mean * asked
    return float(mean), float(np.sqrt((apart**2).sum() * len(sums) / (len(sums) - 1)) / asked.sum())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a run of CausalLanguageModel")
    parser.add_argument("--order", type=int, default=5, help="of the longest n-grams")
    parser.add_argument("--without-model", action="store_true", help="the n-grams alone: the run need not have ended")
    parser.add_argument("--json", type=Path, help="where raw figures go")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    facts, run = say_machine(), RunFolder(args.run.resolve())
    prepared = Path(read_json(run.plan)["prepared"])
    train, *held_out = (Split.load(prepared / f"{name}.safetensors") for name in ("train", "validation", "test"))
    tokens = vocabulary(prepared / "tokenizer")
    models = {order: NGrams(train.ragged(TOKENS), tokens, order) for order in range(1, args.order + 1)}
    longest, figures, rows = models[args.order], dict[str, dict[str, tuple[float, float]]](), []
    for name, split in zip(("validation", "test"), held_out, strict=True):
        texts = split.ragged(TOKENS)
        sums = longest.sums(texts)
        assert np.abs(sums - 1).max() < 1e-9, f"probabilities add up to {sums}"
        nats = {f"{order}-gram": by_document(model.nats(texts), split) for order, model in models.items()}
        if not args.without_model:
            nats["model"] = by_document(model_nats(run.model, texts), split)
            nats["model - n-gram"] = nats["model"] - nats[f"{args.order}-gram"]
        figures[name] = {side: mean_and_error(values, split) for side, values in nats.items()}
        rows += [(name, side, *told(side, *pair)) for side, pair in figures[name].items()]
    say(f"{int(train.targets['loss'].sum()):,} training tokens of {tokens:,} different ones")
    table(("split", "model", "nats a token", "standard error", "perplexity"), rows)
    save(args.json, facts, vars(args), figures)


def told(side: str, mean: float, error: float) -> tuple[str, str, str]:
    """Cells of the table; a difference has no perplexity."""
    return f"{mean:.4f}", f"{error:.4f}", "" if " - " in side else f"{math.exp(mean):,.2f}"


def vocabulary(folder: Path) -> int:
    """How many tokens there are."""
    from transformers import AutoTokenizer

    return len(AutoTokenizer.from_pretrained(folder))


if __name__ == "__main__":
    main()
