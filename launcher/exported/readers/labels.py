"""The labels of each text, or of each pair of texts, and how likely each of all is."""

from typing import Any

import numpy as np

from launcher.exported.readers.texts import Texts


class Reader(Texts):
    """Any number of labels each, the likeliest first."""

    def _told(self, logits: Any) -> dict[str, Any]:
        shares = dict(zip(self.about["labels"], (1 / (1 + np.exp(-logits))).tolist(), strict=True))
        chosen = [label for label in shares if shares[label] > self.about["threshold"]]
        return {"labels": sorted(chosen, key=lambda label: -shares[label]), "probabilities": shares}
