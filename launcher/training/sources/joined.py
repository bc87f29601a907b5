"""An encoder-decoder of two pretrained encoders: the second one becomes the decoder.

It keeps its weights, reads forwards, and gets a head for words and layers that look at what the encoder has read: what
of these its files lack is drawn (Rothe et al. 2020, arXiv 1907.12461).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import DataError, Problem
from launcher.recipe.source import Pretrained
from launcher.training.model_parts.word_place import POOLER
from launcher.training.sources.border import at_the_border, quiet
from launcher.training.sources.reference import source_folder

if TYPE_CHECKING:
    from transformers import EncoderDecoderConfig, PretrainedConfig, PreTrainedModel

BETWEEN = "enc_to_dec_proj."
"""What stands between two models of different widths."""


def joined_config(embedding: Pretrained) -> EncoderDecoderConfig:
    """The configuration of both. Raises DataError where the second model cannot be a decoder."""
    from transformers import AutoConfig, EncoderDecoderConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as SAY_WORDS

    configs, names = [], (embedding.model, str(embedding.decoder))
    for name in names:
        with at_the_border(name):
            configs.append(AutoConfig.from_pretrained(source_folder(name), trust_remote_code=False))
    encoder, decoder = configs
    for config, name in zip(configs, names, strict=True):
        if config.is_encoder_decoder:
            what = f"{name} is an encoder-decoder already"
            raise DataError(Problem(what, "embedding.decoder", "name it as model, and leave decoder out"))
    if decoder.model_type not in SAY_WORDS or not hasattr(decoder, "add_cross_attention"):
        what = f"{embedding.decoder} is of the kind {decoder.model_type!r}, which cannot become a decoder"
        raise DataError(Problem(what, "embedding.decoder", "take a BERT, RoBERTa, ELECTRA or the like"))
    decoder.is_decoder = decoder.add_cross_attention = True
    encoder.is_decoder = encoder.add_cross_attention = False
    joined: Any = EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    return joined  # type: ignore[no-any-return]  # transformers types it as any configuration


def joined_model(embedding: Pretrained, config: EncoderDecoderConfig) -> tuple[PreTrainedModel, list[str]]:
    """Both models in float32 as one, and the names of the tensors that no file filled."""
    from transformers import AutoModel, AutoModelForCausalLM, EncoderDecoderModel

    encoder, lacking = _loaded(AutoModel, embedding.model, config.encoder)
    decoder, drawn = _loaded(AutoModelForCausalLM, str(embedding.decoder), config.decoder)
    if body := [name for name in lacking if "pooler" not in name]:
        what = f"{embedding.model}: the weights do not fit the model's config.json; {len(body)} tensors are missing"
        raise DataError(Problem(f"{what}, the first {body[0]}", do="take a whole model"))
    with quiet():
        model = EncoderDecoderModel(encoder=encoder, decoder=decoder, config=config)
    own = [name for name, _ in model.named_parameters() if name.startswith(BETWEEN)]
    return model, _apart(model, [*(f"decoder.{name}" for name in drawn), *own])


def lacking_in_both(model: PreTrainedModel, encoder: set[str], decoder: set[str]) -> list[str]:
    """The model's tensors that neither has, by the names in their files."""
    bodies = [f"{getattr(part, 'base_model_prefix', '')}." for part in (model.encoder, model.decoder)]
    there = {f"encoder.{name.removeprefix(bodies[0])}" for name in encoder}
    for name in decoder:
        there |= {f"decoder.{name}", f"decoder.{bodies[1]}{name.removeprefix(bodies[1])}"}
    lacking = [name for name, _ in model.named_parameters() if name not in there and not name.startswith(POOLER + ".")]
    return _apart(model, lacking)


def _apart(model: PreTrainedModel, names: list[str]) -> list[str]:
    """Without a bias over the vocabulary: its module holds the last layer, which is the table of tokens, too."""
    last = model.get_output_embeddings()
    holding = next(name for name, module in model.named_modules() if module is last) + "."
    return [name for name in names if not holding.startswith(name.rpartition(".")[0] + ".")]


def name_tokens(config: PretrainedConfig, folder: Path) -> None:
    """Let the configuration of an encoder-decoder name the tokens that a text begins and ends with, where it does not.

    `folder` is what `build_tokenizer` filled, or a saved model's.
    """
    from launcher.training.sources import tokenizer_in

    if not config.is_encoder_decoder or getattr(config, "decoder_start_token_id", None) is not None:
        return
    place = folder / "tokenizer" if (folder / "tokenizer").is_dir() else folder
    if not (place / "tokenizer_config.json").is_file():
        return
    tokenizer = tokenizer_in(place)
    begins = (tokenizer.bos_token_id, tokenizer.cls_token_id, tokenizer.pad_token_id)
    ends = (tokenizer.eos_token_id, tokenizer.sep_token_id)
    config.decoder_start_token_id = next((number for number in begins if number is not None), 0)
    config.eos_token_id = next((number for number in ends if number is not None), None)
    config.pad_token_id = tokenizer.pad_token_id


def _loaded(auto_class: Any, name: str, config: Any) -> tuple[PreTrainedModel, list[str]]:
    import torch

    with at_the_border(name), quiet():
        model, info = auto_class.from_pretrained(
            source_folder(name),
            config=config,
            dtype=torch.float32,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    return model, sorted(info["missing_keys"])
