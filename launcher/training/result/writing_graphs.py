"""Graphs of models that write: one computes the next tokens, from what was kept of earlier ones.

`model.onnx` takes new tokens, the mask of all, where words are asked for, and the keys and values of earlier tokens
(of none at first): it gives logits there, and all keys and values. The same graph reads a prompt, and writes behind it.
Of an encoder-decoder `encoder.onnx` gives keys and values of the text once, which each step takes.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from launcher.errors import Problem, WorkerError
from launcher.exported import contract
from launcher.training.result import onnx_graph
from launcher.training.result.onnx_graph import Signature

SAMPLE_PAST = 3
"""Tokens that the sample's steps go on from."""


class Layout(NamedTuple):
    """What a model keeps of a token: heads and numbers of each head's keys and values, in the order of its layers."""

    sizes: list[tuple[int, int]]
    encodes: bool

    @property
    def past(self) -> list[str]:
        """Names of what the steps take of earlier tokens."""
        return [f"past.{number}" for number in range(len(self.sizes))]

    @property
    def present(self) -> list[str]:
        """What they give."""
        return [f"present.{number}" for number in range(len(self.sizes))]

    @property
    def text(self) -> list[str]:
        """What the encoder gives of the text that is read."""
        return [f"text.{number}" for number in range(len(self.sizes))] if self.encodes else []

    def nothing(self, rows: int) -> list[Tensor]:
        """Before the first token."""
        return [torch.zeros((rows, heads, 0, size)) for heads, size in self.sizes]


def layout_of(model: Any) -> Layout:
    """Asked of the model itself. Raises WorkerError for one that keeps something else than keys and values."""
    ids = torch.ones((1, 2), dtype=torch.int64)
    encodes = bool(model.config.is_encoder_decoder)
    with torch.no_grad():
        given = model(input_ids=ids, use_cache=True, **({"decoder_input_ids": ids} if encodes else {}))
    kept: Any = getattr(given, _name(model), None)
    own = getattr(kept, "self_attention_cache", kept) if encodes else kept
    try:
        each = _of(own)
        sizes = [(int(values.shape[1]), int(values.shape[3])) for values in each]
        fits = all(values.dim() == 4 and values.shape[2] == 2 for values in each)
    except (AttributeError, IndexError, TypeError):
        fits, sizes = False, []
    if not fits or not sizes:
        what = f"what {type(model).__name__} keeps of earlier tokens is not keys and values alone, which a graph takes"
        raise WorkerError(Problem(what, do="--format safetensors writes the whole model for other programs"))
    return Layout(sizes, encodes)


def _name(model: Any) -> str:
    """What this version of transformers calls keys and values."""
    return "cache" if "cache" in inspect.signature(type(model).forward).parameters else "past_key_values"


def _of(cache: Any) -> list[Tensor]:
    return [values for layer in cache.layers for values in (layer.keys, layer.values)]


def _cache(values: Sequence[Tensor]) -> Any:
    from transformers import DynamicCache

    return DynamicCache(ddp_cache_data=list(zip(values[::2], values[1::2], strict=True)))


class Steps(nn.Module):
    """A model of one stack: tokens, the mask of all so far, places, keys and values."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.placed = "position_ids" in inspect.signature(type(model).forward).parameters

    def forward(self, ids: Tensor, mask: Tensor, places: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        """Logits at the places, and all keys and values."""
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        given = self.model(
            input_ids=ids,
            attention_mask=mask,
            answer_at=places,
            use_cache=True,
            **{_name(self.model): _cache(past), **({"position_ids": positions} if self.placed else {})},
        )
        return given.logits.float(), *_of(getattr(given, _name(self.model)))


class Encoding(nn.Module):
    """The text of an encoder-decoder, as its decoder takes it."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Keys and values of each layer that looks at it."""
        given = self.model(
            input_ids=ids, attention_mask=mask, decoder_input_ids=torch.zeros_like(ids[:, :1]), use_cache=True
        )
        return tuple(_of(getattr(given, _name(self.model)).cross_attention_cache))


