"""Chinese words as jieba finds them: its dictionary, and its hidden Markov model for words that it does not hold.

The dictionary is read when the first text is cut, once a process. jieba would keep what it read in a file of the
shared temporary folder and trust whoever wrote that file; here it is neither written nor read.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from launcher.json_files import read_json, write_json

if TYPE_CHECKING:
    from tokenizers import NormalizedString, PreTokenizedString
    from tokenizers.pre_tokenizers import PreTokenizer
    from transformers import PreTrainedTokenizerFast

CLASS = "JiebaTokenizer"
"""The tokenizer class that tokenizer_config.json names, so that `load` is used."""
ELSEWHERE = f"read_it_with_launcher_predict.{CLASS}"
"""Code that `AutoTokenizer` is made to look for in the folder, where there is none: it refuses, instead of silently
cutting at white space."""


def words(text: str) -> Iterator[tuple[str, int]]:
    """The words of a text, each with its offset; white space is none."""
    offset = 0
    for word in _dictionary().cut(text):
        if not word.isspace():
            yield word, offset
        offset += len(word)


def splitter(then: PreTokenizer) -> PreTokenizer:
    """Cut into words, and those as `then` says."""
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence([pre_tokenizers.PreTokenizer.custom(_Splitter()), then])


def name_it(folder: Path) -> None:
    """Record in the tokenizer saved in `folder` that it needs jieba."""
    path = folder / "tokenizer_config.json"
    write_json(path, {**read_json(path), "tokenizer_class": CLASS, "auto_map": {"AutoTokenizer": [None, ELSEWHERE]}})


def load(folder: Path) -> PreTrainedTokenizerFast:
    """The saved tokenizer, which cuts with jieba first: the library cannot write that part, Python's, into a file."""
    from transformers import PreTrainedTokenizerFast

    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    tokenizer.backend_tokenizer.pre_tokenizer = splitter(tokenizer.backend_tokenizer.pre_tokenizer)
    return tokenizer


class _Splitter:
    """The interface that the tokenizers library calls."""

    def pre_tokenize(self, text: PreTokenizedString) -> None:
        text.split(self._split)

    def _split(self, _: int, text: NormalizedString) -> list[NormalizedString]:
        pieces = (text[start : start + len(word)] for word, start in words(str(text)))
        return [cast("NormalizedString", piece) for piece in pieces]  # its type allows None, for outside


@functools.cache
def _dictionary() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba asks for pkg_resources, which is deprecated
        import jieba
    tokenizer = jieba.Tokenizer()
    tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    tokenizer.initialized = True
    return tokenizer
