"""BERT's two heads: masked words, and whether two texts follow each other.

transformers' own class of that name also gives other kinds of models, which have the first alone.
"""

from __future__ import annotations

from typing import Any

from transformers import AutoModelForNextSentencePrediction as TwoTexts
from transformers import AutoModelForPreTraining as Library


class AutoModelForPreTraining:
    """As transformers' Auto classes, for the kinds of models that have both."""

    _model_mapping = TwoTexts._model_mapping

    @staticmethod
    def from_config(config: Any, **given: Any) -> Any:
        """A model with drawn weights."""
        return Library.from_config(config, **given)

    @staticmethod
    def from_pretrained(source: str, **given: Any) -> Any:
        """A model with the weights of `source`; heads that it lacks are drawn."""
        return Library.from_pretrained(source, **given)
