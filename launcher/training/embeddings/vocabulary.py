"""The tokenizer of static sources: one id for each word or character, the frequent ones first.

Rows 0 and 1 of every table are `[PAD]` and `[UNK]`. Counting cuts texts with the very normalizer and
pre-tokenizer that the saved tokenizer uses, so what was counted is what is looked up. No torch here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.spec.embedding import Static
from launcher.spec.task import PlainTask, TokenClassification, Tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PAD, UNKNOWN = "[PAD]", "[UNK]"
SPECIAL = (PAD, UNKNOWN)
FOLDER = "tokenizer"


def tokens_of(embedding: Static, task: PlainTask) -> Tokens:
    """How texts are cut: as the source says, else as a token task says, else into words."""
    if embedding.tokens is not None:
        return embedding.tokens
    return task.tokens if isinstance(task, TokenClassification) else "words"


def make_tokenizer(vocabulary: Iterable[str], tokens: Tokens, lowercase: bool) -> Tokenizer:
    """A word-level tokenizer: ids in the order of `vocabulary`, after the two special ones."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    ids = {token: number for number, token in enumerate([*SPECIAL, *vocabulary])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    words = pre_tokenizers.WhitespaceSplit()
    characters = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, characters]) if tokens == "characters" else words
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer


def cut(tokenizer: Tokenizer, sentences: Iterable[str | tuple[str, ...]]) -> Iterator[list[str]]:
    """Each sentence as the tokens that are looked up; the pieces of a tuple are cut one by one."""
    normalizer, splitter = tokenizer.normalizer, tokenizer.pre_tokenizer
    for sentence in sentences:
        pieces = (sentence,) if isinstance(sentence, str) else sentence
        if normalizer is not None:
            pieces = tuple(normalizer.normalize_str(piece) for piece in pieces)
        yield [token for piece in pieces for token, _ in splitter.pre_tokenize_str(piece)]


def ranked(counts: Counter[str], minimum: int = 1) -> list[str]:
    """The tokens seen at least `minimum` times, by falling count, then by code point."""
    kept = [token for token, count in counts.items() if count >= minimum and token not in SPECIAL]
    return sorted(kept, key=lambda token: (-counts[token], token))


def count(lines: Iterable[list[str]]) -> Counter[str]:
    """How often each token occurs."""
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(line)
    return counts


def save_tokenizer(tokenizer: Tokenizer, max_length: int, folder: Path) -> None:
    """Save it to folder/`tokenizer` as transformers' fast tokenizer, which `AutoTokenizer` loads."""
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        model_max_length=max_length,
        padding_side="right",
        model_input_names=["input_ids", "attention_mask"],
    )
    fast.save_pretrained(folder / FOLDER)


def vocabulary_size(folder: Path) -> int:
    """Rows of the table that folder/`tokenizer` needs."""
    from tokenizers import Tokenizer

    return int(Tokenizer.from_file(str(folder / FOLDER / "tokenizer.json")).get_vocab_size(with_added_tokens=True))
