"""Using a saved model: metrics on a split or a file, labels or entities of raw texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from launcher.errors import DataError, Problem
from launcher.exported.given import paths_in, texts_in
from launcher.printing import one_line
from launcher.recipe.about_images import reads_images
from launcher.recipe.about_search import asked_about
from launcher.recipe.data import Table
from launcher.recipe.fields import NAMED
from launcher.recipe.recipe import Recipe
from launcher.recipe.task import answer_of, of_entities, plain, tokens_of_rows
from launcher.training import sources
from launcher.training.batches.split import TOKENS, Split
from launcher.training.data import Row, UnlabelledTexts, Wanted, images, read_rows, read_unlabelled, under_known_labels
from launcher.training.data.findings import Findings
from launcher.training.distributed.world import World
from launcher.training.evaluation import EVALUATION_ROWS
from launcher.training.evaluation import evaluate as measure
from launcher.training.model_parts.grown_table import rows_of
from launcher.training.model_parts.outputs import Tensors, outputs_of
from launcher.training.model_parts.sparse_table import base_of
from launcher.training.prepare import prepare
from launcher.training.result import writing
from launcher.training.result.model_folder import SavedModel
from launcher.training.result.writing import generator
from launcher.training.tasks.base import Encoded, Kept, TaskWork, Text, encoded
from launcher.training.tasks.blocks import encoded_to
from launcher.training.tasks.collate import Batches
from launcher.training.tasks.keeping import Keeping
from launcher.training.tasks.writing import writer
from launcher.training.written import with_texts

CPU = torch.device("cpu")


def evaluate(saved: SavedModel, data: str | None) -> dict[str, Any]:
    """Metrics of a saved model on its recipe's test split, or on the file `data` of the same kind."""
    if data is None:
        return _measured(saved, test_split(saved))
    rows = read_rows(saved.recipe.data, plain(saved.recipe.task), data)
    if answer_of(saved.recipe.task) in NAMED:
        rows = under_known_labels(rows, tuple(saved.labels), Path(data).name)
    with encoded_rows(saved, rows) as made:
        return _measured(saved, made.split)


def test_split(saved: SavedModel) -> Split:
    """What the model was tested on. Raises DataError where the data has changed since."""
    prepared = prepare(saved.recipe)
    if saved.data is not None and prepared["data"] != saved.data:
        what = "the data has changed since the run: its test split is not what the model was tested on"
        raise DataError(Problem(what, do="put the files back, or name the rows to evaluate on: --data FILE"))
    return Split.load(Path(prepared["folder"]) / "test.safetensors")


def _measured(saved: SavedModel, split: Split) -> dict[str, Any]:
    _refuse_tokens_without_rows(saved, split)
    batches, alone = Batches(saved.work, CPU), World(0, 0, 1, CPU)
    measured = measure(lambda inputs: _outputs(saved, inputs), batches, split, alone, EVALUATION_ROWS)
    return with_texts(measured, generator(saved), batches, split, None, alone, EVALUATION_ROWS).metrics


@contextmanager
def encoded_rows(saved: SavedModel, examples: Sequence[Row]) -> Iterator[Encoded]:
    """What the task makes of these rows; of many, a file for as long as they are asked of. Raises DataError."""
    work = saved.work
    if not reads_images(saved.recipe.task):
        sources.learn(saved.model, work.tokenizer, (row.sentence for row in examples))
    if len(examples) <= work.rows_at_a_time:
        yield encoded(work, examples)
        return
    with TemporaryDirectory(prefix="launcher-rows-") as folder:
        try:
            made = encoded_to(Path(folder) / "rows.safetensors", work, examples)
        except OSError as error:
            do = "make room there, or set TMPDIR to a folder that can be written"
            raise DataError(Problem(f"the rows cannot be kept in {folder}: {error}", do=do)) from error
        yield made


def answers(saved: SavedModel, request: dict[str, Any]) -> list[dict[str, Any]]:
    """Answers for `launcher predict`: to `texts`, or to a `file`; for each its row, answer, and how to print it, and
    what of it was not looked at where it is too long.
    """
    wanted = texts_to_predict(saved.recipe, request["texts"], request.get("file"), request)
    predictions = predict(saved, wanted.texts, request.get("top"))
    answers: list[dict[str, Any]] = [
        {"row": row, "answer": answer, "cut_off": saved.work.cut_off}
        for row, answer in zip(wanted.rows, predictions, strict=True)
    ]
    if request.get("printed"):
        for text, given in zip(wanted.texts, answers, strict=True):
            given["printed"] = _printed(saved.work, _in_a_line(text), given["answer"], request.get("top"))
    return answers


def _printed(work: TaskWork, text: str, answer: Mapping[str, Any], top: int | None) -> str:
    return work.printed(text, answer, top) if writer(work) is None else writing.printed(text, answer)


def _in_a_line(text: str | tuple[str, ...]) -> str:
    return "\t".join(map(one_line, [text] if isinstance(text, str) else text))


