"""How a raw text is cut where no subword tokenizer does it: the part that the saved tokenizer keeps in its own file.

`words` are what published vectors of English were made from, as far as a pattern can tell (the Penn Treebank's way):
punctuation stands apart, `don't` is `do` and `n't`, `it's` is `it` and `'s`, while `3.5`, `U.S.`, `so-called` and
`O'Neill` stay whole. `whitespace` is fastText's own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.recipe.declared import Tokens
from launcher.training.data import jieba_words

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer

LETTER = r"[\p{L}\p{M}\p{N}_]"
ENDING = rf"['’](?i:s|re|ve|ll|d|m)(?!{LETTER})"
"""Contracted forms: is, are, have, will, would, am."""
NOT = rf"(?i:n['’]t)(?!{LETTER})"
INNER = rf"(?:-|(?!{ENDING})['’]|(?<=\p{{N}})[.,:/](?=\p{{N}}))"
"""What may occur inside a word."""
WORD = "|".join(
    (
        r"(?:\p{L}\.){2,}",
        NOT,
        rf"{LETTER}+(?={NOT})",
        rf"{LETTER}+(?:{INNER}{LETTER}+)*",
        ENDING,
        r"\.{2,}",
        r"-{2,}",
        r"\X",
    )
)
"""One word, or one mark of punctuation (Oniguruma, as the tokenizers library reads it)."""


def pieces(text: str, tokens: Tokens) -> list[tuple[str, int]]:
    """The words or characters of a raw text, each with its offset."""
    if tokens == "jieba":
        return list(jieba_words.words(text))
    return [(word, start) for word, (start, _) in splitter(tokens).pre_tokenize_str(text)]


def patterns(tokens: Tokens) -> list[str]:
    """What cuts so once a text was cut at white space; each match is a token by itself."""
    return {"words": [WORD], "characters": ["."]}.get(tokens, [])


def splitter(tokens: Tokens) -> PreTokenizer:
    """What cuts so. For `jieba` only what comes after it: the library cannot keep Python's part (see `jieba_words`)."""
    from tokenizers import Regex, pre_tokenizers

    parts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns(tokens)]
    spaces = pre_tokenizers.WhitespaceSplit()
    return pre_tokenizers.Sequence([spaces, *parts]) if parts else spaces
