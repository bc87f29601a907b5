"""Texts that are written token by token, the likeliest one each time, until their end."""

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from launcher.exported.readers.graph import Graph


class Writer(Graph):
    """Answers as `launcher predict` gives them where nothing is drawn and one beginning is followed."""

    def __init__(self, folder: Any, threads: int = 0) -> None:
        super().__init__(folder, threads)
        self.tokenizer.encode_special_tokens = True  # names of control tokens that stand in a text are text
        self.encoder, path = None, Path(folder) / "encoder.onnx"
        if path.is_file():
            self.encoder = onnxruntime.InferenceSession(str(path), self.session.get_session_options())

    def predict(self, texts: Any) -> list[dict[str, Any]]:
        """What is written for each text; `unfinished` where it is as long as may be."""
        prompts = [self.prompt(text) for text in texts]
        written = self.write([ids for ids, _ in prompts])
        return [
            {"text": self.decoded(ids)}
            | ({"unfinished": True} if len(ids) >= self.about["writing"]["longest"] else {})
            | ({"truncated": True} if cut else {})
            for ids, (_, cut) in zip(written, prompts, strict=True)
        ]

    def prompt(self, text: Any) -> tuple[list[int], bool]:
        """The tokens that the model goes on from, and whether some were left out."""
        how, ids = self.about["prompt"], self.tokens(self.about["prompt"]["prefix"] + text)
        room, whole = how["room"], [*how["before"], *ids, *how["behind"]]
        if how["cut"] == "beginning":
            return whole[-room:] or how["empty"], False
        return [*how["before"], *ids[:room], *how["behind"]] or how["empty"], len(ids) > room

    def tokens(self, text: str) -> list[int]:
        """Of a text, the model's own signs among them taken for unknown."""
        own, unknown = self.about["prompt"]["own"], self.about["prompt"]["unknown"]
        ids = [unknown if number in own else number for number in self.tokenizer.encode(text, None, False, False).ids]
        return [number for number in ids if number is not None]

    def write(self, prompts: Any, rows: int = 8) -> list[list[int]]:
        """The tokens that are written for each prompt, without the one that ends them."""
        found, order = dict[int, Any](), sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        for batch in (order[start : start + rows] for start in range(0, len(order), rows)):
            found.update(zip(batch, self._written([prompts[number] for number in batch]), strict=True))
        return [found[number] for number in range(len(prompts))]

    def _written(self, prompts: Any) -> list[list[int]]:
        how, lengths = self.about["writing"], np.array([[len(prompt)] for prompt in prompts])
        rows, width, ended = len(prompts), lengths.max(), np.zeros(len(prompts), bool)
        numbers = np.arange(width)
        real = numbers < lengths if self.encoder else numbers >= width - lengths
        ids, mask, told = np.full(real.shape, self.about["pad"]), real.astype(np.int64), list[Any]()
        ids[real] = np.concatenate(prompts)
        given = {f"past.{n}": np.zeros((rows, a, 0, b), np.float32) for n, (a, b) in enumerate(how["past"])}
        given["answer_at"] = np.full((rows, 1), -1)
        if self.encoder:
            names = [each.name for each in self.encoder.get_outputs()]
            given |= zip(names, self.encoder.run(names, {"input_ids": ids, "attention_mask": mask}), strict=True)
            ids = np.tile(how["begin"], (rows, 1))
        given = {name: given[name] for name in self.about["inputs"] if name in given}
        while len(told) < how["steps"] and not ended.all():
            read = {"input_ids": ids, "attention_mask": mask}
            read = {name: value for name, value in read.items() if name in self.about["inputs"]}
            logits, *kept = self.session.run(self.about["outputs"], {**given, **read})
            given |= {f"past.{number}": values for number, values in enumerate(kept)}
            logits[:, :, how["never"] + (how["ends"] if len(told) < how["least"] else [])] = -np.inf
            ids = logits[:, -1:].argmax(-1)
            ids[:] = how["forced"].get(str(len(told)), ids)
            ended |= np.isin(ids[:, 0], how["ends"])
            told.append(ids)
            mask = mask if self.encoder else np.hstack([mask, np.ones_like(ids)])
        return [list(itertools.takewhile(lambda one: one not in how["ends"], row)) for row in np.hstack(told).tolist()]

    def decoded(self, ids: list[int]) -> str:
        """The text of tokens that were written."""
        text, how = self.tokenizer.decode(ids, skip_special_tokens=True), self.about["decoded"]
        for old, new in how["replaced"]:
            text = text.replace(old, new)
        return re.sub(how["joined"] or "(?!)", "", text).strip()
