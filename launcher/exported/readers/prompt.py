"""The label of each text, or of each pair of texts, by the word that a language model says in a template."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from launcher.exported.readers.graph import Graph
from launcher.exported.readers.shares import label_of


class Reader(Graph):
    """Answers as `launcher predict` gives them; a label's score is the mean of its words'."""

    def predict(self, texts: Any) -> list[dict[str, Any]]:
        """The label of each text, or of each pair of them."""
        nothing, template = self.about["calibrate_by"], self.about["template"]
        asked: Any = [*texts, *([] if nothing is None else [(nothing, nothing)])]
        pairs = [(each, "") if isinstance(each, str) else each for each in asked]
        filled = [self._filled(text, other, template) for text, other in pairs]
        places = np.array([each.place for each in filled])
        logits = self.outputs(filled, lambda batch, width: {"answer_at": places[batch] - width})
        scores = [np.array([row[tokens].mean() for tokens in template["label_tokens"]]) for (row,) in logits]
        if nothing is not None:
            unsaid = scores.pop()
            scores = [row - unsaid for row in scores]
        answers = [label_of(self.about["labels"], row) for row in scores]
        cut = [{"truncated": True} if each.cut else {} for each in filled[: len(answers)]]
        return [{**answer, **more} for answer, more in zip(answers, cut, strict=True)]

    def _filled(self, text: str, pair: str, template: Any) -> Any:
        values = {"text": text, "text_pair": pair, "mask": template["mask"], "": ""}
        written, texts, place, gap = "", list[tuple[int, int]](), 0, template["gap"]
        for before, field in template["parts"]:
            start = len(written := written + before)
            written += values[field]
            texts += [(start, len(written))] if field in ("text", "text_pair") else []
            place = start if field == gap else place
        self.tokenizer.no_truncation()
        e = self.tokenizer.encode(written)
        kept = list(range(len(e.ids)))
        while not gap and kept and e.special_tokens_mask[kept[-1]]:
            kept.pop()
        of_texts = [[n for n in kept if start <= e.offsets[n][0] < e.offsets[n][1] <= end] for start, end in texts]
        too_many = min(len(kept) - self.about["max_length"], sum(map(len, of_texts)))
        dropped = {max(of_texts, key=len).pop() for _ in range(too_many)}
        ids = [e.ids[n] for n in kept if n not in dropped]
        masks = [n for n in kept if e.ids[n] == template["mask_token"] and e.offsets[n][1] > place]
        at = len(ids) - 1 if not gap else sum(n < masks[0] and n not in dropped for n in kept)
        return SimpleNamespace(ids=ids, type_ids=[0] * len(ids), place=at, cut=bool(dropped))
