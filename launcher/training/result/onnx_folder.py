"""What stands in the folder of an ONNX export (`launcher.exported.contract`), and that it answers as the model does."""

from __future__ import annotations

import importlib.metadata
import math
import shutil
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from launcher.errors import Problem, WorkerError
from launcher.exported import contract
from launcher.exported.answering import Exported
from launcher.exported.readers import reader_source
from launcher.recipe.export_rules import reads_of
from launcher.recipe.source import Static, tokens_of
from launcher.recipe.task import answer_of, plain
from launcher.runs.seals import digests
from launcher.training.batches.split import TOKENS, Split
from launcher.training.model_parts.grown_table import rows_of
from launcher.training.model_parts.outputs import Tensors, outputs_of
from launcher.training.model_parts.sparse_table import base_of
from launcher.training.result import inference, onnx_graph, word_graphs
from launcher.training.result.export_proof import Compute
from launcher.training.result.model_folder import SavedModel
from launcher.training.result.onnx_graph import Signature
from launcher.training.tasks.texts import TYPES, tells_pairs_apart, token_ids
from launcher.training.written import Generate

TOLERANCE = 1e-4
"""Of what the reader says, to what the model says of the same texts."""


class OnnxFolder:
    """One model on its way into a folder. What the model answers is asked before anything is merged into it."""

    most_asked = 24
    """Texts that the reader is compared on."""

    def __init__(self, saved: SavedModel, model_folder: Path, split: Split | None) -> None:
        self.saved, self.model_folder, self.split = saved, model_folder, split
        self.reads = reads_of(saved.recipe.task)
        self.pairs = None if self.reads == "image" else inference.takes_pairs(saved.recipe)
        self._prepare()
        self.asked, self.answers = self._asked()

    def _prepare(self) -> None:
        """What the graph takes and gives, and what the model gives for some of it."""
        self.types = self._tells_pairs_apart()
        self.signature = self._signature()
        self.given = self._batches()
        with torch.inference_mode():
            names = self.signature.outputs
            self.expected: list[Tensors] = [outputs_of(self.saved.model, given, names) for _, given in self.given]

    def write(self, model: torch.nn.Module, folder: Path) -> dict[str, Any]:
        """Graph, tokenizer and reader of the model; what export.json will say. Raises WorkerError as `write_graph`."""
        made = self._write_graphs(model, folder)
        if self.reads != "image":
            self._write_tokenizer(folder / contract.TOKENIZER)
        (folder / "reader.py").write_text(reader_source(str(self.reads)), encoding="utf-8")
        about = {**self._about(), **made, "int8": None, "proof": None}
        self.seal(folder, about)
        self._refuse_other_answers(folder)
        return about

    def seal(self, folder: Path, about: dict[str, Any]) -> None:
        """Write export.json over these files."""
        names = [name for name in (*contract.GRAPHS, contract.TOKENIZER) if (folder / name).is_file()]
        contract.write(folder, {**about, "files": digests(folder, names, to_disk=True)})

    def _write_graphs(self, model: torch.nn.Module, folder: Path) -> dict[str, Any]:
        return onnx_graph.write_graph(model, self.signature, self.given, self.expected, folder / contract.GRAPH)

    def _tells_pairs_apart(self) -> bool:
        if plain(self.saved.recipe.task).head == "pretraining":
            return TYPES in self.saved.work.tokenizer.model_input_names
        return self.pairs is True and TYPES in self.saved.work.inputs and tells_pairs_apart(self.saved.work.tokenizer)

    def compute(self, folder: Path) -> Compute:
        """What the graph gives for a batch, as the task takes it of the model."""
        model = onnx_graph.as_model(onnx_graph.session_of(folder / contract.GRAPH), self.signature)
        if self.reads == "masks":
            return partial(word_graphs.measured, model, self.signature)
        return partial(outputs_of, model, names=self.signature.outputs)

    def generate(self, folder: Path) -> Generate | None:
        """What writes with the graph, where the task writes."""
        return None

    def _signature(self) -> Signature:
        if self.reads == "image":
            return Signature(tuple(self.saved.work.inputs), self.saved.work.outputs, {0: "rows"})
        if self.reads == "masks":
            return word_graphs.signature(self.saved.work, self.types)
        places = {name: {0: "rows"} for name in onnx_graph.OF_A_ROW if name in self.saved.work.inputs}
        inputs = (TOKENS, "attention_mask", *([TYPES] if self.types else places))
        return Signature(inputs, self.saved.work.outputs, {0: "rows", 1: "tokens"}, places)

    def _batches(self) -> list[tuple[onnx_graph.Shape, Tensors]]:
        images = self.saved.reader.images
        if images is not None:
            return onnx_graph.of_images(self.signature, images.height, images.width)
        return onnx_graph.batches(self.signature, self._tokens, self._pad, self.saved.reader.max_length, self.types)

    @property
    def _tokens(self) -> int:
        """How many the model has rows for."""
        rows = rows_of(base_of(self.saved.model))
        tokens = len(self.saved.work.tokenizer)
        return min(tokens, rows) if isinstance(rows, int) else tokens

    @property
    def _pad(self) -> int:
        return int(self.saved.work.tokenizer.pad_token_id or 0)

    def _about(self) -> dict[str, Any]:
        saved, recipe = self.saved, self.saved.recipe
        about: dict[str, Any] = {
            "made_by": f"recipe-launcher {importlib.metadata.version('recipe-launcher')}",
            "task": recipe.task.kind,
            "reads": self.reads,
            "pairs": self.pairs,
            "labels": saved.labels,
            "inputs": list(self.signature.inputs),
            "outputs": list(self.signature.outputs),
            "words": [],
        }
        if self.reads != "image":
            (empty,) = token_ids(saved.work.tokenizer, [SimpleNamespace(ids=[])])
            about |= {"max_length": saved.reader.max_length, "direction": saved.work.tokenizer.truncation_side}
            about |= {"pad": self._pad, "empty": empty, "words": "jieba" if self._jieba else []}
        return {**about, **saved.work.for_readers()}

    @property
    def _jieba(self) -> bool:
        """Whether the tokenizer itself asks jieba, which no file of it can say."""
        embedding, task = self.saved.recipe.embedding, plain(self.saved.recipe.task)
        return isinstance(embedding, Static) and answer_of(task) != "tags" and tokens_of(embedding, task) == "jieba"

    def _write_tokenizer(self, path: Path) -> None:
        if self._jieba:  # without that part, which is Python's
            shutil.copyfile(self.model_folder / contract.TOKENIZER, path)
            return
        tokenizer: Any = self.saved.work.tokenizer
        backend = tokenizer.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        backend.save(str(path))

    def _rows(self) -> list[torch.Tensor]:
        """Tokens by chance."""
        return [given[TOKENS] for _, given in self.given]

    def _asked(self) -> tuple[list[Any], list[dict[str, Any]]]:
        """Texts made of the test split's tokens, or by chance, and what the model says of them; nothing of images."""
        if self.reads == "image":
            return [], []
        tokenizer = self.saved.work.tokenizer
        if self.split is not None:
            chosen = np.unique(np.linspace(0, self.split.rows - 1, self.most_asked).astype(np.int64))
            rows = [self.split.ragged(TOKENS).row(number).tolist() for number in chosen]
        else:
            rows = [row.tolist() for given in self._rows() for row in given][: self.most_asked]
        texts = [str(tokenizer.decode(row, skip_special_tokens=True)) for row in rows]
        texts += [" ".join(texts), ""] if self.reads != "spans" else [" ".join(texts)]
        if self.reads == "masks":
            texts = [word_graphs.with_masks(text, str(tokenizer.mask_token)) for text in texts]
        if self.reads == "relation":
            texts = [marked(text) for text in texts]
        asked: list[Any] = (
            texts if not self.pairs else [(one, other) for one, other in zip(texts, texts[::-1], strict=True)]
        )
        return asked, inference.predict(self.saved, asked)

    def _refuse_other_answers(self, folder: Path) -> None:
        """Raise WorkerError where the reader beside the graph says otherwise than the model."""
        if not self.asked:
            return
        told = Exported.open(folder, 1).predict(self.asked)
        wrong = [
            number for number, (one, other) in enumerate(zip(self.answers, told, strict=True)) if not alike(one, other)
        ]
        if wrong:
            what = f"the export's reader answers {len(wrong)} of {len(told)} texts otherwise than the model does: "
            what += f"{str(told[wrong[0]])[:200]} for {str(self.answers[wrong[0]])[:200]}"
            raise WorkerError(Problem(what, do="please report this; nothing was written"))