class Decoding(nn.Module):
    """The decoder: tokens, the mask of the text, places, keys and values of earlier tokens, and those of the text."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        stack = getattr(model.config, "encoder", None) or model.config
        self.width = int(stack.hidden_size)

    def forward(self, ids: Tensor, mask: Tensor, places: Tensor, *kept: Tensor) -> tuple[Tensor, ...]:
        """As of one stack."""
        from transformers import EncoderDecoderCache
        from transformers.modeling_outputs import BaseModelOutput

        half = len(kept) // 2
        cache = EncoderDecoderCache(_cache(()), _cache(()))
        cache.self_attention_cache, cache.cross_attention_cache = _cache(kept[:half]), _cache(kept[half:])
        cache.is_updated = dict.fromkeys(range(half // 2), True)
        # the states themselves are not read again; how many there are is
        states = (kept[half][:, 0, :, :1] * 0).expand(-1, -1, self.width)
        given = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=states),
            attention_mask=mask,
            decoder_input_ids=ids,
            answer_at=places,
            use_cache=True,
            **{_name(self.model): cache},
        )
        return given.logits.float(), *_of(getattr(given, _name(self.model)).self_attention_cache)


class Case(NamedTuple):
    """A text that is read by an encoder, if there is one, and tokens that are read in two steps."""

    text: Tensor | None
    lengths: np.ndarray
    """Of the texts, which end in padding, or else of the tokens, which begin with it."""
    ids: Tensor
    new: int
    """How many of the tokens are read in the second step."""

    @property
    def shape(self) -> list[int]:
        """Rows, and tokens of the longer of both."""
        return [len(self.ids), max(self.ids.shape[1], 0 if self.text is None else self.text.shape[1])]

    @property
    def mask(self) -> Tensor:
        """Of the texts, or of all tokens."""
        width = self.ids.shape[1] if self.text is None else self.text.shape[1]
        numbers = np.arange(width)
        real = numbers >= width - self.lengths[:, None] if self.text is None else numbers < self.lengths[:, None]
        return torch.from_numpy(real.astype(np.int64))


SHAPES = ((2, 9, 3, 4), (1, 1, 0, 1), (1, 7, 6, 1), (5, 25, 20, 5), (3, 4, 0, 6), (1, 160, 40, 1), (2, 30, 100, 3))
"""Rows, tokens of the text, of the first step, and of the second. One token, one row, padded, nothing before, much."""


def cases(layout: Layout, tokens: int, pad: int, longest: int, longest_written: int) -> list[Case]:
    """Texts by chance, of tokens below this number."""
    draw, made = np.random.Generator(np.random.Philox(7)), list[Case]()
    for rows, read, before, new in SHAPES:
        read, most = min(read, longest), longest_written if layout.encodes else longest
        before, new = min(before, max(0, most - new)), min(new, most)
        width = read if layout.encodes else before + new
        lengths = np.full(rows, width)
        lengths[1:] = draw.integers(1 if layout.encodes else min(new, width), width + 1, size=rows - 1)
        ids = torch.from_numpy(draw.integers(0, tokens, size=(rows, before + new)))
        text = torch.from_numpy(draw.integers(0, tokens, size=(rows, read))) if layout.encodes else None
        case = Case(text, lengths, ids, new)
        (ids if text is None else text)[case.mask == 0] = pad
        made.append(case)
    return made


def expected(model: Any, case: Case) -> Tensor:
    """The logits of the second step's tokens, of each row alone and read at once."""
    rows = []
    places = torch.arange(-case.new, 0)[None]
    for number, length in enumerate(case.lengths.tolist()):
        ids = case.ids[number : number + 1]
        given = {"input_ids": ids[:, -length:]}
        if case.text is not None:
            given = {"input_ids": case.text[number : number + 1, :length], "decoder_input_ids": ids}
        with torch.inference_mode():
            rows.append(model(**given, answer_at=places).logits.float())
    return torch.cat(rows)


