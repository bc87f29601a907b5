"""Where the tokens of padded rows stand, how they become one sequence and rows again, and attention in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from launcher.errors import PlanError, Problem


@dataclass(frozen=True)
class Layout:
    """Where the tokens of padded rows stand.

    It travels through a model in the place of the attention mask, as one int64 tensor [1, 1, rows, width + length]: the
    mask, and then `places`. Models hand a mask of four dimensions to their layers as it is, also where these are
    computed once more in the backward pass.
    """

    mask: Tensor
    """1 for each token, [rows, width]."""
    places: Tensor
    """Indices into rows x width, [tokens]; those that are left over name the place behind the last one."""

    @classmethod
    def of(cls, mask: Tensor, spare: int) -> Layout:
        """The layout of a mask [rows, width] with at least `spare` zeros, a multiple of its rows."""
        size = mask.numel()
        return cls(mask, torch.nonzero_static(mask.reshape(-1), size=size - spare, fill_value=size)[:, 0])

    @classmethod
    def read(cls, tensor: Tensor, width: int) -> Layout:
        """From the tensor that holds it."""
        mask, places = tensor[0, 0].split([width, tensor.shape[3] - width], dim=1)
        return cls(mask, places.reshape(-1))

    def as_mask(self) -> Tensor:
        """The tensor that holds it."""
        return torch.cat([self.mask.long(), self.places.view(len(self.mask), -1)], dim=1)[None, None]

    def packed(self, rows: Tensor) -> Tensor:
        """[rows, width, …] as one sequence [1, tokens, …]."""
        sequence: Tensor = _Packed.apply(rows.flatten(0, 1), self.places)  # type: ignore[no-untyped-call]  # torch's
        return sequence[None]

    def apart(self, sequence: Tensor) -> Tensor:
        """[1, tokens, …] as rows [rows, width, …], with zeros where no token stands."""
        rows: Tensor = _Apart.apply(sequence[0], self.places, self.mask.numel())  # type: ignore[no-untyped-call]  # too
        return rows.view(*self.mask.shape, *rows.shape[1:])

    def positions(self) -> Tensor:
        """The number of each token in its row, [1, tokens]."""
        return self.packed((self.mask.cumsum(dim=1) - 1).clamp(min=0))

    def seen(self, causal: bool, window: int | None) -> Tensor | None:
        """What a token of a row sees of it, as torch's attention takes it; None where that is all before it."""
        width = self.mask.shape[1]
        seen = self.mask.bool()[:, None, None, :]
        if window is None or width <= window:
            return None if causal else seen
        steps = torch.arange(width, device=self.mask.device)
        steps = steps[:, None] - steps
        near = ((steps >= 0) & (steps < window)) if causal else steps.abs() < window
        # a place of no token must see something, or its numbers are none; they are left out
        return (seen & near) | ~self.mask.bool()[:, None, :, None]


def is_layout(mask: Any) -> bool:
    """Whether what stands in a mask's place is one: no mask of four dimensions has whole numbers."""
    return isinstance(mask, Tensor) and mask.dim() == 4 and mask.dtype == torch.int64


class _Packed(torch.autograd.Function):
    """Rows of numbers taken from places; copies in both directions, where torch's own backward pass would add."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Tensor) -> Tensor:
        """`values` [all places, …] -> [places, …]."""
        ctx.save_for_backward(places)
        ctx.size = len(values)
        return values.index_select(0, places.clamp(max=len(values) - 1))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Nothing of it for what is left over."""
        (places,) = ctx.saved_tensors
        return _put(gradient, places, ctx.size), None


class _Apart(torch.autograd.Function):
    """The other way: rows of numbers put at places."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Tensor, size: int) -> Tensor:
        """`values` [places, …] -> [size, …]."""
        ctx.save_for_backward(places)
        return _put(values, places, size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Zeros for what is left over."""
        (places,) = ctx.saved_tensors
        size = len(gradient)
        there = (places < size).view(-1, *[1] * (gradient.dim() - 1))
        return gradient.index_select(0, places.clamp(max=size - 1)) * there, None, None


def _put(values: Tensor, places: Tensor, size: int) -> Tensor:
    """Zeros with these rows of numbers at their places; one place more takes what belongs nowhere."""
    return values.new_zeros(size + 1, *values.shape[1:]).index_copy_(0, places, values)[:-1]


def attend(
    inner: Callable[..., Any],
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, Any]:
    """Attention within the rows of a packed sequence: [1, heads, tokens, width of a head] -> [1, tokens, heads, width].

    What comes with an ordinary mask is computed by `inner` as it is.
    """
    others |= {"is_causal": is_causal, "sliding_window": sliding_window}
    if attention_mask is None or not is_layout(attention_mask):
        output: tuple[Tensor, Any] = inner(module, query, key, value, attention_mask, **others)
        return output
    if others.get("position_bias") is not None:
        raise cannot("adds a bias for each pair of tokens to attention")
    rows, both = attention_mask.shape[2:]
    layout = Layout.read(attention_mask, both - query.shape[2] // rows)
    apart = [layout.apart(states.transpose(1, 2)).transpose(1, 2) for states in (query, key, value)]
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    states, _ = inner(module, *apart, layout.seen(causal, sliding_window), **others)
    return layout.packed(states), None


def cannot(why: str) -> PlanError:
    """What is raised of a model whose rows cannot be packed."""
    what = f"this model's rows cannot be packed: it {why}"
    return PlanError(Problem(what, "training.packing", "leave training.packing out"))
