"""Activations that are computed again in the backward pass instead of kept (Chen et al. 2016, arXiv 1604.06174)."""

from __future__ import annotations

from torch import nn


def recompute(model: nn.Module, keep_generators: bool = True) -> None:
    """Have each layer of the transformer in `model` keep its input only, while the model trains.

    Dropout draws the same numbers again, so that losses and gradients are the same; `keep_generators` False, for a
    model without data, leaves the generators alone.
    """
    from transformers import PreTrainedModel

    inner = next(module for module in model.modules() if isinstance(module, PreTrainedModel))
    settings = {"use_reentrant": False, "preserve_rng_state": keep_generators}
    inner.gradient_checkpointing_enable(gradient_checkpointing_kwargs=settings)
