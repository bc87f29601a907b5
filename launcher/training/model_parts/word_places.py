"""Language models that are asked for many words of each text: losses at these places, and never all logits.

The logits of a batch would be rows x tokens x vocabulary numbers, which is most of the memory that a small model with a
large vocabulary takes. Here the body computes once, and its head only where a word is asked for, for so many of these
places at a time as `LARGEST` allows; what does not fit into one such part is computed again in the backward pass. So
memory follows the part, and neither rows nor vocabulary. (The idea is that of Wijmans et al. 2024, arXiv 2411.09009,
whose kernels need a GPU.)

All parts are computed within one call of the head's last layer: where weights are sharded it is gathered once, however
many parts a rank has. The head runs inside of the model's own forward pass.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from launcher.training.model_parts.word_names import HITS as HITS
from launcher.training.model_parts.word_names import LIKELIEST as LIKELIEST
from launcher.training.model_parts.word_names import LOSSES as LOSSES
from launcher.training.model_parts.word_names import MEANS as MEANS
from launcher.training.model_parts.word_names import NONE as NONE
from launcher.training.model_parts.word_names import RIGHT as RIGHT
from launcher.training.model_parts.word_names import WHERE as WHERE

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LARGEST = 2**25
"""Logits that exist at a time."""


def read_at_words(model: PreTrainedModel) -> PreTrainedModel:
    """Let the forward pass take `answer_at` and `answers`, and give losses then; the same object."""
    model.forward = MethodType(_words_there, model)
    model._head_is_its_own = True  # type: ignore[assignment]  # an attribute of our own
    return model


def body_of(model: Any) -> Any:
    """What gives the states that the head of a language model reads: the decoder where there is an encoder too."""
    body = model.get_decoder() if model.config.is_encoder_decoder else model
    return body.base_model


def _words_there(
    self: Any, answer_at: torch.Tensor | None = None, answers: torch.Tensor | None = None, **given: Any
) -> Any:
    """The class's own forward pass; with `answer_at` its head computes at these places only, and gives their logits
    [rows, places, vocabulary], or with `answers` losses.
    """
    from transformers.modeling_outputs import ModelOutput

    forward = type(self).forward
    if answer_at is None:
        return forward(self, **given)
    if "use_cache" in inspect.signature(forward).parameters:
        given.setdefault("use_cache", False)
    body, last = body_of(self), self.get_output_embeddings()
    seen: list[Any] = []

    def only_there(_: Any, __: Any, output: Any) -> Any:
        states = output.last_hidden_state
        index = (states.shape[1] + answer_at).clamp(min=0)
        rows = torch.arange(states.shape[0], device=states.device)[:, None]
        seen.append(
            type(output)(**{**output, "last_hidden_state": states[rows, index].reshape(1, -1, states.shape[-1])})
        )
        return seen[0]

    if answers is None:
        with _hooked((body, only_there)):
            output = forward(self, **given)
        return _with_logits(output, answer_at.shape)

    def in_parts(states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return _in_parts(last, states[0], answers.reshape(-1), _after(self, body, last, seen[0], given))

    def no_logits(_: Any, __: Any, measured: torch.Tensor) -> torch.Tensor:
        seen.append(measured)
        return measured.new_zeros(()).expand(1, 1, last.out_features)

    with _hooked((body, only_there), (last, no_logits)), _computing(last, in_parts):
        output = forward(self, **given)
    measured = seen[1].view(*answers.shape, 4).unbind(dim=-1)
    others = {name: output[name] for name in ("seq_relationship_logits",) if name in output}
    return ModelOutput(**dict(zip((LOSSES, MEANS, HITS, LIKELIEST), measured, strict=True)), **others)


def _with_logits(output: Any, places: torch.Size) -> Any:
    """The output of a head that computed at places alone, its logits [rows, places, vocabulary] as `logits`."""
    from transformers.modeling_outputs import ModelOutput

    logits = output["prediction_logits" if "prediction_logits" in output else "logits"]
    return ModelOutput({**output, "logits": logits.reshape(*places, logits.shape[-1])})


@contextlib.contextmanager
def _hooked(*hooks: tuple[Any, Callable[..., Any]]) -> Iterator[None]:
    """While it lasts these see what these modules give."""
    handles = [module.register_forward_hook(hook) for module, hook in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def _computing(module: Any, forward: Callable[..., Any]) -> Iterator[None]:
    """While it lasts the module computes this."""
    own = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own


def _in_parts(
    last: Any, states: torch.Tensor, answers: torch.Tensor, after: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """The four outputs, float32 [places, 4], of states [places, width]."""

    def part(some: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return _measured(after(type(last).forward(last, some)), right)

    places = max(1, LARGEST // last.out_features)
    if len(answers) <= places or len(list(last.children())):  # of a wrapped layer each call would gather its parts
        return part(states, answers)
    parts = zip(states.split(places), answers.split(places), strict=True)
    return torch.cat([checkpoint(part, *one, use_reentrant=False, preserve_rng_state=False) for one in parts])


def _after(
    model: Any, body: Any, last: Any, output: Any, given: dict[str, Any]
) -> Callable[[torch.Tensor], torch.Tensor]:
    """What the family makes of the last layer's logits: nothing, a bias (Marian), a scale (Granite), a cap (Gemma)."""
    if model.config.is_encoder_decoder:
        bias = getattr(model, "final_logits_bias", None)
        return (lambda logits: logits) if bias is None else (lambda logits: logits + bias)
    names = {id(child): name for name, child in model.named_children()}
    if id(body) not in names or id(last) not in names or not reads_forwards(model):
        return lambda logits: logits

    def as_the_family(logits: torch.Tensor) -> torch.Tensor:
        # its parts only hand on what there is, so that no module is called; a sharded class is made in no other way
        shell: Any = object.__new__(type(model))
        shell.__dict__.update(model.__dict__)
        shell._modules = {**model._modules, names[id(body)]: _Gives(output), names[id(last)]: _Gives(logits[None])}
        after: torch.Tensor = type(model).forward(shell, **given).logits[0]
        return after

    return as_the_family


def reads_forwards(model: Any) -> bool:
    """Whether it is a causal language model, by the name of its class."""
    return type(model).__name__.endswith(("ForCausalLM", "LMHeadModel"))


class _Gives(nn.Module):
    """Gives this, whatever it is asked."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self.__dict__["output"] = output

    def forward(self, *_: Any, **__: Any) -> Any:
        return self.__dict__["output"]


def measured_of(logits: torch.Tensor, answers: torch.Tensor) -> dict[str, torch.Tensor]:
    """The four outputs by name, float32 [rows, places], of logits [rows, places, vocabulary]."""
    told = _measured(logits.reshape(-1, logits.shape[-1]), answers.reshape(-1)).view(*answers.shape, 4)
    return dict(zip((LOSSES, MEANS, HITS, LIKELIEST), told.unbind(dim=-1), strict=True))


def _measured(logits: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """The four outputs, float32 [places, 4], of logits [places, vocabulary]."""
    logits, there = logits.float(), answers != NONE
    total = logits.logsumexp(dim=-1)
    right = logits.gather(-1, answers.clamp(min=0)[:, None])[:, 0]
    likeliest = torch.zeros_like(answers) if torch.is_grad_enabled() else logits.argmax(dim=-1)
    hits = (likeliest == answers) & (not torch.is_grad_enabled())
    return torch.stack([total - right, total - logits.mean(dim=-1), hits, likeliest], dim=-1) * there[:, None]
