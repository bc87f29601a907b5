"""What fills up the shorter rows of a batch: a token that the model's table has a row for. The mask hides it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.training.model_parts.positions import OFFSET_POSITIONS

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast


def choose(tokenizer: PreTrainedTokenizerFast, rows: int | None, named: int | None) -> None:
    """Give a tokenizer without a padding token, or whose own lies beyond the model's `rows`, another one of its tokens:
    the one that the configuration has `named`, its end token, or whichever there is.
    """
    own = tokenizer.pad_token_id if tokenizer.pad_token is not None else None
    given = [own, named, tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.sep_token_id]
    for number in [*given, tokenizer.unk_token_id, 0]:
        if isinstance(number, int) and 0 <= number < (rows or len(tokenizer)):
            token = tokenizer.convert_ids_to_tokens(number)
            if token is not None:
                tokenizer.pad_token = token
                return


def name_in(config: PretrainedConfig, folder: Path) -> None:
    """Let a configuration name the tokenizer's padding where the model looks for it: decoders and encoder-decoders.

    An encoder that names one keeps it, for its positions may be counted from there. `folder` is what `build_tokenizer`
    filled, or a saved model's.
    """
    text = config.get_text_config()
    named = getattr(text, "pad_token_id", None)
    if named is not None and (text.model_type in OFFSET_POSITIONS or not _looked_for(config)):
        return
    padding_id = _padding_in(folder / "tokenizer" if (folder / "tokenizer").is_dir() else folder)
    rows = getattr(text, "vocab_size", None)
    if padding_id is not None and (rows is None or padding_id < rows):
        text.pad_token_id = padding_id


def _looked_for(config: PretrainedConfig) -> bool:
    from launcher.training.sources.pooling import reads_forwards

    return config.is_encoder_decoder or reads_forwards(config)


def _padding_in(folder: Path) -> int | None:
    path = folder / "tokenizer_config.json"
    return _padding_of(folder, path.stat().st_mtime_ns) if path.is_file() else None


@functools.lru_cache(maxsize=8)
def _padding_of(folder: Path, _: int) -> int | None:
    """Read once a process: vocabularies are large."""
    from launcher.training.sources import tokenizer_in

    padding_id: int | None = tokenizer_in(folder).pad_token_id
    return padding_id
