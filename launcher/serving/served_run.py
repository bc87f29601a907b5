"""A saved model as the server asks it (`launcher.serving.served`): by rows of several requests at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from launcher.errors import DataError, Problem
from launcher.exported.given import texts_in
from launcher.recipe.about_images import reads_images
from launcher.recipe.about_search import sizes_of
from launcher.recipe.generation_rules import with_settings
from launcher.recipe.task import plain
from launcher.serving.image_bytes import files_of
from launcher.serving.served import CHAT, PREDICT, VECTORS, About
from launcher.training import sources
from launcher.training.batches.split import Split
from launcher.training.data import Row
from launcher.training.result import inference, writing
from launcher.training.result.model_folder import SavedModel
from launcher.training.tasks.base import Encoded, Text, encoded
from launcher.training.tasks.writing import Message, writer

MOST_LEARNT = 20_000
"""Words that training never saw, of which a model of subwords keeps the vectors; then it forgets them all."""


@dataclass(frozen=True)
class ReadText:
    """A text, and the rows that the task makes of it."""

    text: Text
    example: Row
    made: Encoded

    @property
    def cost(self) -> int:
        """Of all its rows: what they would take side by side."""
        costs = self.made.split.cost
        return int(costs.max(initial=1)) * len(costs)


class ServedRun:
    """See `launcher.serving.served.Served`. The answers are those of `inference.predict`."""

    def __init__(self, saved: SavedModel):
        self.saved = saved
        for tensor in (*saved.model.parameters(), *saved.model.buffers()):
            tensor.data = tensor.data.clone()  # it may lie in the file, which somebody may write or cut while we serve
        self.learnt = sources.learnt(saved.model, saved.reader.tokenizer)
        self.images = reads_images(saved.recipe.task)

    @property
    def about(self) -> About:
        """What it is."""
        saved = self.saved
        pairs = {True: "pairs", False: "texts", None: "either"}[inference.takes_pairs(saved.recipe)]
        vectors = plain(saved.recipe.task).head == "embedding"
        endpoints = [PREDICT, *([VECTORS] if vectors else [])]
        endpoints += [CHAT] if not self.images and writing.holds_conversations(saved) else []
        return About(
            task=saved.recipe.task.kind,
            labels=tuple(saved.labels),
            takes="images" if self.images else pairs,  # type: ignore[arg-type]
            endpoints=tuple(endpoints),
            sizes=(*sizes_of(saved.recipe.task), self._dimension()) if vectors else (),
            whole=writer(saved.work) is not None,
        )

    def _dimension(self) -> int:
        return len(self.answer(self.read(["a"]))[0]["vector"])

    def read(self, texts: Sequence[Any]) -> list[ReadText]:
        """A row for each text, or for each image in base64. Raises DataError with all that is wrong with them."""
        saved, work = self.saved, self.saved.work
        if self.images:
            return self._images(texts)
        given = texts_in(list(texts), inference.takes_pairs(saved.recipe))
        rows = inference.examples_of(work, given)
        return [ReadText(text, row, encoded(work, [row])) for text, row in zip(given, rows, strict=True)]

    def _images(self, files: Sequence[str]) -> list[ReadText]:
        work = self.saved.work
        with TemporaryDirectory(prefix="launcher-images-") as folder:
            paths: list[Text] = []
            for number, file in enumerate(files_of(files)):
                path = Path(folder) / f"image {number + 1}"
                path.write_bytes(file)
                paths.append(str(path))
            try:
                rows = inference.examples_of(work, paths)
            except DataError as error:
                raise DataError(Problem(p.what, Path(p.where).name, p.do) for p in error.problems) from None
            return [ReadText(path, row, encoded(work, [row])) for path, row in zip(paths, rows, strict=True)]

    def answer(self, rows: Sequence[ReadText]) -> list[dict[str, Any]]:
        """What `predict` says of each."""
        texts = [row.text for row in rows]
        if self.learnt is not None:  # a row's numbers of words that it has learnt would not outlive their forgetting
            if self.learnt.count > MOST_LEARNT:
                self.learnt.forget()
            with inference.encoded_rows(self.saved, [row.example for row in rows]) as again:
                return inference.answers_to(self.saved, texts, again)
        made = [row.made for row in rows]
        whole = Encoded(Split.joined([each.split for each in made]), np.concatenate([each.truncated for each in made]))
        return inference.answers_to(self.saved, texts, whole)

    def likeliest(self, answer: dict[str, Any], top: int) -> dict[str, Any]:
        """With the `top` most probable labels alone."""
        return self.saved.work.likeliest(answer, top)

    def reply(
        self,
        messages: Sequence[Message],
        settings: Mapping[str, str],
        say: Callable[[str], None],
        stopped: Callable[[], bool],
    ) -> dict[str, Any]:
        """The next turn of a conversation. Raises RecipeError for settings that there are not."""
        saved = self.saved
        if settings:
            saved = replace(saved, recipe=with_settings(saved.recipe, settings))
        return writing.reply(saved, messages, say, stopped)
