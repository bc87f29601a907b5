"""Entities in texts, of the likeliest path of tags that BIO allows."""

from typing import Any

import numpy as np

from launcher.exported.readers.entities import Entities


class Reader(Entities):
    """A tag is as likely as all the paths together that have it."""

    def _chosen(self, logits: Any, steps: Any, start: Any, end: Any) -> tuple[Any, Any]:
        if not len(logits):
            return [], []
        tags = self.about["labels"]
        may = [[tag[:2] != "I-" or tag[2:] == before[2:] for tag in tags] for before in ["", *tags]]
        start, steps = np.where(may[0], start, -1e30), np.where(may[1:], steps, -1e30)
        best = self._scores(np.maximum, logits, steps, start)
        path = [int((best[-1] + end).argmax())]
        for scores in best[-2::-1]:
            path.append(int((scores + steps[:, path[-1]]).argmax()))
        forward = self._scores(np.logaddexp, logits, steps, start)
        shares = forward + self._scores(np.logaddexp, logits[::-1], steps.T, end)[::-1] - logits
        shares = np.exp(shares - np.logaddexp.reduce(shares, axis=1, keepdims=True))
        return path[::-1], shares[np.arange(len(path)), path[::-1]]

    def _scores(self, join: Any, logits: Any, steps: Any, start: Any) -> Any:
        scores = [start + logits[0]]
        for row in logits[1:]:
            scores.append(row + join.reduce(scores[-1][:, None] + steps))
        return np.array(scores)
