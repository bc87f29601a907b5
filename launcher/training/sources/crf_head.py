"""A CRF behind the layer for tokens, of a pretrained model and of static vectors alike.

It computes nothing itself: the transitions leave the forward pass beside the logits, and the task makes loss and paths
of both (`launcher.training.tasks.crf_tagging`). So strategies that shard weights know of their gradients.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from launcher.training.sources.own_heads import AutoModelWith, OwnHead, Table
from launcher.training.sources.static.static_model import StaticVectorsConfig

START, END = "(start)", "(end)"


class CRFHead(OwnHead):
    """`transitions` [tags, tags] from row to column, `start` and `end` [tags]; they begin at 0, as a tagger without."""

    task_name, on_logits = "CRFTokenClassification", True

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__(config)
        tags = int(config.num_labels or 0)
        self.transitions = nn.Parameter(torch.zeros(tags, tags))
        self.start, self.end = nn.Parameter(torch.zeros(tags)), nn.Parameter(torch.zeros(tags))

    def forward(self, states: Tensor, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The logits as they are, and the parameters once for each row, as all outputs are by row."""
        parameters = {"transitions": self.transitions, "start": self.start, "end": self.end}
        copies = {name: value.clone().expand(states.shape[0], *value.shape) for name, value in parameters.items()}
        return {"logits": states, **copies}

    def draw(self) -> None:
        """Nothing is preferred."""
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def reorder(self, rows: list[int]) -> None:
        """See `OwnHead`."""
        with torch.no_grad():
            self.transitions.copy_(self.transitions[rows][:, rows].clone())
            self.start.copy_(self.start[rows].clone())
            self.end.copy_(self.end[rows].clone())

    def shown(self, labels: list[str]) -> Table:
        """See `OwnHead`: from the tag of the row to that of the column."""
        values = np.full((len(labels) + 1, len(labels) + 1), np.nan)
        for place, parameter in (((0, slice(-1)), self.start), ((slice(1, None), -1), self.end)):
            values[place] = parameter.detach().cpu().numpy()
        values[1:, :-1] = self.transitions.detach().cpu().numpy()
        return [START, *labels], [*labels, END], values


AutoModelForCRFTokenClassification = AutoModelWith(CRFHead)
StaticVectorsForCRFTokenClassification = AutoModelForCRFTokenClassification.class_for(StaticVectorsConfig())
