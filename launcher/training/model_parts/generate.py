"""Writing texts with a model: transformers' own search, with a random stream of its own for each row.

A model in training is not as its family made it: its forward pass may answer in another way, and be compiled. While it
writes it is the family's own, in evaluation mode.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from launcher.runs import pulse
from launcher.training.model_parts.positions import of_decoder
from launcher.training.model_parts.sparse_table import base_of

OURS = ("seed", "do_sample", "temperature", "top_k", "top_p", "min_p")
"""Words of sampling, which is done here: transformers draws from torch's global stream."""
KEPT = (
    *("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"),
    *("forced_bos_token_id", "forced_eos_token_id", "suppress_tokens", "begin_suppress_tokens", "bad_words_ids"),
)
"""What of a checkpoint's generation_config.json counts: which tokens there are, not how texts are searched for. Others
need what is not there (`stop_strings` a tokenizer), or give texts that depend on the clock (`max_time`)."""
LEAST = 1e-30
"""Below any waiting time that is drawn: its logarithm is a number."""


def generate(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    words: Mapping[str, Any],
    numbers: Sequence[int],
    synced: bool = False,
    on_token: Callable[[Tensor], bool] | None = None,
) -> Tensor:
    """The tokens written for each row, int64 [rows, most], filled up with `pad_token_id` behind their end.

    `words` are GenerationConfig's (`Writes.limits`), `numbers` the rows' own, by which they draw. With `synced` each
    rank computes as long as any other does. `on_token` gets the tokens so far [rows, tokens] at each step, and ends the
    writing by True. The model is as before afterwards, its mode included.
    """
    from transformers import GenerationConfig

    config = {name: value for name, value in words.items() if name not in OURS}
    config |= {"do_sample": False, "use_cache": True, "return_dict_in_generate": False, "num_return_sequences": 1}
    own: Any = base_of(model).config
    most = of_decoder(own)
    if most is not None:
        config["max_new_tokens"] = min(config["max_new_tokens"], most - 1)  # it reads a token before them
    start = 0 if own.is_encoder_decoder else inputs["input_ids"].shape[1]
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), _as_its_family_made_it(model):
            whole = model.generate(  # type: ignore[operator]  # a PreTrainedModel, or what peft wraps it in
                **inputs,
                generation_config=GenerationConfig(**config),
                logits_processor=_drawing(words, numbers),
                stopping_criteria=_watching(on_token),
                synced_gpus=synced,
            )
    finally:
        model.train(training)
    tokens: Tensor = whole[:, start or 1 :]  # a decoder begins with a token of its own
    return tokens


@contextlib.contextmanager
def _as_its_family_made_it(model: nn.Module) -> Iterator[None]:
    """Without what we put on its forward pass (`word_place`): searches ask that of its arguments, and of its logits.

    And without the settings that it came with, but for `KEPT`.
    """
    from transformers import GenerationConfig

    base: Any = base_of(model)
    own = base.generation_config
    told = {name: getattr(own, name, None) for name in KEPT}
    base.generation_config = GenerationConfig(**{name: value for name, value in told.items() if value is not None})
    beat = base.register_forward_pre_hook(lambda *_: pulse.tick("writing"))
    aside = {part: part.__dict__.pop("forward") for part in {model, base} if "forward" in part.__dict__}
    compiled = {part: part._compiled_call_impl for part in {model, base} if part._compiled_call_impl is not None}
    for part in compiled:  # it would be compiled again for each length
        part._compiled_call_impl = None
    try:
        yield
    finally:
        beat.remove()
        base.generation_config = own
        for part, forward in aside.items():
            part.forward = forward
        for part, implementation in compiled.items():
            part._compiled_call_impl = implementation


def _drawing(words: Mapping[str, Any], numbers: Sequence[int]) -> Any:
    """What changes the scores [rows, vocabulary] where tokens are drawn; the highest one is taken afterwards."""
    from transformers import (
        LogitsProcessorList,
        MinPLogitsWarper,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    steps = LogitsProcessorList()
    if not words.get("do_sample"):
        return steps
    if words["temperature"] != 1.0:
        steps.append(TemperatureLogitsWarper(float(words["temperature"])))
    if words["top_k"]:
        steps.append(TopKLogitsWarper(top_k=words["top_k"]))
    if words["top_p"] < 1.0:
        steps.append(TopPLogitsWarper(top_p=float(words["top_p"])))
    if words["min_p"]:
        steps.append(MinPLogitsWarper(min_p=float(words["min_p"])))
    steps.append(Draws(int(words["seed"]), numbers))
    return steps


class Draws:
    """Adds Gumbel noise to log-probabilities: the highest sum is a draw by them (Gumbel 1954; Maddison et al. 2014).

    Each row's noise is a function of the seed and the row's number.
    """

    def __init__(self, seed: int, numbers: Sequence[int]):
        self.streams = [torch.Generator().manual_seed(hash_of(seed, int(number))) for number in numbers]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [rows, vocabulary] with noise."""
        vocabulary = scores.shape[1]
        waits = torch.stack([torch.empty(vocabulary).exponential_(generator=stream) for stream in self.streams])
        return scores.log_softmax(dim=-1) - waits.clamp(min=LEAST).log().to(scores.device)


def hash_of(seed: int, number: int) -> int:
    """A seed for one row, of 63 bits (the finaliser of SplitMix64, Steele et al. 2014)."""
    state = (seed << 32 ^ number) + 0x9E3779B97F4A7C15 & (1 << 64) - 1
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
    state = (state ^ state >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
    return (state ^ state >> 31) >> 1


def _watching(on_token: Callable[[Tensor], bool] | None) -> Any:
    """What is asked after each token."""
    from transformers import StoppingCriteria, StoppingCriteriaList

    class Watch(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            over = on_token is not None and on_token(input_ids)
            return torch.full((len(input_ids),), over, dtype=torch.bool, device=input_ids.device)

    return StoppingCriteriaList([Watch()] if on_token is not None else [])