def marked(text: str) -> str:
    """Two of its words as the entities of a relation, of a long text far from its ends."""
    words = [*text.split(), "one", "other"]
    plain = [n for n, word in enumerate(words) if word.isalnum()]  # no mark goes before an accent that stands alone
    first, second = plain[len(plain) // 3], plain[len(plain) // 3 + len(plain) // 4 + 1]
    places = {first: "e2", second: "e1"} if len(words) % 2 else {first: "e1", second: "e2"}
    return " ".join(f"<{places[n]}>{word}</{places[n]}>" if n in places else word for n, word in enumerate(words))


def alike(one: Any, other: Any) -> bool:
    """Whether two answers are the same, numbers as far as the last digits."""
    if isinstance(one, dict):
        names = [name for name in one if name != "answers"]  # of which some are equally likely
        return isinstance(other, dict) and {*one} == {*other} and all(alike(one[name], other[name]) for name in names)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(one == other)


def quantised(graph: Path) -> dict[str, Any]:
    """Put the graph's weights, its table of tokens included, into 8 bits a number; how that was done."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    portable = not has_vnni()
    with tempfile.TemporaryDirectory(dir=graph.parent) as scratch, onnx_graph.quietly():
        made = Path(scratch) / graph.name
        try:
            quantize_dynamic(
                graph,
                made,
                per_channel=True,
                reduce_range=portable,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=QUANTISED,
            )
        except OSError:
            raise
        except Exception as error:  # the border: onnx and onnxruntime raise their own
            first = str(error).partition("\n")[0]
            what = f"onnxruntime cannot put the graph into 8 bits: {type(error).__name__}: {first}"
            raise WorkerError(Problem(what, do="leave --int8 out")) from None
        made.replace(graph)
    return {"per_channel": True, "reduce_range": portable}


QUANTISED = ["MatMul", "Gemm", "Gather", "LSTM", "Attention", "EmbedLayerNormalization"]
"""Operators whose weights become 8 bits; convolutions would be slower so."""


def has_vnni() -> bool:
    """Whether this processor adds products of 8 bits up without overflow; on others a bit less is used of each."""
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
