"""A model as an ONNX graph, by whichever of torch's two exporters gives one that answers alike at every shape.

Each of them writes, without a word, graphs that are right at the sample's shape only: the older one of torch's own
transformer layers, the newer one of LSTMs. So a graph counts once it was compared at shapes that differ from the
sample's in rows, tokens and padding. The older one comes first: its graphs are the same, in a tenth of the time.
"""

from __future__ import annotations

import io
import logging
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from launcher.errors import Problem, WorkerError
from launcher.training.model_parts.outputs import Tensors
from launcher.training.model_parts.word_names import WHERE
from launcher.training.sources.entity_head import ENTITIES

TOLERANCE = 1e-4
"""Of the largest logit."""
OPSET = 17
"""Of the older exporter; the newer one has its own."""
LONGEST = 160
"""Tokens of the longest text that is compared: longer than the sample, and quick."""
FREQUENT = 40
"""Half of the compared texts are made of the first tokens, which n-grams and lexicons of static vectors know."""


class Shape(NamedTuple):
    """Rows and tokens of a batch, and whether its rows are of different lengths."""

    rows: int
    tokens: int
    padded: bool


SAMPLE = Shape(2, 12, True)
SHAPES = (Shape(1, 1, False), Shape(1, 7, False), Shape(5, 25, True), Shape(3, 4, True), Shape(1, LONGEST, False))
"""Besides the sample's: one token, one row, more rows, short ones, and longer than the sample."""


OF_A_ROW = (ENTITIES, WHERE)
"""Inputs that are places in each text, as many for a short one as for a long one."""


@dataclass(frozen=True)
class Signature:
    """What a graph takes and gives."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dynamic: Mapping[int, str]
    """The axes whose sizes are open, by name."""
    own: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Those of single inputs and outputs that have others."""


