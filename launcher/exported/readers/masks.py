"""Texts in which words are to be filled in, with the likeliest word at each mask."""

import re
from typing import Any

import numpy as np

from launcher.exported.readers.graph import Graph


class Reader(Graph):
    """Answers as `launcher predict` gives them; a text without a mask stays as it is."""

    def predict(self, texts: Any) -> list[dict[str, Any]]:
        """Each text filled in, and with what."""
        return [self._filled(text) for text in texts]

    def _filled(self, text: str) -> dict[str, Any]:
        (name, mask), ids, words = self.about["mask"], self._ids(text), list[str]()
        before, behind = self.about["around"]
        longest = max(1, self.about["max_length"] - len(before) - len(behind))
        alone = self.tokenizer.decode([mask], skip_special_tokens=False)
        for part in (ids[start : start + longest] for start in range(0, len(ids), longest)):
            row = np.array([[*before, *part, *behind]])
            if len(places := np.flatnonzero(row[0] == mask)):
                given = {"input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row)}
                given["answer_at"] = places[None] - row.shape[1]
                logits = self.session.run(["logits"], {name: given[name] for name in self.about["inputs"]})[0][0]
                both = [self.tokenizer.decode([mask, int(row.argmax())], skip_special_tokens=False) for row in logits]
                words += [each.removeprefix(alone).strip() for each in both]
        parts = zip(text.split(name), [*words, ""], strict=False)
        return {"text": "".join(part + word for part, word in parts), "words": words}

    def _ids(self, text: str) -> list[int]:
        found, signs = list[int](), "|".join(map(re.escape, self.about["signs"])) or "(?!)"
        for number, part in enumerate(re.split(f"({signs})", text)):
            self.tokenizer.encode_special_tokens = number % 2 == 1
            found += self.tokenizer.encode(part, add_special_tokens=False).ids
        own, unknown = self.about["own"], self.about["unknown"]
        return [unknown if number in own and unknown is not None else number for number in found]
