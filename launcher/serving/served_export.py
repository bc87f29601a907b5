"""An exported model as the server asks it (`launcher.serving.served`): no torch is imported."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

from launcher.errors import DataError, Problem
from launcher.exported.answering import Exported, likeliest
from launcher.exported.given import texts_in
from launcher.recipe.export_rules import WRITTEN
from launcher.serving.image_bytes import files_of
from launcher.serving.served import PREDICT, VECTORS, About, Text


@dataclass(frozen=True)
class Given:
    """A text, or the bytes of an image."""

    text: Text | bytes
    cost: int


class ServedExport:
    """See `launcher.serving.served.Served`. The answers are those of `Exported.predict`."""

    def __init__(self, folder: Path):
        self.exported = Exported.open(folder, int(os.environ.get("OMP_NUM_THREADS") or 0))
        self.images = self.exported.about["reads"] == "image"

    @property
    def about(self) -> About:
        """What it is."""
        pairs = {True: "pairs", False: "texts", None: "either"}[self.exported.about["pairs"]]
        vectors = self.exported.about["reads"] == "vector"
        return About(
            task=self.exported.task,
            labels=self.exported.labels,
            takes="images" if self.images else pairs,  # type: ignore[arg-type]
            endpoints=(PREDICT, VECTORS) if vectors else (PREDICT,),
            sizes=(len(self.exported.predict(["a"])[0]["vector"]),) if vectors else (),
            whole=self.exported.about["reads"] in WRITTEN,
        )

    def read(self, texts: Sequence[Any]) -> list[Given]:
        """A row for each text, or for each image in base64. Raises DataError."""
        if self.images:
            return [Given(file, 1) for file in files_of(texts)]
        given = texts_in(list(texts), self.exported.about["pairs"])
        return [Given(text, cost) for text, cost in zip(given, self.exported.costs(given), strict=True)]

    def answer(self, rows: Sequence[Given]) -> list[dict[str, Any]]:
        """What `Exported.predict` says of each."""
        if not self.images:
            return self.exported.predict([row.text for row in rows])
        try:
            answers: list[dict[str, Any]] = self.exported.reader.predict([io.BytesIO(row.text) for row in rows])  # type: ignore[arg-type]
        except Exception as error:  # the border: each decoder raises its own
            raise DataError(Problem(f"the image cannot be used: {error}")) from None
        return answers

    def likeliest(self, answer: dict[str, Any], top: int) -> dict[str, Any]:
        """With the `top` most probable labels alone."""
        return likeliest(answer, top)

    def reply(self, *_: Any) -> Never:
        """An export holds no conversation: it has no such endpoint."""
        raise DataError(Problem("an export holds no conversation"))