class Plain(nn.Module):
    """The model with positional inputs, and a tuple of float32 outputs."""

    def __init__(self, model: nn.Module, signature: Signature) -> None:
        super().__init__()
        self.model, self.signature = model, signature

    def forward(
        self, first: Tensor, second: Tensor | None = None, third: Tensor | None = None, fourth: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """In the order of the signature."""
        names = self.signature.inputs
        told = self.model(**dict(zip(names, (first, second, third, fourth)[: len(names)], strict=True)))
        return tuple(getattr(told, name).float() for name in self.signature.outputs)


def batches(signature: Signature, tokens: int, pad: int, longest: int, types: bool) -> list[tuple[Shape, Tensors]]:
    """Texts of every shape, by chance, of tokens below this number; the first is the sample.

    `types`: the second half of each text is that of a pair.
    """
    draw, made = np.random.Generator(np.random.Philox(7)), list[tuple[Shape, Tensors]]()
    for number, shape in enumerate((SAMPLE, *SHAPES, Shape(2, LONGEST, True))):
        shape = shape._replace(tokens=max(1, min(shape.tokens, longest)))
        ids = draw.integers(0, tokens if number % 2 else min(tokens, FREQUENT), size=(shape.rows, shape.tokens))
        lengths = np.full(shape.rows, shape.tokens)
        if shape.padded:
            lengths[1:] = draw.integers(1, shape.tokens + 1, size=shape.rows - 1)
        mask = np.arange(shape.tokens) < lengths[:, None]
        kinds = mask & (np.arange(shape.tokens) >= (lengths[:, None] + 1) // 2) & types
        given = {"input_ids": np.where(mask, ids, pad), "attention_mask": mask, "token_type_ids": kinds}
        given |= _places(signature, draw, lengths, shape)
        made.append((shape, {name: torch.from_numpy(given[name].astype(np.int64)) for name in signature.inputs}))
    return made


def _places(
    signature: Signature, draw: np.random.Generator, lengths: np.ndarray, shape: Shape
) -> dict[str, np.ndarray]:
    """Places in the texts, where the graph takes some: of entities, of the words that are asked for (from the end)."""
    several = 1 in signature.own.get(WHERE, {})
    count = 1 + shape.tokens // 4 if several else 4
    places = draw.integers(0, lengths[:, None], size=(shape.rows, count)) if signature.own else np.zeros((0, 1))
    return {ENTITIES: np.sort(places, axis=1), WHERE: (places if several else places[:, 0]) - shape.tokens}


def of_images(signature: Signature, height: int, width: int) -> list[tuple[Shape, Tensors]]:
    """Images by chance; they are all of one size, so rows alone differ."""
    draw, (name,) = np.random.Generator(np.random.Philox(7)), signature.inputs
    made: list[tuple[Shape, Tensors]] = []
    for rows in (2, 1, 3, 5, 8, 13):
        pixels = draw.standard_normal((rows, 3, height, width), dtype=np.float32)
        made.append((Shape(rows, 1, False), {name: torch.from_numpy(pixels)}))
    return made


Axes = Mapping[str, dict[int, str]]
"""Of each input and output, the axes whose sizes are open."""
Exporter = Callable[[nn.Module, Tensors, Signature, Axes, Path], None]


def older(plain: nn.Module, sample: Tensors, signature: Signature, axes: Axes, path: Path) -> None:
    """By tracing (TorchScript)."""
    _export(plain, sample, signature, path, dynamo=False, opset_version=OPSET, dynamic_axes=axes)


def newer(plain: nn.Module, sample: Tensors, signature: Signature, axes: Axes, path: Path) -> None:
    """By torch.export, which finds the axes of the outputs itself."""
    shapes = tuple({axis: torch.export.Dim(open_) for axis, open_ in axes[name].items()} for name in signature.inputs)
    _export(plain, sample, signature, path, dynamo=True, dynamic_shapes=shapes, external_data=False, verbose=False)


def _export(plain: nn.Module, sample: Tensors, signature: Signature, path: Path, **how: Any) -> None:
    given, inputs, outputs = tuple(sample[name] for name in signature.inputs), signature.inputs, signature.outputs
    with torch.no_grad():
        torch.onnx.export(plain, given, str(path), input_names=list(inputs), output_names=list(outputs), **how)


EXPORTERS: Mapping[str, Exporter] = {"torch.onnx (TorchScript)": older, "torch.onnx (dynamo)": newer}


def write_graph(
    model: nn.Module,
    signature: Signature,
    given: Sequence[tuple[Shape, Tensors]],
    expected: Sequence[Tensors],
    path: Path,
) -> dict[str, Any]:
    """Write `path`, and say which exporter wrote it and how far it is from what is `expected` of these batches.

    Raises WorkerError where neither writes one that answers alike.
    """
    plain = Plain(model, signature).eval()
    axes = {name: dict(signature.own.get(name, signature.dynamic)) for name in signature.inputs}
    for name in signature.outputs:
        a_token = expected[0][name].dim() > 1 and len({given[name].shape[1] for given in expected}) > 1
        axes[name] = dict(signature.own.get(name, {0: "rows", **({1: "tokens"} if a_token else {})}))
    return made_by(
        EXPORTERS,
        lambda exporter: exporter(plain, given[0][1], signature, axes, path),
        lambda: _compared(path, signature, given, expected),
    )


def made_by(
    exporters: Mapping[str, Exporter], export: Callable[[Exporter], None], compare: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """`export` by the first of these whose graphs `compare` finds near enough. Raises WorkerError where none is."""
    faults = []
    for name, exporter in exporters.items():
        try:
            with quietly(), _plain_operations():
                export(exporter)
            told = compare()
        except OSError:  # a full disk says nothing of the model
            raise
        except Exception as error:  # the border: torch.export, onnxscript and onnxruntime each raise their own
            first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
            faults.append(f"{name}: {type(error).__name__}: {first[:300]}")
            continue
        if told["largest_difference"] <= TOLERANCE:
            return {"exporter": name, "parity": told}
        faults.append(f"{name}: its graph answers otherwise, by {told['largest_difference']:.2g} of the largest logit")
    do = "report this with the recipe; --format safetensors writes the model for other programs"
    raise WorkerError(Problem(f"the model cannot be exported. {'; '.join(faults)}", do=do))


def session_of(path: Path, threads: int = 1) -> Any:
    """onnxruntime's, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4  # what fails is raised
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def computed(session: Any, signature: Signature, inputs: Tensors) -> dict[str, Tensor]:
    """The graph's outputs by name. A batch whose rows are all of one length comes without a mask."""
    given = dict(inputs)
    if "attention_mask" in signature.inputs and "attention_mask" not in given:
        given["attention_mask"] = torch.ones_like(given["input_ids"])
    if "token_type_ids" in signature.inputs and "token_type_ids" not in given:
        given["token_type_ids"] = torch.zeros_like(given["input_ids"])
    told = session.run(list(signature.outputs), {name: given[name].numpy() for name in signature.inputs})
    return {name: torch.from_numpy(value) for name, value in zip(signature.outputs, told, strict=True)}


def as_model(session: Any, signature: Signature) -> Callable[..., Any]:
    """The graph as a model that is called: what takes outputs of a model takes them of it."""

    def forward(**inputs: Tensor) -> SimpleNamespace:
        return SimpleNamespace(**computed(session, signature, inputs))

    return forward


def difference(one: Tensors, other: Tensors, mask: Tensor | None) -> float:
    """The largest, among what is not padding. Infinite where shapes differ or a number is none."""
    most = 0.0
    for name, value in one.items():
        if value.shape != other[name].shape:
            return math.inf
        apart = (value - other[name]).abs()
        if mask is not None and value.shape[:2] == mask.shape:  # one output a token
            apart = apart[mask.bool()]
        most = max(most, float(apart.max())) if bool(apart.isfinite().all()) else math.inf
    return most


def _compared(
    path: Path, signature: Signature, given: Sequence[tuple[Shape, Tensors]], expected: Sequence[Tensors]
) -> dict[str, Any]:
    session, most = session_of(path), 0.0
    for (_, inputs), wanted in zip(given, expected, strict=True):
        most = max(most, difference(wanted, computed(session, signature, inputs), inputs.get("attention_mask")))
    scale = max(float(value.abs().max()) for wanted in expected for value in wanted.values())
    return parity([[shape.rows, shape.tokens] for shape, _ in given], most, scale)


def parity(shapes: list[list[int]], most: float, scale: float) -> dict[str, Any]:
    """What is told of a comparison at these shapes, by the largest difference and the largest logit."""
    return {"shapes": shapes, "largest_difference": most / max(scale, 1e-6), "scale": scale, "tolerance": TOLERANCE}


@contextmanager
def quietly() -> Iterator[None]:
    """Without what both exporters say of their own progress and of operators; the older one prints whole graphs."""
    before, printed = logging.root.manager.disable, os.dup(1)
    logging.disable(logging.CRITICAL)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    os.dup2(nowhere, 1)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(printed, 1)
        os.close(printed)
        os.close(nowhere)
        logging.disable(before)


@contextmanager
def _plain_operations() -> Iterator[None]:
    """While a graph is made: two operations that ONNX lacks, by those that it has."""
    kept = torch.searchsorted, nn.functional.embedding_bag
    torch.searchsorted, nn.functional.embedding_bag = _searched, _summed  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.searchsorted, nn.functional.embedding_bag = kept


def _searched(keys: Tensor, found: Tensor) -> Tensor:
    """`torch.searchsorted` of sorted int64 keys, as a binary search of a fixed number of steps."""
    count = int(keys.shape[0])
    low, step = torch.zeros_like(found), 1 << (count - 1).bit_length()
    while step > 0:
        at = low + step
        fits = (at <= count) & (keys[(at - 1).clamp(max=count - 1)] < found)
        low, step = torch.where(fits, at, low), step // 2
    return low


def _summed(places: Tensor, votes: Tensor, mode: str, per_sample_weights: Tensor) -> Tensor:
    """`embedding_bag` of rows of one length."""
    assert mode == "sum"
    return (votes[places] * per_sample_weights.unsqueeze(-1)).sum(1)