def texts_to_predict(recipe: Recipe, texts: list[str], file: str | None, said: Mapping[str, Any]) -> UnlabelledTexts:
    """What is to be predicted, as the model takes it: the texts, or those of `file`; in twos where it takes pairs.

    `said` may have the names of its columns, `text` and `text_pair`, what to call the file, and whether texts are
    `pairs` where the model answers to either. Raises DataError for
    a file that cannot be read, and for a text without a second one to pair it with.
    """
    pairs = takes_pairs(recipe)
    if pairs is None:
        pairs = bool(said.get("pairs") or said.get("text_pair"))
    if reads_images(recipe.task):
        return images_to_predict(recipe, texts, file, said.get("text"))
    if file is not None:
        joined_by = "" if tokens_of_rows(recipe.task) in ("characters", "jieba") else " "
        columns = (said.get("text"), said.get("text_pair"))
        if columns[1] is not None and not pairs:
            raise DataError(Problem("the model takes single texts", "--text-pair", "leave it out"))
        wanted = Wanted(pairs, columns, joined_by, of_entities(recipe.task))
        return read_unlabelled(Path(file), recipe.data, wanted, said.get("name") or "")
    if not pairs:
        return UnlabelledTexts(list(texts), [{"text": text} for text in texts])
    if len(texts) % 2:
        what = f"the model takes pairs of texts, and {len(texts)} cannot be paired"
        raise DataError(Problem(what, do='give two texts for each pair: launcher predict RUN "one" "other"'))
    couples = list(zip(texts[::2], texts[1::2], strict=True))
    return UnlabelledTexts(list(couples), [{"text": one, "text_pair": other} for one, other in couples])


def images_to_predict(recipe: Recipe, paths: list[str], file: str | None, column: str | None) -> UnlabelledTexts:
    """The images of these paths, of a folder, or those that a column of a table names, as paths."""
    if file is None or Path(file).is_dir():
        paths = paths if file is None else [str(path) for path in images.images_in(Path(file))]
        return UnlabelledTexts(list(paths), [{"image": path} for path in paths])
    own = (recipe.data.image if isinstance(recipe.data, Table) else None) or "image"
    table = read_unlabelled(Path(file), recipe.data, Wanted(pairs=False, said=(column or own, None)))
    return UnlabelledTexts([str(Path(file).parent / str(path)) for path in table.texts], table.rows)


def takes_pairs(recipe: Recipe) -> bool | None:
    """Whether the model is asked about pairs of texts; None where it answers to either."""
    if (asked := asked_about(recipe.task)) is not None:
        return True if asked == "pairs" else None
    return isinstance(recipe.data, Table) and recipe.data.text_pair is not None


def predict(saved: SavedModel, given: Any, top: int | None = None) -> list[dict[str, Any]]:
    """A saved model's answer to each text or pair, in their order (see `launcher.api.predict`).

    Raises DataError for what is no text, and where it takes the other of the two.
    """
    work = saved.work
    texts = paths_in(given) if reads_images(saved.recipe.task) else texts_in(given, takes_pairs(saved.recipe))
    if not texts:
        return []
    with encoded_rows(saved, examples_of(work, texts)) as made:
        answers = answers_to(saved, texts, made)
    return answers if top is None else [work.likeliest(answer, top) for answer in answers]


def answers_to(saved: SavedModel, texts: Sequence[Text], made: Encoded) -> list[dict[str, Any]]:
    """The answer to each text of what was made of them all."""
    work, split = saved.work, made.split
    batches, keeping = Batches(work, CPU), Keeping(split.rows)
    _refuse_tokens_without_rows(saved, split)
    writes = writer(work)
    texts_written = [] if writes is None else writing.texts_for(saved, writes, split)
    if writes is not None and not writes.tells_too:
        return _with_what_was_cut(texts_written, made)
    order = np.argsort(-split.cost, kind="stable")
    with torch.inference_mode():
        for start in range(0, len(order), EVALUATION_ROWS):
            rows = order[start : start + EVALUATION_ROWS]
            inputs, wanted = batches(split, rows)
            outputs = _outputs(saved, inputs)
            keeping.add(rows, {**work.keep(outputs, wanted), **work.detail(outputs, wanted)})
    values = keeping.together(World(0, 0, 1, CPU))
    kept = Kept(values, values, np.arange(split.rows))
    answers = [work.tell(text, split, split.rows_of(number), kept) for number, text in enumerate(texts)]
    if texts_written:
        answers = [{**written, **told} for written, told in zip(texts_written, answers, strict=True)]
    return _with_what_was_cut(answers, made)


def _with_what_was_cut(answers: list[dict[str, Any]], made: Encoded) -> list[dict[str, Any]]:
    for number in np.flatnonzero(made.truncated):
        answers[number]["truncated"] = True
    return answers


def examples_of(work: TaskWork, texts: Sequence[Text]) -> list[Row]:
    """A row for each text. Raises DataError with all that is wrong with any of them."""
    examples, findings = [], Findings()
    for number, text in enumerate(texts, 1):
        try:
            examples.append(work.example(text))
        except DataError as error:
            for problem in error.problems:
                findings.add("text", problem.what, problem.where or f"text {number:,}", problem.do)
    findings.raise_if_any()
    return examples


def _outputs(saved: SavedModel, inputs: Tensors) -> dict[str, torch.Tensor]:
    return outputs_of(saved.model, inputs, saved.work.outputs)


def _refuse_tokens_without_rows(saved: SavedModel, split: Split) -> None:
    """Raise DataError for a text with a token that the model's table has no row for: a padding token, written out."""
    rows, ids = rows_of(base_of(saved.model)), split.token_ids
    if isinstance(rows, int) and (ids >= rows).any():
        index = int(np.argmax(ids >= rows))
        row = int(np.searchsorted(split.ragged(TOKENS).offsets, index, side="right")) - 1
        text = int(split.example[row]) + 1
        token = saved.work.tokenizer.convert_ids_to_tokens(int(ids[index]))
        what = f"text {text:,} holds {token!r}, which the tokenizer takes for one token and the model has no row for"
        raise DataError(Problem(what, do="leave it out"))
