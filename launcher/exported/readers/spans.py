"""The part of a text that answers a question, for pairs of a question and its text."""

from typing import Any

import numpy as np

from launcher.exported.readers.graph import Graph


class Reader(Graph):
    """Answers as `launcher predict` gives them; no answer has an empty text."""

    def predict(self, pairs: Any) -> list[dict[str, Any]]:
        """Of all windows of each text."""
        return [self._answer(question, context) for question, context in pairs]

    def _answer(self, question: str, context: str) -> dict[str, Any]:
        about, asked, scores, none = self.about, question, dict[tuple[int, int], float](), np.inf
        self.tokenizer.no_truncation()
        while len((e := self.tokenizer.encode(asked, add_special_tokens=False)).ids) > about["question"]:
            asked = asked[: min(e.offsets[about["question"] - 1][1], len(asked) - 1)]
        self.tokenizer.enable_truncation(about["max_length"], stride=about["stride"], strategy="only_second")
        whole = self.tokenizer.encode(asked, context)
        for window, (start, end) in zip(ws := [whole, *whole.overflowing], self.outputs(ws), strict=True):
            none = min(none, float(start[0] + end[0]))
            begins = [b - len(context[a:b].lstrip()) for a, b in window.offsets]
            ends = [a + len(context[a:b].rstrip()) for a, b in window.offsets]
            real = (np.array(window.sequence_ids) == 1) & np.less(begins, ends)
            may = np.tril(np.triu(real & real[:, None]), about["longest_answer"] - 1)
            sums, (first, last) = (start[: len(real), None] + end[: len(real)])[may], may.nonzero()
            for best in np.argsort(-sums, kind="stable")[: about["best"]]:
                place = begins[first[best]], ends[last[best]]
                scores[place] = max(float(sums[best]), scores.get(place, -np.inf))
        found: Any = [{"text": context[a:b], "start": a, "end": b, "score": s} for (a, b), s in scores.items()]
        ranked, threshold = sorted(found, key=lambda each: -each["score"]), about["no_answer_threshold"]
        nothing: Any = [] if threshold is None else [{"text": "", "start": None, "end": None, "score": none}]
        ranked = sorted(ranked[: about["best"] - len(nothing)] + nothing, key=lambda each: -each["score"])
        weights = np.exp([each["score"] - ranked[0]["score"] for each in ranked])
        ranked = [{**each, "probability": float(w / weights.sum())} for each, w in zip(ranked, weights, strict=True)]
        sure = [each for each in ranked if each["text"] and (threshold is None or none - each["score"] <= threshold)]
        best = (sure or [each for each in ranked if not each["text"]] or [{"text": ""}])[0]
        told = {name: best.get(name) for name in ("start", "end", "score", "probability")}
        return {"answer": best["text"], **told, "answers": ranked} | ({} if asked == question else {"truncated": True})
