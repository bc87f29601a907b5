"""Chinese words as jieba finds them: its dictionary, and its hidden Markov model for words that it does not hold.

The dictionary is read when the first text is cut, once a process. jieba would keep what it read in a file of the
shared temporary folder and believe whoever wrote that file; here it is neither written nor read.
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
"""What tokenizer_config.json names, so that `load` is asked."""
ELSEWHERE = f"read_it_with_launcher_predict.{CLASS}"
"""Code that `AutoTokenizer` is told to look for in the folder, where there is none: it refuses, instead of cutting at
white space and saying nothing."""


def words(text: str) -> Iterator[tuple[str, int]]:
    """The words of a text, each with its offset; white space is none."""
    place = 0
    for word in _dictionary().cut(text):
        if not word.isspace():
            yield word, place
        place += len(word)


def splitter(then: PreTokenizer) -> PreTokenizer:
    """Cut into words, and those as `then` says."""
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence([pre_tokenizers.PreTokenizer.custom(_Splitter()), then])


def name_it(folder: Path) -> None:
    """Let the tokenizer that was saved in `folder` say that it needs jieba."""
    path = folder / "tokenizer_config.json"
    write_json(path, {**read_json(path), "tokenizer_class": CLASS, "auto_map": {"AutoTokenizer": [None, ELSEWHERE]}})


def load(folder: Path) -> PreTrainedTokenizerFast:
    """The saved tokenizer, which cuts with jieba first: the library cannot write that part, Python's, into a file."""
    from transformers import PreTrainedTokenizerFast

    found: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    found.backend_tokenizer.pre_tokenizer = splitter(found.backend_tokenizer.pre_tokenizer)
    return found


class _Splitter:
    """What the tokenizers library asks for."""

    def pre_tokenize(self, text: PreTokenizedString) -> None:
        text.split(self._split)

    def _split(self, _: int, text: NormalizedString) -> list[NormalizedString]:
        pieces = (text[start : start + len(word)] for word, start in words(str(text)))
        return [cast("NormalizedString", piece) for piece in pieces]  # None would lie outside the text


@functools.cache
def _dictionary() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # jieba asks for pkg_resources, which is deprecated
        import jieba
    found = jieba.Tokenizer()
    found.FREQ, found.total = found.gen_pfdict(found.get_dict_file())
    found.initialized = True
    return found
