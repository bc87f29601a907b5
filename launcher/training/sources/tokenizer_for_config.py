"""The tokenizer of a model that is drawn from a configuration: trained on the corpus, or another model's.

The model's table gets a row for each of its tokens, and the configuration the numbers of those with a meaning: where a
text begins and ends, what fills up short rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from launcher.errors import DataError, Problem
from launcher.recipe.source import FromConfig, TrainedTokenizer
from launcher.recipe.task import PlainTask, answer_of, of_entities, template_of_chats
from launcher.training.sources import chat_template, entity_marks, limits, padding
from launcher.training.sources.bodies import name_of, own_config
from launcher.training.sources.border import at_the_border
from launcher.training.sources.reference import source_folder
from launcher.training.sources.safe_folder import refuse_names_that_lead_away

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast

    from launcher.training.sources import Sentence

USUAL_LENGTH = 512
BY_TOKENIZER = ("pad_token_id", "bos_token_id", "eos_token_id")
TWO_KINDS = frozenset({"bert", "electra", "roformer"})
"""Kinds of models that tell the two texts of a pair apart."""


class _Signs(NamedTuple):
    """The tokens with a meaning of their own, and how a text and a pair are put between them."""

    names: dict[str, str]
    single: str | None
    pair: str | None


BERT = _Signs(
    {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
    "[CLS] $A [SEP]",
    "[CLS] $A [SEP] $B:1 [SEP]:1",
)
NAMES = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>"}
FORWARDS = _Signs(NAMES, None, None)
"""Of a model that reads forwards: nothing is put around a text; its task adds the end where there is one."""
BOTH_WAYS = _Signs({**NAMES, "cls_token": "<s>", "sep_token": "</s>"}, "<s> $A </s>", "<s> $A </s> $B </s>")
IN_AND_OUT = _Signs(NAMES, "$A </s>", "$A </s> $B </s>")


def save(embedding: FromConfig, task: PlainTask, sentences: Iterable[Sentence], folder: Path) -> int:
    """Save it to folder/`tokenizer`; return the longest input in tokens. Raises DataError where it cannot be had."""
    config, talks = own_config(embedding), answer_of(task) == "messages"
    if isinstance(embedding.tokenizer, TrainedTokenizer):
        also = [chat_template.WORDS] if talks else []
        tokenizer = _trained(embedding.tokenizer, config, itertools.chain(sentences, also))
    else:
        tokenizer = _taken(str(embedding.tokenizer))
    padding.choose(tokenizer, None, None)
    tokenizer.padding_side = "right"
    if of_entities(task):
        entity_marks.choose(tokenizer, name_of(embedding))
    if talks:
        chat_template.choose(tokenizer, template_of_chats(task))
    tokenizer.save_pretrained(folder / "tokenizer")
    drawn_config(embedding, folder)  # refused now where the two do not go together
    can = limits.Limits.of({**config.to_dict(), "model_type": config.model_type})
    lengths = (embedding.max_length or USUAL_LENGTH, tokenizer.model_max_length, can.positions)
    return min(int(length) for length in lengths if length is not None)


def drawn_config(embedding: FromConfig, folder: Path) -> PretrainedConfig:
    """The configuration with what the tokenizer in `folder` decides, if it has one; images have none.

    Raises DataError where it names fewer rows than there are tokens.
    """
    from launcher.training.sources import load_tokenizer
    from launcher.training.sources.bodies import given_values

    config = own_config(embedding)
    if embedding.tokenizer is None:
        return config
    tokenizer, given = load_tokenizer(folder), given_values(embedding)
    text, tokens = config.get_text_config(), len(tokenizer)
    if "vocab_size" in given and text.vocab_size < tokens:
        what = f"the configuration has {text.vocab_size:,} rows for tokens, and the tokenizer {tokens:,} tokens"
        raise DataError(Problem(what, "embedding.config", "leave vocab_size out: it is then as many as there are"))
    if "vocab_size" not in given:
        text.vocab_size = config.vocab_size = tokens
    for name in BY_TOKENIZER:
        if name not in given and (number := getattr(tokenizer, name)) is not None:
            setattr(text, name, number)
            setattr(config, name, number)
    if config.is_encoder_decoder and "decoder_start_token_id" not in given:
        config.decoder_start_token_id = tokenizer.pad_token_id if config.model_type in T5 else _begin(tokenizer)
    return config


T5 = frozenset({"t5", "mt5", "umt5", "longt5", "marian", "pegasus"})
"""Kinds of models whose decoder begins with padding."""


def _begin(tokenizer: PreTrainedTokenizerFast) -> int | None:
    numbers = (tokenizer.bos_token_id, tokenizer.cls_token_id, tokenizer.pad_token_id)
    return next((number for number in numbers if number is not None), None)


def _taken(name: str) -> PreTrainedTokenizerFast:
    """Another model's."""
    import transformers

    with at_the_border(name):
        source = source_folder(name)
        refuse_names_that_lead_away(source, name)
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise DataError(Problem(f"{name} has no fast tokenizer", do="take one with a tokenizer.json"))
    made: PreTrainedTokenizerFast = tokenizer
    return made


