"""The folder of an ONNX export of a model that writes: see `onnx_folder`, `writing_graphs`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from launcher.errors import Problem, WorkerError
from launcher.exported.readers import reader_class
from launcher.recipe.generation import Generation
from launcher.recipe.generation_rules import with_settings
from launcher.recipe.noun import field_names
from launcher.recipe.recipe import Recipe
from launcher.recipe.task import generation_of
from launcher.training.batches.split import TOKENS
from launcher.training.model_parts.outputs import Tensors
from launcher.training.model_parts.positions import of_decoder
from launcher.training.model_parts.sparse_table import base_of
from launcher.training.model_parts.text_to_text import moved
from launcher.training.model_parts.word_names import RIGHT, WHERE
from launcher.training.model_parts.word_places import measured_of
from launcher.training.result import writing_graphs
from launcher.training.result.export_proof import Compute
from launcher.training.result.model_folder import SavedModel
from launcher.training.result.onnx_folder import OnnxFolder
from launcher.training.result.onnx_graph import Signature
from launcher.training.result.writing_graphs import Sessions
from launcher.training.tasks.writing import writer
from launcher.training.written import Generate

WRITTEN = 100
"""Rows of the test split that texts are written for."""
ANSWERED = ("text", "unfinished", "truncated")
"""What the reader says of what `predict` says."""
KEPT = frozenset({"kind", "max_new_tokens", "min_new_tokens", "seed"})
"""Settings that a reader follows, or that change nothing where nothing is drawn."""
UNKNOWN = ("begin_suppress_tokens",)
"""Words of a checkpoint's generation_config.json that no reader follows."""


def settings_left_out(recipe: Recipe) -> list[str]:
    """What the recipe sets of how texts are written and the reader of an export does not follow."""
    own, usual = generation_of(recipe.task), Generation()
    names = [] if own is None else field_names(Generation)
    return [name for name in names if name not in KEPT and getattr(own, name) != getattr(usual, name)]


def greedy(saved: SavedModel) -> SavedModel:
    """The model as one that writes the likeliest token each time."""
    usual = Generation()
    sets = {name: json.dumps(getattr(usual, name)) for name in settings_left_out(saved.recipe)}
    return replace(saved, recipe=with_settings(saved.recipe, sets)) if sets else saved


class WritingFolder(OnnxFolder):
    """Of a model that writes."""

    most_asked = 6

    def _prepare(self) -> None:
        model: Any = base_of(self.saved.model)
        self.layout = writing_graphs.layout_of(model)
        most = of_decoder(model.config)
        longest = self.saved.reader.max_length
        written = min(longest, most) if most is not None else longest
        self.cases = writing_graphs.cases(self.layout, self._tokens, self._pad, longest, written)
        given = ("input_ids", "attention_mask", WHERE)
        inputs = (*given, *self.layout.past, *self.layout.text)
        self.signature = Signature(inputs, ("logits", *self.layout.present), {})
        self.wanted = [writing_graphs.expected(self.saved.model, case) for case in self.cases]

    def _rows(self) -> list[torch.Tensor]:
        return [case.ids if case.text is None else case.text for case in self.cases]

    def _asked(self) -> tuple[list[Any], list[dict[str, Any]]]:
        asked, answers = super()._asked()
        return asked, [{name: told[name] for name in ANSWERED if name in told} for told in answers]

    def _write_graphs(self, model: torch.nn.Module, folder: Path) -> dict[str, Any]:
        return writing_graphs.write(base_of(model), self.layout, self.cases, self.wanted, folder)

    def _about(self) -> dict[str, Any]:
        writing = self._writing()
        return {**super()._about(), "pad": writing.pop("pad"), "writing": writing}

    def _writing(self) -> dict[str, Any]:
        work = writer(self.saved.work)
        assert work is not None
        model: Any = base_of(self.saved.model)
        own, words, most = model.generation_config, work.limits(), of_decoder(model.config)
        if strange := [name for name in UNKNOWN if getattr(own, name, None)]:
            what = f"the model's generation_config.json has {strange[0]}, which no reader of an export follows"
            raise WorkerError(Problem(what, do="--format safetensors writes the whole model for other programs"))
        steps = work.longest if most is None else min(work.longest, most - 1)
        never = [*(own.suppress_tokens or []), *(ids[0] for ids in own.bad_words_ids or [] if len(ids) == 1)]
        return {
            "past": [list(size) for size in self.layout.sizes],
            "begin": [_begin(model, words)] if self.layout.encodes else [],
            "steps": steps,
            "longest": work.longest,
            "least": words["min_new_tokens"],
            "ends": work.ends,
            "never": never,
            "forced": _forced(own, words, steps),
            "pad": words["pad_token_id"],
        }

    def compute(self, folder: Path) -> Compute:
        """What the task takes of the model, of the graphs' logits."""
        return partial(_losses, Sessions(folder, self.layout), base_of(self.saved.model))

    def generate(self, folder: Path) -> Generate | None:
        """By the reader that lies beside the graphs."""
        return partial(_written, reader_class(str(self.reads))(folder, 1))


def _begin(model: Any, words: Mapping[str, Any]) -> int:
    """The token that a decoder reads first."""
    own, config = model.generation_config, model.config
    choices = [words.get("decoder_start_token_id"), own.decoder_start_token_id]
    choices += [getattr(config, "decoder_start_token_id", None), own.bos_token_id, getattr(config, "bos_token_id", 0)]
    return int(next(number for number in choices if number is not None))


def _forced(own: Any, words: Mapping[str, Any], steps: int) -> dict[str, int]:
    """The tokens that are written at some steps whatever is likeliest."""
    first, last = words.get("forced_bos_token_id", own.forced_bos_token_id), own.forced_eos_token_id
    last = last[0] if isinstance(last, list) else last
    forced = {} if last is None else {str(steps - 1): int(last)}
    return forced if first is None else {**forced, "0": int(first)}


def _losses(sessions: Sessions, model: Any, inputs: Tensors) -> Tensors:
    """What the task takes of the model for a batch."""
    ids, right = inputs[TOKENS], inputs[RIGHT]
    mask = inputs.get("attention_mask", torch.ones_like(ids))
    past, places, text = sessions.layout.nothing(len(ids)), inputs.get(WHERE), list[torch.Tensor]()
    if sessions.layout.encodes:
        text, ids = sessions.read(ids, mask), moved(model, right)
        places = torch.arange(-right.shape[1], 0).expand(right.shape).contiguous()
    assert places is not None
    logits, _ = sessions.step(ids, mask, places, past, text)
    return measured_of(logits, right)


def _written(reader: Any, inputs: Tensors, _: Mapping[str, Any], numbers: Sequence[int]) -> torch.Tensor:
    """As `Generate`, by the reader beside the graph."""
    ids = inputs[TOKENS]
    mask = inputs.get("attention_mask", torch.ones_like(ids)).bool()
    prompts = [row[real].tolist() for row, real in zip(ids, mask, strict=True)]
    told = [torch.tensor(row, dtype=torch.int64) for row in reader.write(prompts, len(numbers))]
    how = reader.about["writing"]
    fill = how["ends"][0] if how["ends"] else reader.about["pad"]
    return torch.nn.utils.rnn.pad_sequence(told, batch_first=True, padding_value=fill)
