"""What a model of subwords has learnt of words that training never saw, and how to forget it."""

from __future__ import annotations

from typing import Any

from launcher.training.sources.static.static_model import StaticVectorsModel


class Learnt:
    """Of a model and its tokenizer from now on (`sources.learn`). A server that kept every word that it is sent would
    grow with what its clients think of.
    """

    def __init__(self, model: StaticVectorsModel, tokenizer: Any):
        self.config, self.backend = model.config, tokenizer.backend_tokenizer
        self.words, self.size, self.subwords = self.backend.model, model.config.vocab_size, model.config.subwords
        self.buffers = [
            (module, name, buffer) for module in model.modules() for name, buffer in module.named_buffers(recurse=False)
        ]

    @property
    def count(self) -> int:
        """How many words."""
        return int(self.config.vocab_size - self.size)

    def forget(self) -> None:
        """All of them. What was encoded before means nothing from now on."""
        self.backend.model = self.words
        self.config.vocab_size, self.config.subwords = self.size, self.subwords
        for module, name, buffer in self.buffers:
            setattr(module, name, buffer)
