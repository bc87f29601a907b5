"""The head of relations on a pretrained body: the states at both entities' marks, side by side, and a linear layer.

Baldini Soares et al. 2019, "Matching the Blanks" (arXiv 1906.03158): their best head takes the states at the marks
where the entities start. A body that reads forwards only has not seen an entity there: then it is the marks where they
end. The marks are tokens that the model knows (`entity_marks`), as in Zhou and Chen 2021 (arXiv 2102.01373).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from transformers import PretrainedConfig

from launcher.training.sources.own_heads import AutoModelWith, OwnHead, dropout_of
from launcher.training.sources.pooling import reads_forwards

ENTITIES = "entities"
"""The input: int64 [rows, 4], the places of the tokens at which the first entity starts and ends, and the second."""


class EntityHead(OwnHead):
    """[rows, labels] from the states at the two entities."""

    task_name = "RelationExtraction"
    takes = (ENTITIES,)

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        self.column = int(reads_forwards(config))
        self.dropout = dropout_of(config)
        self.classifier = nn.Linear(2 * config.get_text_config().hidden_size, config.num_labels or 0)

    def forward(self, states: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`logits` [rows, labels]."""
        places = inputs[ENTITIES][:, self.column :: 2].unsqueeze(-1).expand(-1, -1, states.shape[-1])
        return {"logits": self.classifier(self.dropout(states.gather(1, places).flatten(1)))}


AutoModelForRelationExtraction = AutoModelWith(EntityHead)
