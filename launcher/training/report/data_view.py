"""A recipe's data as `launcher data` shows it: what was read, how long it is, what the model sees of it.

Everything comes from what `prepare` wrote; only the examples are read and tokenised again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from launcher.recipe.about_images import reads_images
from launcher.recipe.recipe import Recipe
from launcher.recipe.task import plain
from launcher.training.batches.split import Split
from launcher.training.data import Row, marks, read_corpus
from launcher.training.data.checks import label_counts
from launcher.training.prepare import SPLITS, prepare
from launcher.training.report import figures, image_view
from launcher.training.report.figures import texts_of
from launcher.training.report.fonts import fonts_for
from launcher.training.sources import load_tokenizer
from launcher.training.tasks import work_for
from launcher.training.tasks.base import Reader
from launcher.training.tasks.marked_texts import seen_of

QUANTILES = (5, 25, 50, 75, 95, 99)
BINS = 20
BETWEEN = "|"
"""Shown between the two texts of a pair, where no token of the model separates them."""
REPLACEMENT = "\ufffd"
"""What stands for bytes that are no character."""
LONGEST_REST = 200
"""Characters that are shown of what was cut."""


def inspect(recipe: Recipe, rows: int, folder: str | None) -> dict[str, Any]:
    """Statistics of every split, `rows` examples of each, as JSON values; figures as PNG below `folder`.

    Raises DataError as `prepare` does, and where the figures cannot be written.
    """
    facts = prepare(recipe)
    if reads_images(recipe.task):
        return image_view.inspect(recipe, facts, rows, folder)
    prepared, data_report = Path(facts["folder"]), facts["report"]
    tokenizer = load_tokenizer(prepared)
    loaded = {name: Split.load(prepared / f"{name}.safetensors") for name in SPLITS}
    longest = max(int(split.cost.max(initial=1)) for split in loaded.values())
    view: dict[str, Any] = {
        "labels": facts["labels"],
        "max_length": facts["max_length"],
        "splits": {
            name: {
                **data_report["splits"][name],
                "tokens": length_facts(split.cost, longest),
                "truncated": facts["truncated"][name],
                "encoded": facts["rows"][name],
                "lost": facts["lost"][name],
                "vocabulary": vocabulary_facts(split.token_ids, tokenizer),
                "repeated": data_report["duplicates"]["repeated"][name],
                "conflicting": data_report["duplicates"]["conflicting"][name],
            }
            for name, split in loaded.items()
        },
        "shared": data_report["duplicates"]["shared"],
        "dropped": data_report["duplicates"]["dropped"],
        "augmented": data_report.get("augmented"),
        "tags": data_report["tags"],
        "warnings": data_report["warnings"],
        "source": facts["source"],
        "vectors": facts.get("vectors", []),
        "cut": facts["cut"],
        "examples": _examples(recipe, tokenizer, facts["max_length"], rows) if rows else {},
        "folder": facts["folder"],
        "stream": facts.get("stream"),
    }
    view["lengths_of"], _ = loaded["train"].lengths_of_inputs
    view["balance"] = label_counts(facts["labels"], data_report)
    view["balance_of"] = "entity" if data_report["answer"] == "tags" else "label"
    if folder is not None:
        view["figures"] = _draw(
            view, {name: split.lengths_of_inputs[1] for name, split in loaded.items()}, Path(folder)
        )
        shown = [*view["labels"], *(text for rows in view["examples"].values() for e in rows for text in texts_of(e))]
        view["notes"] = [note for note in [fonts_for(shown).note()] if note]
    return view


def _draw(view: dict[str, Any], lengths: dict[str, np.ndarray], folder: Path) -> list[str]:
    """Write the figures below `folder`; their paths."""
    drawn = {"labels": figures.labels_figure(view["balance"])} if view["balance"] else {}  # numbers have none
    drawn["lengths"] = figures.lengths_figure(lengths, view["max_length"], view.get("lengths_of", "row"))
    drawn |= {f"examples-{name}": figures.examples_figure(rows) for name, rows in view["examples"].items() if rows}
    for name, figure in drawn.items():
        figures.save(figure, folder / f"{name}.png")
    return [str(folder / f"{name}.png") for name in drawn]


def length_facts(lengths: np.ndarray, longest: int) -> dict[str, Any]:
    """Mean, quantiles and a histogram of `lengths`, whose bins reach from 0 to `longest` in every split."""
    width = -(-longest // BINS)
    edges = np.arange(0, longest + width, width)
    counts = np.histogram(lengths, bins=np.append(edges, edges[-1] + width) - 0.5)[0] if len(lengths) else edges * 0
    return {
        "sum": int(lengths.sum()),
        "mean": round(float(lengths.mean()), 2) if len(lengths) else 0.0,
        "quantiles": {str(q): int(np.percentile(lengths, q)) for q in QUANTILES} if len(lengths) else {},
        "longest": int(lengths.max(initial=0)),
        "histogram": {"width": width, "counts": counts.tolist()},
    }


def vocabulary_facts(ids: np.ndarray, tokenizer: Any) -> dict[str, Any]:
    """How many of the tokens the vocabulary knows, and how much of the vocabulary they use; special tokens apart."""
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    seen = np.bincount(ids, minlength=len(tokenizer))
    seen[list(special)] = 0
    unknown = int(seen[tokenizer.unk_token_id]) if tokenizer.unk_token_id is not None else 0
    tokens = int(seen.sum())
    return {
        "tokens": tokens,
        "unknown": unknown,
        "coverage": round(1 - unknown / tokens, 6) if tokens else 1.0,
        "used": int((seen > 0).sum()),
        "size": len(tokenizer),
    }


def _examples(recipe: Recipe, tokenizer: Any, max_length: int, count: int) -> dict[str, list[dict[str, Any]]]:
    corpus = read_corpus(recipe.data, plain(recipe.task))
    splits, work = corpus.splits, work_for(recipe.task, Reader(corpus.labels, tokenizer, max_length))
    return {
        name: [
            work.as_seen(row) or as_seen(work.as_read(row), tokenizer, max_length, work.windows_of(row))
            for row in rows[:: max(1, len(rows) // count)][:count]
        ]
        for name, rows in splits.items()
    }


def as_seen(row: Row, tokenizer: Any, max_length: int, windows: Sequence[Any] = ()) -> dict[str, Any]:
    """One row token by token, with the labels where the loss is taken; what is cut, and which words have no token.

    Of a row that is read in `windows` (their encodings) the first with an answer is shown.
    """
    if marks.entities_of(row):
        return _related_as_seen(row, tokenizer, max_length)
    by_word = not isinstance(row.text, str)
    given = [[list(row.text) if by_word else row.text], *([[row.pair]] if row.pair is not None else [])]
    (whole,) = tokenizer(*given, is_split_into_words=by_word, verbose=False).encodings
    if windows:
        number = next((at for at, window in enumerate(windows) if _has_answer(row, window)), 0)
        encoding, rest = windows[number], list[int]()
    else:
        (encoding,) = tokenizer(*given, is_split_into_words=by_word, truncation=True, max_length=max_length).encodings
        rest = _beyond(whole, encoding)
    example: dict[str, Any] = {
        "where": row.where + (f", window {number + 1} of {len(windows)}" if len(windows) > 1 else ""),
        "label": None if by_word else _label(row),
        "tokens": _readable(_tokens(row, encoding, tokenizer.unk_token_id), tokenizer),
        "cut": {"tokens": len(rest), "text": _rest(row, whole, rest)},
    }
    if by_word:
        with_token = set(whole.word_ids)
        example["swallowed"] = [word for index, word in enumerate(row.text) if index not in with_token]
    return example


def _label(row: Row) -> str | None:
    """The label, or the several ones; None of a text that has none."""
    return row.label or None if isinstance(row.label, str) else ", ".join(row.label) or "-"


def _readable(tokens: list[dict[str, Any]], tokenizer: Any) -> list[dict[str, Any]]:
    """With the characters that a token of bytes stands for, where they are whole; a space is shown as `Ġ`."""
    if type(tokenizer.backend_tokenizer.decoder).__name__ != "ByteLevel":
        return tokens
    for token in tokens:
        text = "" if token["special"] else tokenizer.convert_tokens_to_string([token["token"]])
        if text and REPLACEMENT not in text:
            token["token"] = text.replace(" ", "Ġ")
    return tokens


def _related_as_seen(row: Row, tokenizer: Any, max_length: int) -> dict[str, Any]:
    """A text with two entities, which are named below the tokens that stand for them."""
    (seen,) = seen_of([row], tokenizer, max_length)
    tokens, (one, its_end, two, other_end) = (
        _tokens(replace(row, text=seen.text), seen.encoding, tokenizer.unk_token_id),
        seen.places,
    )
    shown = [tokens[index] for index in seen.kept] if tokens else []
    for name, first, last in ((marks.FIRST, one, its_end), (marks.SECOND, two, other_end)):
        for token in shown[first : last + 1]:
            token["label"] = f"{token['label']} {name}" if token["label"] else name
    gone = sorted({*range(len(tokens))} - {*seen.kept.tolist()})
    rest = seen.text[seen.encoding.offsets[gone[0]][0] :][:LONGEST_REST] if gone else ""
    return {"where": row.where, "label": row.label, "tokens": shown, "cut": {"tokens": len(gone), "text": rest}}


def _beyond(whole: Any, encoding: Any) -> list[int]:
    """Indices of the tokens of `whole` that `encoding` lacks: of each text the last ones."""
    seen, rest = Counter(encoding.sequence_ids), []
    for index, text in enumerate(whole.sequence_ids):
        if text is not None:
            seen[text] -= 1
            rest += [index] if seen[text] < 0 else []
    return rest


def _tokens(row: Row, encoding: Any, unknown: int | None) -> list[dict[str, Any]]:
    tokens: list[dict[str, Any]] = []
    labelled: set[int] = set()
    before = None
    parts = zip(encoding.tokens, encoding.ids, encoding.offsets, encoding.word_ids, encoding.sequence_ids, strict=True)
    for (token, number, (start, end), word, text), special in zip(parts, encoding.special_tokens_mask, strict=True):
        source = _text_of(row, text) if isinstance(row.text, str) else row.text[word] if word is not None else ""
        label = None
        if not isinstance(row.text, str) and word is not None and word not in labelled:
            label = row.label[word]
            labelled.add(word)
        elif text == 1 and _answers(row, start, end):
            label = "answer"
        if (before, text) == (0, 1):  # the model puts no token of its own between the two texts
            tokens.append({"token": BETWEEN, "text": "", "label": None, "unknown": False, "special": True})
        before = text
        lone = bool(special) and number != unknown
        shown = {"token": token, "text": "" if lone else source[start:end], "label": label}
        tokens.append({**shown, "unknown": number == unknown, "special": lone})
    return tokens


def _answers(row: Row, start: int, end: int) -> bool:
    """Whether these characters of the second text are of an answer."""
    return any(span.start < end and start < span.end for span in row.spans)


def _has_answer(row: Row, window: Any) -> bool:
    """Whether this window of it has an answer's last character."""
    of_context = (place for place, side in zip(window.offsets, window.sequence_ids, strict=True) if side == 1)
    return any(start < span.end <= end for start, end in of_context for span in row.spans[:1])


def _text_of(row: Row, side: int | None) -> str:
    """The row's text, or the second one of a pair."""
    return str(row.pair if side == 1 else row.text)


def _rest(row: Row, whole: Any, indices: Sequence[int]) -> str:
    """The beginning of what lies beyond the cut: of the first text of which something does."""
    for index in indices:
        start, end = whole.offsets[index]
        if end > start:
            text = _text_of(row, whole.sequence_ids[index])[start:] if isinstance(row.text, str) else ""
            return (text or " ".join(row.text[whole.word_ids[index] :]))[:LONGEST_REST]
    return ""
