"""Static vectors for the relation between two entities: each token knows how far it is from both.

    vectors + a vector of the distance to each entity -> encoder -> [first entity, second entity, text] -> classifier

Distances as in Zeng et al. 2014 ("Relation Classification via Convolutional Deep Neural Network"), up to 30 tokens; an
entity is the mean of its tokens' states, the text the smooth maximum of all.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from launcher.training.sources.entity_head import AutoModelForRelationExtraction
from launcher.training.sources.static.encoders import masked_mean, smooth_max
from launcher.training.sources.static.static_model import StaticVectorsConfig, StaticVectorsModel

REACH = 30
DISTANCES = 2 * REACH + 1


class StaticVectorsForRelationExtraction(StaticVectorsModel):
    """One label for the two entities of a text."""

    pools = False
    states = 3

    def __init__(self, config: StaticVectorsConfig) -> None:
        super().__init__(config)
        self.distances = nn.Embedding(2 * DISTANCES, config.dimension)
        self.post_init()  # type: ignore[no-untyped-call]  # transformers leaves it without types

    @property
    def new_modules(self) -> list[str]:
        """The vectors of distances are new too."""
        return [*super().new_modules, "distances"]

    def forward(
        self,
        input_ids: Tensor,
        entities: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        **_: Any,
    ) -> SequenceClassifierOutput:
        """`logits` [rows, labels]; `loss` where `labels` [rows] are given.

        `entities`, int64 [rows, 4], are the places of the first and the last token of the first entity and the second.
        """
        mask = self.mask_of(input_ids, attention_mask)
        places = torch.arange(input_ids.shape[1], device=input_ids.device).unsqueeze(0)
        vectors, inside = self.vectors_of(input_ids, mask), []
        for number in (0, 1):
            first, last = entities[:, 2 * number, None], entities[:, 2 * number + 1, None]
            distance = (places - first).clamp(-REACH, 0) + (places - last).clamp(0, REACH)
            vectors = vectors + self.distances(distance + REACH + number * DISTANCES)
            inside.append((places >= first) & (places <= last))
        states = self.encoder(self.dropout(vectors), mask)
        pooled = torch.cat([*(masked_mean(states, one) for one in inside), smooth_max(states, mask)], dim=-1)
        logits: Tensor = self.classifier(self.dropout(pooled))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


AutoModelForRelationExtraction.register(StaticVectorsConfig, StaticVectorsForRelationExtraction)
