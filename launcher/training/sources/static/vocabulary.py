"""The tokenizer of static sources: one id for each word or character, the frequent ones first.

Rows 0 and 1 of every table are `[PAD]` and `[UNK]`. Counting cuts texts with the very normalizer and
pre-tokenizer that the saved tokenizer uses, so what was counted is what is looked up. No torch here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.json_files import read_json, write_json
from launcher.recipe.declared import Tokens
from launcher.recipe.source import Static, tokens_of
from launcher.recipe.task import PlainTask, answer_of
from launcher.training.data import jieba_words, scripts, word_splitting
from launcher.training.sources.static import stop_words

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.pre_tokenizers import PreTokenizer
    from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN = "[PAD]", "[UNK]"
SPECIAL = (PAD, UNKNOWN)
FOLDER = "tokenizer"
TOLD = "source.json"
LINES = "lines"
"""The one name in it that is of no count."""
TYPES = "token_type_ids"


class Words:
    """Texts as the tokens of this source and task, counted while they pass."""

    def __init__(self, embedding: Static, task: PlainTask) -> None:
        self.embedding, self.task, self.tokens = embedding, task, tokens_of(embedding, task)
        self.of_texts = answer_of(task) != "tags"
        if not self.of_texts and self.tokens != "characters":
            self.tokens = "whitespace"  # the rows of a token task are cut already, and `predict` cuts before it asks
        self.stopped = stop_words.of(embedding)
        self.counts: Counter[str] = Counter()
        """Of each token that is looked up."""
        self.pairs = False
        """Whether the texts passed two and two."""
        self.end: str | None = None
        """What the tokenizer puts behind every text."""

    def cut(self, sentences: Iterable[str | tuple[str, ...]]) -> Iterator[list[str]]:
        """Each sentence as its tokens; the pieces of a tuple (tokens of a row, two texts) are cut one by one."""
        for pieces, splitter in self._pieces(sentences):
            tokens = [token for piece in pieces for token, _ in splitter.pre_tokenize_str(piece)]
            self.counts.update(tokens)
            yield [token for token in tokens if token not in self.stopped]

    def placed(self, sentences: Iterable[str | tuple[str, ...]]) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
        """Each sentence as one text, and its tokens with where they start and end in it. Nothing is counted."""
        for pieces, splitter in self._pieces(sentences):
            text, tokens = "", list[tuple[str, int, int]]()
            for piece in pieces:
                text += " " if text and piece and not scripts.joins(text[-1], piece[0]) else ""
                cut = splitter.pre_tokenize_str(piece)
                tokens += [(token, len(text) + start, len(text) + end) for token, (start, end) in cut]
                text += piece
            yield text, tokens

    def _pieces(self, sentences: Iterable[str | tuple[str, ...]]) -> Iterator[tuple[tuple[str, ...], PreTokenizer]]:
        """The parts of each sentence as they are looked up, and what cuts them."""
        cutter = make_tokenizer((), self.tokens, self.embedding.lowercase)
        normalizer, splitter = cutter.normalizer, cutter.pre_tokenizer
        if self.tokens == "jieba":
            splitter = jieba_words.splitter(splitter)
        for sentence in sentences:
            pieces = (sentence,) if isinstance(sentence, str) else sentence
            self.pairs = self.of_texts and not isinstance(sentence, str)
            if normalizer is not None:
                pieces = tuple(normalizer.normalize_str(piece) for piece in pieces)
            yield pieces, splitter

    def count(self, sentences: Iterable[str | tuple[str, ...]]) -> None:
        """Cut and count them all."""
        for _ in self.cut(sentences):
            pass

    def known(self, least: int | None = None) -> list[str]:
        """The tokens that get a row: seen often enough (or `least` times), by falling count, then by code point."""
        least, counts = self.embedding.minimum_count if least is None else least, self.counts
        without = self.stopped.union(SPECIAL)
        kept = [token for token, count in counts.items() if count >= least and token not in without]
        return sorted(kept, key=lambda token: (-counts[token], token))

    def save(
        self, known: list[str], folder: Path, told: Mapping[str, int] | None = None, lines: Sequence[str] = ()
    ) -> int:
        """Save the tokenizer, and what is `told` of the source (counts, and `lines`); the longest input in tokens."""
        from transformers import PreTrainedTokenizerFast

        fast = PreTrainedTokenizerFast(
            tokenizer_object=make_tokenizer(known, self.tokens, self.embedding.lowercase, self.stopped, self.end),
            pad_token=PAD,
            unk_token=UNKNOWN,
            model_max_length=self.embedding.max_length,
            padding_side="right",
            model_input_names=["input_ids", *([TYPES] if self.pairs else []), "attention_mask"],
        )
        fast.save_pretrained(folder / FOLDER)
        if self.tokens == "jieba":
            jieba_words.name_it(folder / FOLDER)
        left_out = {"stop_words_left_out": sum(self.counts[word] for word in self.stopped)} if self.stopped else {}
        write_json(folder / TOLD, {**(told or {}), **left_out, **({LINES: list(lines)} if lines else {})})
        return self.embedding.max_length


def make_tokenizer(
    vocabulary: Iterable[str],
    tokens: Tokens,
    lowercase: bool,
    stopped: frozenset[str] = frozenset(),
    end: str | None = None,
) -> Tokenizer:
    """A word-level tokenizer: ids in the order of `vocabulary`, after the two special ones. `end` follows each text."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    ids = {token: number for number, token in enumerate([*SPECIAL, *vocabulary])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    splitter = word_splitting.splitter(tokens)
    if stopped:
        left_out = pre_tokenizers.Split(Regex(stop_words.pattern(stopped)), "removed")
        splitter = pre_tokenizers.Sequence([splitter, left_out])
    tokenizer.pre_tokenizer = splitter
    if lowercase:
        tokenizer.normalizer = normalizers.Lowercase()
    if end is not None:
        tokenizer.post_processor = processors.TemplateProcessing(f"$A {end}", special_tokens=[(end, ids[end])])
    return tokenizer


