"""The tokenizer of a pretrained model, fitted to what the model can take. Without torch where its class is plain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from launcher.errors import DataError, Problem
from launcher.json_files import write_json
from launcher.recipe.source import Pretrained
from launcher.recipe.task import PlainTask, answer_of, of_entities, template_of_chats
from launcher.training.sources import bodies, chat_template, entity_marks, heads, limits, padding
from launcher.training.sources.border import at_the_border
from launcher.training.sources.reference import source_folder
from launcher.training.sources.safe_folder import refuse_names_that_lead_away
from launcher.training.sources.static import vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

USUAL_LENGTH = 512
SHOWN = 4
"""New tokens whose start is told."""
# Model type and tokenizer class for which AutoTokenizer ends in that very class: no need to import torch.
_PLAIN_TOKENIZERS = {
    "bert": "BertTokenizer",
    "roberta": "RobertaTokenizer",
}


def build_tokenizer(embedding: Pretrained, task: PlainTask, folder: Path) -> int:
    """Save the model's own tokenizer; return the longest input in subword tokens.

    That is the least of what tokenizer and position table can hold and `max_length` (None: 512). The saved one pads
    with a token that the model has a row for, and gives token types only where the model distinguishes them.
    """
    source = source_folder(embedding.model)
    with at_the_border(embedding.model):
        refuse_names_that_lead_away(source, embedding.model)
        limits.refuse_foreign(source, embedding.model)
        plain = plain_tokenizer(Path(source)) is not None
        if (not plain and heads.HEADS[task.head].new) or embedding.decoder is not None:  # the plain ones have all heads
            heads.refuse_headless(bodies.own_config(embedding), embedding.model, task.head)
        tokenizer = _tokenizer(source, {})
        if answer_of(task) == "tags" and getattr(tokenizer, "add_prefix_space", None) is False:
            tokenizer = _tokenizer(source, {"add_prefix_space": True})  # byte-level ones cut words only this way
        can = limits.limits(source, plain_tokenizer(Path(source)) is not None)
    if not tokenizer.is_fast:
        what = f"{embedding.model} has no fast tokenizer, which alone can say where a token stands in its text"
        raise DataError(Problem(what, do="take a model with a tokenizer.json"))
    if embedding.decoder is not None:
        _refuse_other_tokenizer(embedding, embedding.decoder, tokenizer)
    padding.choose(tokenizer, can.rows, can.padding)
    tokenizer.padding_side = "left" if can.reads_last_position else "right"  # for users of it elsewhere
    if can.token_types < 2:
        names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
        tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = names
    if of_entities(task):
        entity_marks.choose(tokenizer, embedding.model)
    added = _add(tokenizer, embedding)
    if answer_of(task) == "messages":
        chat_template.choose(tokenizer, template_of_chats(task))
    tokenizer.save_pretrained(folder / "tokenizer")
    if added:
        write_json(folder / "tokenizer" / "new_tokens.json", added)  # `model_parts.grown_table` reads it
        write_json(folder / vocabulary.TOLD, {vocabulary.LINES: _told(tokenizer, added)})
    lengths = (embedding.max_length or USUAL_LENGTH, tokenizer.model_max_length, can.positions)
    return min(length for length in lengths if length is not None)


def _add(tokenizer: PreTrainedTokenizerFast, embedding: Pretrained) -> dict[str, Any]:
    """Add the recipe's new tokens: the number of the first, how many, and of which pieces each row starts as the mean.

    Raises DataError for those that are there.
    """
    there, tokens = tokenizer.get_vocab(), list(embedding.new_tokens)
    wrong = [token for token in tokens if token in there or not token.strip()]
    if wrong or len(set(tokens)) < len(tokens):
        named = ", ".join(map(repr, wrong)) or "one that is named twice"
        what = f"new_tokens must be new to the tokenizer of {embedding.model}: not {named}"
        raise DataError(Problem(what, "embedding.new_tokens", "leave out what it has"))
    if not tokens:
        return {}
    described = embedding.new_tokens if isinstance(embedding.new_tokens, dict) else {}
    texts = [described.get(token) or token for token in tokens]
    unknown = tokenizer.unk_token_id
    cut = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    pieces = [[number for number in numbers if number != unknown] for numbers in cut]
    first = 1 + max(there.values())
    tokenizer.add_tokens(tokens)
    numbers = tokenizer.convert_tokens_to_ids(tokens)
    assert numbers == list(range(first, first + len(tokens))), "new tokens follow those that there are"
    return {"first": first, "count": len(tokens), "pieces": pieces}


def _told(tokenizer: PreTrainedTokenizerFast, added: dict[str, Any]) -> list[str]:
    """How the rows of the first new tokens start, in a sentence."""
    told = []
    for number, pieces in zip(range(added["first"], added["first"] + SHOWN), added["pieces"], strict=False):
        start = " ".join(tokenizer.convert_ids_to_tokens(pieces)) or "all rows, as none of its pieces is known"
        told.append(f"{tokenizer.convert_ids_to_tokens(number)} = {start}")
    more = ", …" if added["count"] > SHOWN else ""
    return [f"new tokens: {added['count']:,}, whose rows start as the mean of: {'; '.join(told)}{more}"]


def plain_tokenizer(folder: Path) -> str | None:
    """The class that AutoTokenizer would take for this folder, where that is beyond doubt."""
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError):
        return None
    plain = _PLAIN_TOKENIZERS.get(kind)
    written = str(settings.get("tokenizer_class")).removesuffix("Fast")
    return plain if plain == written and "auto_map" not in settings else None


def _refuse_other_tokenizer(embedding: Pretrained, decoder: str, tokenizer: PreTrainedTokenizerFast) -> None:
    """Raise DataError where the model that becomes a decoder numbers its tokens otherwise than the first."""
    with at_the_border(decoder):
        one, other = tokenizer.get_vocab(), _tokenizer(source_folder(decoder), {}).get_vocab()
    if one != other:
        token = min(token for token in one.keys() | other.keys() if one.get(token) != other.get(token))
        what = f"{decoder} has another tokenizer than {embedding.model}: {token!r} is another token to it"
        raise DataError(Problem(what, "embedding.decoder", "take two models with the same one, or one model twice"))


def _tokenizer(source: str, options: dict[str, Any]) -> PreTrainedTokenizerFast:
    import transformers

    plain = plain_tokenizer(Path(source))
    tokenizer_class = getattr(transformers, plain or "AutoTokenizer")
    safe = {} if plain else {"trust_remote_code": False}
    return tokenizer_class.from_pretrained(source, **safe, **options)  # type: ignore[no-any-return]  # from getattr
