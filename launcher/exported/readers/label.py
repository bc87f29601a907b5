"""The label of each text, or of each pair of texts, and how likely each label is."""

from typing import Any

import numpy as np

from launcher.exported.readers.texts import Texts


class Reader(Texts):
    """One label each."""

    def _told(self, logits: Any) -> dict[str, Any]:
        weights = np.exp(logits - logits.max())
        shares = dict(zip(self.about["labels"], (weights / weights.sum()).tolist(), strict=True))
        best = self.about["labels"][int(logits.argmax())]
        return {"label": best, "probability": shares[best], "probabilities": shares}
