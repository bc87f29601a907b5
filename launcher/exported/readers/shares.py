"""How likely each label is, by the graph's outputs."""

from typing import Any

import numpy as np


def label_of(labels: Any, logits: Any) -> dict[str, Any]:
    """The likeliest label, and how likely all are."""
    weights = np.exp(logits - logits.max())
    shares = dict(zip(labels, (weights / weights.sum()).tolist(), strict=True))
    best = labels[int(logits.argmax())]
    return {"label": best, "probability": shares[best], "probabilities": shares}