def of_pairs(folder: Path) -> bool:
    """Whether folder/`tokenizer` was built for pairs of texts, which it tells apart for the model."""
    return TYPES in read_json(folder / FOLDER / "tokenizer_config.json")["model_input_names"]


def told_of(folder: Path) -> dict[str, int]:
    """What a source counted while its tokenizer was built; nothing for a pretrained model."""
    return {name: count for name, count in (read_json(folder / TOLD) or {}).items() if name != LINES}


def lines_of(folder: Path) -> list[str]:
    """What it told besides."""
    return list((read_json(folder / TOLD) or {}).get(LINES, ()))


def vocabulary_size(folder: Path) -> int:
    """Rows of the table that folder/`tokenizer` needs."""
    from tokenizers import Tokenizer

    return int(Tokenizer.from_file(str(folder / FOLDER / "tokenizer.json")).get_vocab_size(with_added_tokens=True))


def tokens_in(folder: Path) -> list[str]:
    """The tokens of folder/`tokenizer` in the order of their numbers."""
    from tokenizers import Tokenizer

    numbers = Tokenizer.from_file(str(folder / FOLDER / "tokenizer.json")).get_vocab()
    return sorted(numbers, key=lambda token: numbers[token])


def new_tokens(known: Iterable[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """The tokens of these texts that are not known, in the order in which they come."""
    left_out = {*SPECIAL, *known}
    return [token for token in dict.fromkeys(chain.from_iterable(lines)) if token not in left_out]


def learn(tokenizer: PreTrainedTokenizerFast, sentences: Iterable[str | tuple[str, ...]]) -> list[str]:
    """Give tokens of these texts that the tokenizer does not know the next numbers; name them in this order."""
    from tokenizers import models

    backend = tokenizer.backend_tokenizer
    normalizer, splitter = backend.normalizer, backend.pre_tokenizer

    def cut(sentence: str | tuple[str, ...]) -> Iterator[str]:
        for piece in (sentence,) if isinstance(sentence, str) else sentence:
            whole = piece if normalizer is None else normalizer.normalize_str(piece)
            yield from (token for token, _ in splitter.pre_tokenize_str(whole))

    tokens = dict.fromkeys(chain.from_iterable(map(cut, sentences)))
    new = [token for token in tokens if token not in SPECIAL and backend.token_to_id(token) is None]
    if new:
        numbers = backend.get_vocab()
        numbers |= {token: number for number, token in enumerate(new, len(numbers))}
        backend.model = models.WordLevel(numbers, unk_token=UNKNOWN)
    return new
