"""What lexicons say of words: read from files, cut into the source's tokens, kept under the numbers of their n-grams.

    YAML, JSON    lists of words by category, or words with a rating or several named ones; all of that may stand
                  below `Dictionary`, beside notes about where it comes from (as the package cntext writes it)
    text          a word a line; or a word and its numbers, as many on every line

A category becomes a column that is 1 for its words. A rating becomes a column of mean 0 and deviation 1 over the words
that have it, and none is farther than FARTHEST from 0. A word stands for the tokens that the source cuts it into; one
that holds a token the training split lacks can never be found, and is counted and left out. No torch here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from safetensors.numpy import save_file

from launcher.errors import DataError, Problem
from launcher.recipe.beside import Lexicon
from launcher.training.data.decoding import lines_of, read_text
from launcher.training.sources.reference import source_file
from launcher.training.sources.static.ngrams import Numbering

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LEXICON = "lexicon.safetensors"
LONGEST = 8
"""Tokens of a word."""
FARTHEST = 3.0
WIDEST = 1000
"""Columns of all files together: more are no categories."""
DEEPEST = 16
"""Lists and mappings in one another; a lexicon has four."""
MOST_TOLD = 5
LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""It makes strings, lists and mappings only: neither objects, nor truth values of words such as `no`."""
FORMS = "write lists of words by category, words with their ratings, or a text with one word a line"

Says = dict[str, float | None]
"""What one file says of one word: its ratings by name, None where a category lists it."""


def save(lexicon: Lexicon, tokenizer: PreTrainedTokenizerFast, folder: Path) -> dict[str, int]:
    """Write folder/`lexicon.safetensors`; say how many words there are and how many no text can hold.

    `keys`, int64 [words], sorted, are the numbers of their n-grams of tokens (`Numbering(LONGEST)`); `values`,
    float32 [words, columns]. Raises RecipeError for a missing file, DataError for one that is no lexicon.
    """
    words, columns = _joined(lexicon)
    cut = tokenizer([*words], add_special_tokens=False)["input_ids"]
    rows, keys = [], []
    for row, ids in enumerate(cut):
        if 0 < len(ids) <= LONGEST and tokenizer.unk_token_id not in ids:
            *_, key = Numbering(len(ids)).numbers(np.array(ids, dtype=np.int64))
            rows.append(row)
            keys.append(int(key[0]))
    if not rows:
        what = f"none of the {len(words):,} words can stand in a text of the training split"
        near = f"words are cut as texts are, for example {tokenizer.tokenize(next(iter(words)))}"
        raise DataError(Problem(what, ", ".join(lexicon.reads), near))
    values = np.zeros((len(words), len(columns)), dtype=np.float32)
    for number, found in enumerate(columns.values()):
        values[list(found), number] = list(found.values())
    sorted_keys, first = np.unique(np.array(keys, dtype=np.int64), return_index=True)
    save_file({"keys": sorted_keys, "values": values[np.array(rows)[first]]}, folder / LEXICON)
    return {"lexicon_words": len(words), "lexicon_words_that_no_text_can_hold": len(words) - len(rows)}


def _joined(lexicon: Lexicon) -> tuple[dict[str, int], dict[tuple[str, str, bool], dict[int, float]]]:
    """Each word's row, and each column's values by row, of all files together.

    A column is known by its file, its name and whether it lists words: a category may be called as a rating is.
    """
    words: dict[str, int] = {}
    columns: dict[tuple[str, str, bool], dict[int, float | None]] = {}
    for name in lexicon.reads:
        path = source_file(name)
        for word, says in _read(path):
            row = words.setdefault(word, len(words))
            for column, value in says.items():
                columns.setdefault((name, column, value is None), {})[row] = value
            if len(columns) > WIDEST:
                what = f"it has more categories and ratings than {WIDEST:,}, which are the most of all files together"
                raise DataError(Problem(what, str(path), FORMS))
        if not any(file == name for file, _, _ in columns):
            raise DataError(Problem("there is no word in it", str(path), FORMS))
    return words, {column: _measured(found) for column, found in columns.items()}


def _measured(found: Mapping[int, float | None]) -> dict[int, float]:
    """1 for what is listed, ratings by mean and deviation; one rating for all words tells as much as a list."""
    rated = np.array([value for value in found.values() if value is not None], dtype=np.float64)
    deviation = rated.std() if len(rated) else 0.0
    if not deviation > 0:
        return dict.fromkeys(found, 1.0)
    mean = rated.mean()
    return {row: float(np.clip((value - mean) / deviation, -FARTHEST, FARTHEST)) for row, value in found.items()}


def _read(path: Path) -> Iterator[tuple[str, Says]]:
    """What the file says, a word at a time; one that several categories list comes several times."""
    text, _ = read_text(path, str(path))
    kind = path.suffix.lower()
    if kind not in (".yaml", ".yml", ".json"):
        yield from _lines(text, path)
        return
    try:
        document = json.loads(text) if kind == ".json" else _strings(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise DataError(Problem(f"it cannot be read: {' '.join(str(error).split())}", str(path), FORMS)) from error
    if isinstance(document, dict):
        document = document.get("Dictionary", document)
    if not isinstance(document, dict):
        raise DataError(Problem("it holds no categories and no rated words", str(path), FORMS))
    problems: list[Problem] = []
    for key, value in document.items():
        if isinstance(value, list) and all(isinstance(word, str) for word in value):
            for word in filter(None, map(str.strip, value)):
                yield word, {key: None}
            continue
        told = value if isinstance(value, dict) else {"rating": value}
        says = {name: _number(rating) for name, rating in told.items()}
        if None in says.values() or not says:
            problems.append(Problem(f"{key!r} has neither words nor ratings", str(path), FORMS))
        elif key.strip():
            yield key.strip(), says
    if problems:
        raise DataError(problems[:MOST_TOLD])


def _strings(text: str) -> Any:
    """What YAML says, all values as strings. libyaml's composer overruns the stack of what is nested deep."""
    depth = 0
    for event in yaml.parse(text, LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise yaml.YAMLError(f"lists and mappings are more than {DEEPEST} deep")
    loader = LOADER(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _lines(text: str, path: Path) -> Iterator[tuple[str, Says]]:
    """A word a line; where numbers follow the first one, as many follow each."""
    lines = [(number, line.strip()) for number, line in enumerate(lines_of(text), 1) if line.strip()]
    count = 0
    if lines:
        fields = lines[0][1].split()
        while count < len(fields) - 1 and _number(fields[-count - 1]) is not None:
            count += 1
    problems: list[Problem] = []
    for number, line in lines:
        word, *told = line.rsplit(maxsplit=count) if count else (line,)
        ratings = [_number(field) for field in told]
        # as after the header of a .vec
        more = count and " " in word and _number(word.split()[-1]) is not None
        if len(told) < count or None in ratings or more:
            what = f"not a word and {count:,} {'number' if count == 1 else 'numbers'}, as on the first line"
            problems.append(Problem(what, f"{path}, line {number:,}", FORMS))
        else:
            yield word, {str(place): rating for place, rating in enumerate(ratings)} if count else {"": None}
    if problems:
        raise DataError(problems[:MOST_TOLD])


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
