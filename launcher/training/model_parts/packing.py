"""Packing: the tokens of a micro-batch as one sequence without padding, for all of a model's layers but attention.

A body is given its rows padded, [rows, width]; its layers compute one sequence [1, tokens] of the real tokens alone, at
the positions that they have in their rows. Where attention is computed the rows are apart again, padded, so that no
token can see another row's, whatever the length; and so are the states that the body gives, [rows, width, features].
No task, head or loss knows of it. What is saved by it is the arithmetic of padding in everything that treats tokens one
by one, and under causal attention the mask: rows begin at the first place, so that no token sees padding behind it.

Sequences in which rows stand after each other under a mask of blocks would save less, and pay for attention that grows
with the sequence's square (docs/decisions/036-packing.md). Nothing is read back from the device.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from launcher.training.model_parts.packed_layout import Layout, attend, cannot, is_layout
from launcher.training.model_parts.sparse_table import base_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SPARE = "spare_places"
"""The input, [rows, places]: of its numbers nothing is read. Its size is how many places of the padded micro-batch hold
no token, as a whole number for each row: what the sequence is shorter by, known before the batch is on its device. A
method that puts tokens before each row leaves it true, and so does a step that computes each row twice."""
WINDOWS = ("full_attention", "sliding_attention")
"""Kinds of attention in a stack of layers whose rows can be computed by themselves."""


@dataclass
class Packing:
    """What a model has that packs: `body` is the part that is given padded rows, and gives them."""

    model: PreTrainedModel
    body: PreTrainedModel
    layers: nn.Module
    """What computes the layers: the body itself, or a part of it that is given embedded tokens."""
    spare: int | None = None
    """Of the batch that is computed now; None where it is not packed."""

    def whole_model(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """The model's forward pass, which takes `spare_places` too."""

        @functools.wraps(forward)
        def packed(*args: Any, spare_places: Tensor | None = None, **given: Any) -> Any:
            self.spare = None if spare_places is None else spare_places.numel()
            try:
                return forward(*args, **given)
            finally:
                self.spare = None

        return packed

    def whole_body(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """The body's: a layout instead of a mask, and if it has the layers itself, one sequence of embedded tokens."""
        named = _by_name(forward)

        @functools.wraps(forward)
        def packed(*args: Any, **kwargs: Any) -> Any:
            given = named(*args, **kwargs)
            mask = given.get("attention_mask")
            if self.spare is None or mask is None:
                return forward(*args, **kwargs)
            layout = Layout.of(mask, self.spare)
            given["attention_mask"] = layout.as_mask()
            return forward(**given) if self.layers is not self.body else self._sequence(forward, layout, given)

        return packed

    def _sequence(self, forward: Callable[..., Any], layout: Layout, given: dict[str, Any]) -> Any:
        ids, vectors = given.pop("input_ids", None), given.pop("inputs_embeds", None)
        if vectors is None:
            vectors = self.body.get_input_embeddings()(ids)
        if given.get("token_type_ids") is not None:
            given["token_type_ids"] = layout.packed(given["token_type_ids"])
        # a cache hides that positions begin anew, and there is nothing to go on from
        given |= {"inputs_embeds": layout.packed(vectors), "position_ids": layout.positions(), "use_cache": False}
        return _apart(layout, forward(**given))

    def own_layers(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """Of a part that computes the layers."""
        named = _by_name(forward)

        @functools.wraps(forward)
        def packed(*args: Any, **kwargs: Any) -> Any:
            given = named(*args, **kwargs)
            mask: Any = given.get("attention_mask")
            if not is_layout(mask):
                return forward(*args, **kwargs)
            states = next(iter(given))
            layout = Layout.read(mask, given[states].shape[1])
            return _apart(layout, forward(**{**given, states: layout.packed(given[states])}))

        return packed


def _by_name(forward: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """What a call hands over, by the names of the parameters."""
    signature = inspect.signature(forward)
    rest = next((name for name, one in signature.parameters.items() if one.kind is one.VAR_KEYWORD), "")

    def named(*args: Any, **kwargs: Any) -> dict[str, Any]:
        given = dict(signature.bind(*args, **kwargs).arguments)
        return {**given, **given.pop(rest, {})}

    return named


def _apart(layout: Layout, output: Any) -> Any:
    """The states that a body or its layers gave, as padded rows."""
    if isinstance(output, Tensor):
        return layout.apart(output)
    if not isinstance(getattr(output, "last_hidden_state", None), Tensor):
        raise cannot(f"gives its states as {type(output).__name__}")
    output.last_hidden_state = layout.apart(output.last_hidden_state)
    return output


def pack(model: nn.Module) -> Packing:
    """Let the forward pass take `spare_places`, and pack the batches that come with it. Raises PlanError for a body
    whose layers cannot compute a sequence of several rows.

    The last thing that is done to a model before it is spread over ranks: what its method adds is there.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    packing = packing_of(model)
    config = packing.model.config
    inner = config._attn_implementation
    name = f"launcher_packed_{inner}"
    AttentionInterface.register(name, functools.partial(attend, ALL_ATTENTION_FUNCTIONS[inner]))
    AttentionMaskInterface.register(name, sdpa_mask)
    packing.model.set_attn_implementation(name)
    if packing.layers is not packing.body:
        packing.layers.forward = packing.own_layers(packing.layers.forward)
    packing.body.forward = packing.whole_body(packing.body.forward)
    packing.model.forward = packing.whole_model(packing.model.forward)
    return packing


def packing_of(model: nn.Module) -> Packing:
    """The parts that packing is about. Raises PlanError for a body that cannot, as far as its shape shows."""
    from transformers import PreTrainedModel
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    base = base_of(model)
    if not isinstance(base, PreTrainedModel):
        raise cannot("is of static vectors")
    config = base.config
    if config.is_encoder_decoder:
        raise cannot("is an encoder and a decoder")
    if not base._supports_attention_backend or config._attn_implementation not in ALL_ATTENTION_FUNCTIONS:
        raise cannot("computes attention in a way of its own")
    others = [kind for kind in getattr(config, "layer_types", None) or () if kind not in WINDOWS]
    if others:
        raise cannot(f"has layers of the kind {others[0]!r}")
    parts = dict(base.named_modules())
    lists = (name for name, part in parts.items() if isinstance(part, nn.ModuleList) and len(part))
    path = next(lists, "").rpartition(".")[0]
    if not path:
        raise cannot("has no list of layers")
    layers = parts[path]
    while path and "inputs_embeds" not in _parameters(parts[path]):
        path = path.rpartition(".")[0]
    body = parts[path]
    if (
        not path
        or not isinstance(body, PreTrainedModel)
        or (body is layers and "position_ids" not in _parameters(body))
    ):
        raise cannot("does not let positions be given to it")
    return Packing(base, body, layers)


def _parameters(module: nn.Module) -> frozenset[str]:
    return frozenset(inspect.signature(module.forward).parameters)
