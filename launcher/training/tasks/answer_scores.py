"""Exact match and F1 of an answer, as the official scripts define them.

    squad   SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018): lower case, without ASCII punctuation and English articles;
            F1 over the bag of words between white space. Where one side has no words, both must have none.
    cmrc    CMRC 2018 (Cui et al. 2019): lower case, without a fixed list of marks; one segment for a Chinese character,
            the rest cut into words as NLTK cuts them; F1 from the longest common run of segments.

Of several right answers the best counts. A question without a right answer is right where none is given.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np

Definition = Literal["squad", "cmrc"]
ARTICLES = re.compile(r"\b(a|an|the)\b")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
CHINESE = re.compile("[\u4e00-\u9fa5]")
MARKS = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
"""What CMRC's script leaves out of an answer. Its list also has `……`, two characters, which no character equals."""


class Score(NamedTuple):
    """Of one answer, from 0 to 1."""

    exact_match: float
    f1: float


def scored(answer: str, right: Sequence[str], definition: Definition) -> Score:
    """The better of the answer's scores against each right one; '' is no answer, and so are no right ones."""
    one: Callable[[str, str], Score] = _squad if definition == "squad" else _cmrc
    if definition == "squad":
        right = [text for text in right if _bare(text)]
    scores = [one(answer, text) for text in right or [""]]
    return Score(max(score.exact_match for score in scores), max(score.f1 for score in scores))


def _squad(answer: str, right: str) -> Score:
    given, wanted = _bare(answer), _bare(right)
    exact = float(given == wanted)
    if not given or not wanted:
        return Score(exact, exact)
    words, others = given.split(), wanted.split()
    return Score(exact, _f1(sum((Counter(words) & Counter(others)).values()), len(words), len(others)))


def _bare(text: str) -> str:
    return " ".join(ARTICLES.sub(" ", text.lower().translate(NO_PUNCTUATION)).split())


def _cmrc(answer: str, right: str) -> Score:
    given, wanted = answer.lower().strip(), right.lower().strip()
    exact = float(_without_marks(given) == _without_marks(wanted))
    if not given or not wanted:
        return Score(exact, exact)
    one, other = segments(given), segments(wanted)
    common = SequenceMatcher(None, one, other, autojunk=False).find_longest_match().size
    return Score(exact, _f1(common, len(one), len(other)))


def _without_marks(text: str) -> str:
    return "".join(character for character in text if character not in MARKS)


def segments(text: str) -> list[str]:
    """CMRC's mixed segmentation of a text in lower case: Chinese characters one by one, words of what is between."""
    found: list[str] = []
    between = ""
    for character in text:
        if character in MARKS:
            continue
        if CHINESE.match(character):
            found += [*_words(between), character]
            between = ""
        else:
            between += character
    return found + _words(between)


def _words(text: str) -> list[str]:
    return list(_tokenizer().tokenize(text)) if text else []


@cache
def _tokenizer() -> Any:
    """What `nltk.word_tokenize` cuts a sentence with; the whole of it wants to download a model first."""
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer()


def _f1(common: int, given: int, wanted: int) -> float:
    if not common:
        return 0.0
    precision, recall = common / given, common / wanted
    return 2 * precision * recall / (precision + recall)


def best_threshold(margins: np.ndarray, answered: np.ndarray, unanswered: np.ndarray) -> tuple[float, float]:
    """The threshold by which most is right, and the mean score that it gives.

    A question is answered where its margin, by how much no answer is likelier than the best one, float [questions], is
    not above the threshold. `answered` and `unanswered` are its scores in both cases.
    """
    order = np.argsort(margins, kind="stable")
    ranked = margins[order].astype(np.float64)
    sums = np.concatenate([[0.0], np.cumsum(answered[order] - unanswered[order])]) + unanswered.sum()
    possible = np.concatenate([[True], ranked[1:] > ranked[:-1], [True]])  # equal ones cannot be told apart
    best = int(np.argmax(np.where(possible, sums, -np.inf)))
    around = np.concatenate([[ranked[0] - 2], ranked, [ranked[-1] + 2]])
    return float((around[best] + around[best + 1]) / 2), float(sums[best] / len(margins))