def _trained(
    noun: TrainedTokenizer, config: PretrainedConfig, sentences: Iterable[Sentence]
) -> PreTrainedTokenizerFast:
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    signs = _signs(noun, config)
    special = list(dict.fromkeys(signs.names.values()))
    tokenizer, trainer = _untrained(noun, special, signs.names["unk_token"])
    characters = set[str]()
    try:
        tokenizer.train_from_iterator(_texts(sentences, characters), trainer)
    except Exception as error:  # tokenizers raises nothing more special
        if "not large enough to contain all chars" not in str(error):
            raise
        raise DataError(_too_few(noun, len(characters) + len(special))) from None
    numbers = [(token, tokenizer.token_to_id(token)) for token in special]
    if signs.single is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=signs.single, pair=signs.pair, special_tokens=numbers
        )
    inputs = ["input_ids", "attention_mask"]
    if config.model_type in TWO_KINDS:
        inputs.insert(1, "token_type_ids")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **signs.names)


def _signs(noun: TrainedTokenizer, config: PretrainedConfig) -> _Signs:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CONTINUE
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as FILL

    if config.is_encoder_decoder:
        return IN_AND_OUT
    if config.model_type in CONTINUE and config.model_type not in FILL:
        return FORWARDS
    return BERT if noun.pieces == "wordpiece" else BOTH_WAYS


def _untrained(noun: TrainedTokenizer, special: list[str], unknown: str) -> tuple[Any, Any]:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    if noun.pieces == "bytes":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer: Any = trainers.BpeTrainer(
            vocab_size=noun.tokens, special_tokens=special, initial_alphabet=letters, show_progress=False
        )
    elif noun.pieces == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=noun.tokens, special_tokens=special, unk_token=unknown, show_progress=False
        )
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token=unknown))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=noun.tokens, special_tokens=special, show_progress=False)
    if noun.pieces == "wordpiece":
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=noun.lowercase)
    elif noun.lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer, trainer


def _too_few(noun: TrainedTokenizer, least: int) -> Problem:
    what = (
        f"{noun.tokens:,} tokens are too few: as unigram pieces each of the texts' characters is one, {least:,} in all"
    )
    do = f"raise it to {least + least // 4:,} or more, or use pieces='bytes', which need none of a character's own"
    return Problem(what, "embedding.tokenizer.tokens", do)


def _texts(sentences: Iterable[Sentence], characters: set[str]) -> Iterator[str]:
    """One by one; the words of a sentence that is cut already with a space between them. Notes their characters."""
    for sentence in sentences:
        text = sentence if isinstance(sentence, str) else " ".join(sentence)
        characters.update(text)
        yield text
