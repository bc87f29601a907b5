"""The task of conversations (`launcher.recipe.task`)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import pydantic

from launcher.recipe.declared import Body, Head, Metrics
from launcher.recipe.fields import Field
from launcher.recipe.generation import Generation
from launcher.recipe.noun import noun


def _weights(value: Any) -> Any:
    """A list as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def _some(value: tuple[float, ...]) -> tuple[float, ...]:
    if not any(value):
        raise ValueError("one of the weights must be above 0")
    return value


TurnWeights = Annotated[
    tuple[Annotated[float, pydantic.Field(ge=0)], ...],
    pydantic.BeforeValidator(_weights),
    pydantic.Field(min_length=1, max_length=64),
    pydantic.AfterValidator(_some),
]


@noun
class Dialogue:
    """The assistant's replies in a conversation, each from all that was said before it.

    Before anything starts it is proven for every row that the tokens that are learnt decode to the replies, and to
    nothing else. What a message holds is text: a control token of the template in it ends no turn.
    """

    head: ClassVar[Head] = "next tokens"
    fields: ClassVar[tuple[Field, ...]] = (Field("messages", "messages"),)
    bodies: ClassVar[frozenset[Body]] = frozenset({"decoder"})
    metrics: ClassVar[Metrics] = {"perplexity": "min", "token_accuracy": "max", "loss": "min"}
    kind: Literal["Dialogue"] = "Dialogue"
    chat_template: str | None = None
    """How a conversation becomes one text: a .jinja file, or the name of a template: one of the tokenizer's, `chatml`,
    or `plain`, which every tokenizer can take. None takes the tokenizer's own, if it has one, else one of these."""
    system: Annotated[str, pydantic.Field(min_length=1)] | None = None
    """System turn of the conversations that have none, in training and in `predict`; None adds none."""
    learn: Literal["replies", "all"] = "replies"
    """Whether the assistant's replies alone are learnt, each with the token that ends it, or every token."""
    turn_weights: TurnWeights | None = None
    """How much the tokens of a reply count in the training loss, the last reply first; earlier ones count as the last
    number says. `(1.0, 0.0)` learns the last reply alone. They are scaled to a mean of 1. None counts all alike."""
    too_long: Literal["end", "turns", "skip", "stop"] = "end"
    """What is done about a conversation that is longer than the model's input: its end is cut off; its first turns
    are, but not the system turn; it is left out; or nothing starts. All of it is counted."""
    generation: Generation = pydantic.Field(default_factory=Generation)
    """How replies are written, in evaluation, `predict` and `chat`."""
    broken: Literal["stop", "skip"] = "stop"
    """What is done about a conversation that cannot be used (no reply, roles out of order, an empty message, the user
    has the last word, the template fails): nothing starts, or it is left out and counted."""