class Sessions:
    """The graphs in a folder, computed by onnxruntime in one thread."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.layout = layout
        self.steps = onnx_graph.session_of(folder / contract.GRAPH)
        self.encoder = onnx_graph.session_of(folder / contract.ENCODER) if layout.encodes else None
        self.taken = {each.name for each in self.steps.get_inputs()}

    def read(self, text: Tensor, mask: Tensor) -> list[Tensor]:
        """What the encoder gives."""
        assert self.encoder is not None
        given = self.encoder.run(self.layout.text, {"input_ids": text.numpy(), "attention_mask": mask.numpy()})
        return [torch.from_numpy(values) for values in given]

    def step(
        self, ids: Tensor, mask: Tensor, places: Tensor, past: Sequence[Tensor], text: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Logits at the places, and all keys and values."""
        named = {"input_ids": ids, "attention_mask": mask, "answer_at": places}
        named |= dict(zip(self.layout.past, past, strict=True)) | dict(zip(self.layout.text, text, strict=True))
        feeds = {name: values.numpy() for name, values in named.items() if name in self.taken}
        logits, *present = self.steps.run(["logits", *self.layout.present], feeds)
        return torch.from_numpy(logits), [torch.from_numpy(values) for values in present]

    def answer(self, case: Case) -> Tensor:
        """The logits of the second step's tokens."""
        rows, width = case.ids.shape
        mask, before = case.mask, width - case.new
        text = [] if case.text is None else self.read(case.text, mask)
        past = self.layout.nothing(rows)
        if before:
            last = torch.full((rows, 1), -1)
            first = mask[:, :before] if case.text is None else mask
            _, past = self.step(case.ids[:, :before], first, last, past, text)
        places = torch.arange(-case.new, 0).expand(rows, -1).contiguous()
        return self.step(case.ids[:, before:], mask, places, past, text)[0]


def write(model: Any, layout: Layout, given: Sequence[Case], wanted: Sequence[Tensor], folder: Path) -> dict[str, Any]:
    """Write the graphs; which exporter did and how far they are from what is `wanted`. Raises WorkerError."""
    sample = given[0]
    kinds = {"past": layout.past, "all": layout.present, "text": layout.text}  # of one name are of one size
    own = {name: {0: "rows", 2: axis} for axis, names in kinds.items() for name in names}
    own |= {"answer_at": {0: "rows", 1: "places"}, "logits": {0: "rows", 1: "places"}}
    read, masked = {0: "rows", 1: "tokens"}, {0: "rows", 1: "text" if layout.encodes else "all"}
    own |= {"input_ids": read, "attention_mask": masked}
    names = ("input_ids", "attention_mask", "answer_at", *layout.past, *layout.text)
    steps = Signature(names, ("logits", *layout.present), {}, own)
    encoder = Signature(names[:2], tuple(layout.text), {}, own)
    rows, width = sample.ids.shape
    mask = torch.ones((rows, SAMPLE_PAST + width), dtype=torch.int64) if sample.text is None else sample.mask
    shapes = [(rows, heads, SAMPLE_PAST, size) for heads, size in layout.sizes]
    values = [sample.ids, mask, torch.tensor([[-2, -1]]).expand(rows, -1), *map(torch.zeros, shapes)]
    with torch.no_grad():
        text = [] if sample.text is None else Encoding(model).eval()(sample.text, sample.mask)
    inputs = dict(zip(names, [*values, *text], strict=True))

    def export(exporter: onnx_graph.Exporter) -> None:
        if sample.text is not None:
            given = {"input_ids": sample.text, "attention_mask": sample.mask}
            axes = {**own, "input_ids": masked}
            exporter(Encoding(model).eval(), given, encoder, axes, folder / contract.ENCODER)
        part: nn.Module = Steps(model) if sample.text is None else Decoding(model)
        exporter(part.eval(), inputs, steps, own, folder / contract.GRAPH)

    def compare() -> dict[str, Any]:
        sessions = Sessions(folder, layout)
        told = [_apart(sessions.answer(case), right, case) for case, right in zip(given, wanted, strict=True)]
        scale = max(float(right.abs().max()) for right in wanted)
        return onnx_graph.parity([case.shape for case in given], max(told), scale)

    return onnx_graph.made_by({"torch.onnx (TorchScript)": onnx_graph.older}, export, compare)


def _apart(one: Tensor, other: Tensor, case: Case) -> float:
    """The largest difference; at padding nothing is asked."""
    if one.shape != other.shape:
        return float("inf")
    return onnx_graph.difference({"logits": other}, {"logits": one}, None)
