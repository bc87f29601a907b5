"""Full fine-tuning: every parameter trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def apply(model: PreTrainedModel) -> PreTrainedModel:
    """Let every parameter of `model` require a gradient, and return the same object."""
    model.requires_grad_(True)
    return model
