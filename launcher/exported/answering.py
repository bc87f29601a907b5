"""An export as Python code holds it: it answers as `launcher.load(run)` does, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from launcher.errors import BackendError, DataError, PlanError, Problem
from launcher.exported import contract
from launcher.exported.given import likeliest as likeliest
from launcher.exported.given import no_mask, paths_in, texts_in

EXTRA = "pip install 'recipe-launcher[onnx]'"


class Exported:
    """Opened once. Its answers are those of `launcher.exported.readers`; not to be asked by two threads at a time."""

    def __init__(self, folder: Path, about: dict[str, Any], reader: Any):
        self.folder, self.about, self.reader = folder, about, reader
        self.labels: tuple[str, ...] = tuple(about["labels"])
        self.task: str = about["task"]
        """The kind of the recipe's task."""

    @classmethod
    def open(cls, folder: Path, threads: int = 0) -> Self:
        """The export in this folder, computed by so many threads (0: all cores).

        Raises BackendError for one that is damaged or newer, PlanError where onnxruntime is missing.
        """
        about = contract.read(folder)
        try:
            from launcher.exported.readers import reader_class

            kind = reader_class(about["reads"])
        except ModuleNotFoundError as error:
            raise PlanError(Problem(f"reading an export needs {error.name}", do=EXTRA)) from None
        if about["words"] == "jieba":
            _prepare_jieba()
        try:
            return cls(folder, about, kind(folder, threads))
        except Exception as error:  # a graph of a newer opset, say: onnxruntime has classes of its own for it
            first = str(error).partition("\n")[0]
            do = "update onnxruntime, or export the run again"
            raise BackendError(Problem(f"the export cannot be opened: {first}", str(folder), do)) from None

    def __repr__(self) -> str:
        return f"<export of {self.folder}: {len(self.labels)} labels>"

    def predict(self, given: Any, top: int | None = None) -> list[dict[str, Any]]:
        """An answer to each text, pair of texts or path of an image: see `launcher.predict`."""
        texts = paths_in(given) if self.about["reads"] == "image" else texts_in(given, self.about["pairs"])
        if self.about["reads"] == "masks" and any(self.about["mask"][0] not in text for text in texts):
            raise DataError(no_mask(self.about["mask"][0]))
        try:
            answers: list[dict[str, Any]] = self.reader.predict(texts) if texts else []
        except OSError as error:  # Pillow's, of files that are no images among them
            raise DataError(Problem(f"the image cannot be used: {error}")) from None
        except ValueError as error:
            if self.about["reads"] != "relation":
                raise
            raise DataError(Problem(str(error))) from None
        return answers if top is None else [likeliest(answer, top) for answer in answers]

    def costs(self, texts: Sequence[str | tuple[str, str]]) -> list[int]:
        """How many tokens each has, the longest input at most: those of about one cost are computed together best."""
        if self.about["reads"] == "image" or not texts:
            return [1] * len(texts)
        parts = [" ".join([text] if isinstance(text, str) else text) for text in texts]
        self.reader.tokenizer.no_truncation()
        lengths = [len(encoding.ids) for encoding in self.reader.tokenizer.encode_batch(parts)]
        return [max(1, min(length, int(self.about["max_length"]))) for length in lengths]


def _prepare_jieba() -> None:
    """Read its dictionary ourselves: it would trust a file in the shared temporary folder."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba
    if not jieba.dt.initialized:
        jieba.dt.FREQ, jieba.dt.total = jieba.dt.gen_pfdict(jieba.dt.get_dict_file())
        jieba.dt.initialized = True
