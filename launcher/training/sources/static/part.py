"""A part of a static model that stands beside its table, and what each kind of them answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn
from transformers import PretrainedConfig


class Part(nn.Module):
    """It adds to the vectors of the tokens, or to the logits of a whole text: `forward(input_ids, mask, types)`.

    Its buffers are what it knows, its parameters train whole under every method. They start such that the model starts
    as the one without it.
    """

    name: ClassVar[str]
    """Of the submodule, so of its tensors in saved models; and of the file in the folder of the prepared data."""
    adds_to: ClassVar[Literal["vectors", "logits"]]

    @classmethod
    def configured(cls, noun: Any, known: Mapping[str, Tensor]) -> dict[str, Any]:
        """What the model's configuration says of it, given the noun and what lies in its file."""
        raise NotImplementedError

    @classmethod
    def of(cls, config: PretrainedConfig) -> Self | None:
        """The module that the configuration tells of, whose buffers are still to be filled; None where it has none."""
        raise NotImplementedError

    def learn(self, tokens: list[str]) -> None:
        """Know of tokens that training never saw; their numbers follow those of the others."""

    def fill(self, known: Mapping[str, Tensor]) -> None:
        """Take over what lies in its file."""
        for name, buffer in self.named_buffers():
            buffer.copy_(known[name])
