"""Writing with a model in this process: what it came with does not decide, and all of it is as before afterwards."""

import numpy as np
import pytest
import ranks_that_write as ranks
import torch

from launcher.training.model_parts.generate import generate
from launcher.training.model_parts.positions import of_decoder
from launcher.training.tasks.writing import left_padded


def inputs():
    return {name: torch.from_numpy(values) for name, values in left_padded(ranks.prompts(), 0).items()}


OTHERS = {"max_time": 1e-9, "stop_strings": ["x"], "penalty_alpha": 0.6, "top_k": 4, "prompt_lookup_num_tokens": 3}
OTHERS |= {"cache_implementation": "quantized", "guidance_scale": 1.5, "num_beams": 4, "do_sample": True}


def test_what_a_checkpoint_says_of_the_search_is_put_aside():
    model = ranks.model_of("llama")
    plain = generate(model, inputs(), ranks.WORDS, range(ranks.ROWS))
    for name, value in OTHERS.items():
        setattr(model.generation_config, name, value)
    own = model.generation_config
    assert torch.equal(generate(model, inputs(), ranks.WORDS, range(ranks.ROWS)), plain)
    assert model.generation_config is own and own.stop_strings == ["x"]


def test_what_it_says_of_its_tokens_counts():
    model = ranks.model_of("llama")
    first = generate(model, inputs(), ranks.WORDS, range(ranks.ROWS))[:, 0]
    model.generation_config.suppress_tokens = first.unique().tolist()
    assert not np.intersect1d(generate(model, inputs(), ranks.WORDS, range(ranks.ROWS)), first).size
    model.generation_config.eos_token_id, words = [int(first[0])], {**ranks.WORDS, "eos_token_id": None}
    model.generation_config.suppress_tokens = None
    assert generate(model, inputs(), words, range(ranks.ROWS))[0, 1:].unique().tolist() in ([], [0])


@pytest.mark.parametrize(("kind", "there"), [("bart", 32), ("joined", 32), ("t5", None), ("llama", None)])
def test_a_text_is_no_longer_than_the_decoder_has_positions(kind, there):
    model = ranks.model_of(kind)
    assert of_decoder(model.config) == there
    if there is not None:
        words = {**ranks.WORDS, "max_new_tokens": 99, "min_new_tokens": 99}
        written = generate(model, {name: values[:1] for name, values in inputs().items()}, words, [0])
        assert written.shape == (1, there - 1)


def test_positions_that_begin_behind_the_paddings_number():
    from transformers import EncoderDecoderConfig, LEDConfig, RobertaConfig

    one, other = RobertaConfig(max_position_embeddings=66), RobertaConfig(max_position_embeddings=34, pad_token_id=1)
    assert of_decoder(EncoderDecoderConfig.from_encoder_decoder_configs(one, other)) == 32
    assert of_decoder(LEDConfig(max_decoder_position_embeddings=40)) == 40
