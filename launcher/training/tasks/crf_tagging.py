"""Tagging with a CRF: as `token_classification`, but a sentence's tags are one answer (Lample et al. 2016, 1603.01360).

The loss is the negative log likelihood of the whole path over a sentence's first pieces, divided by how many there are
in the global batch: nats a tag, so that it compares with cross entropy. Training knows all paths. What is predicted is
the likeliest path that BIO allows (no I-x behind another type), and a tag's probability is its share among these paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from launcher.training.batches.split import Ragged
from launcher.training.tasks import token_classification
from launcher.training.tasks.base import IGNORED
from launcher.training.tasks.token_classification import by_target

if TYPE_CHECKING:
    import torch

    from launcher.training.model_parts.crf import Chain
    from launcher.training.model_parts.outputs import Tensors


class Work(token_classification.Work):
    """See `launcher.training.tasks.base.TaskWork`."""

    outputs = ("logits", "transitions", "start", "end")

    def loss(self, outputs: Tensors, wanted: Tensors) -> dict[str, torch.Tensor]:
        """Summed over sentences."""
        from launcher.training.model_parts.crf import negative_log_likelihood

        labels = wanted["labels"]
        logits = outputs["logits"].float()
        return {"loss": negative_log_likelihood(logits, labels, labels.ne(IGNORED), _chain(outputs))}

    def divergence(self, one: Tensors, other: Tensors, wanted: Tensors) -> torch.Tensor:
        """Between the probabilities of each token's tags over all paths."""
        from launcher.training.model_parts.crf import log_marginals
        from launcher.training.tasks.divergence import of_classes

        mask = wanted["labels"].ne(IGNORED)
        marginals = [log_marginals(outputs["logits"].float(), mask, _chain(outputs)) for outputs in (one, other)]
        return (of_classes(*marginals) * mask).sum()

    def keep(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, Ragged]:
        """`predicted`, the tags of the likeliest path, int32."""
        from launcher.training.model_parts.crf import best_path

        labels = wanted["labels"]
        path = best_path(outputs["logits"].float(), labels.ne(IGNORED), self._allowed(outputs))
        return {"predicted": by_target(path, labels, np.int32)}

    def detail(self, outputs: Tensors, wanted: Tensors) -> Mapping[str, Ragged]:
        """`probabilities` of each target's tags over all paths that BIO allows, float32 [targets, classes]."""
        from launcher.training.model_parts.crf import log_marginals

        labels = wanted["labels"]
        marginals = log_marginals(outputs["logits"].float(), labels.ne(IGNORED), self._allowed(outputs)).exp()
        return {"probabilities": by_target(marginals, labels, np.float32)}

    def _allowed(self, outputs: Tensors) -> Chain:
        from launcher.training.model_parts.crf import bio_steps

        return _chain(outputs).only(bio_steps(self.labels, outputs["logits"].device))


def _chain(outputs: Tensors) -> Chain:
    """The head's parameters: every row has the same."""
    from launcher.training.model_parts.crf import Chain

    return Chain(*(outputs[name][0].float() for name in ("transitions", "start", "end")))
