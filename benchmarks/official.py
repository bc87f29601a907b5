"""Scores of answers by definitions of their own: written from the papers and official scripts, not from the launcher.

Each takes the folder of a slice and the answers that `launcher predict` wrote, in the order of the test file.
"""

from __future__ import annotations

import itertools
import json
import re
import string
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Answers = Sequence[Mapping[str, Any]]
Scores = dict[str, float]


def _gold(folder: Path, column: str = "label") -> list[Any]:
    lines = (folder / "test.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)[column] for line in lines]


def _f1(right: float, said: float, there: float) -> float:
    return 0.0 if not right else 2 * right / (said + there)


def of_labels(folder: Path, answers: Answers) -> Scores:
    """Accuracy, and the mean of the F1 of the classes that are there or are said."""
    pairs = [(gold, answer["predicted_label"]) for gold, answer in zip(_gold(folder), answers, strict=True)]
    f1 = []
    for label in sorted({label for pair in pairs for label in pair}):
        both = sum(gold == label == said for gold, said in pairs)
        f1.append(_f1(both, sum(said == label for _, said in pairs), sum(gold == label for gold, _ in pairs)))
    right = sum(gold == said for gold, said in pairs)
    return {"accuracy": right / len(pairs), "macro_f1": sum(f1) / len(f1)}


def of_types(folder: Path, answers: Answers) -> Scores:
    """F1 over all decisions together."""
    pairs = [(set(gold), set(answer["labels"])) for gold, answer in zip(_gold(folder), answers, strict=True)]
    right = sum(len(gold & said) for gold, said in pairs)
    return {"micro_f1": _f1(right, sum(len(said) for _, said in pairs), sum(len(gold) for gold, _ in pairs))}


def of_numbers(folder: Path, answers: Answers) -> Scores:
    """Both correlations, by scipy."""
    from scipy.stats import pearsonr, spearmanr

    gold, said = _gold(folder, "score"), [answer["number"] for answer in answers]
    return {"spearman": float(spearmanr(gold, said)[0]), "pearson": float(pearsonr(gold, said)[0])}


def of_relations(folder: Path, answers: Answers) -> Scores:
    """As the scorer of SemEval-2010 task 8 prints it: "(9+1)-way evaluation taking directionality into account".

    Each relation pools its two directions; what has the other direction is said, and there, and not right.
    """
    pairs = [(gold, answer["predicted_label"]) for gold, answer in zip(_gold(folder), answers, strict=True)]
    f1 = []
    for relation in sorted({label.partition("(")[0] for pair in pairs for label in pair} - {"Other"}):
        right = sum(gold == said and said.startswith(f"{relation}(") for gold, said in pairs)
        there, told = (sum(one[side].startswith(f"{relation}(") for one in pairs) for side in (0, 1))
        f1.append(_f1(right, told, there))
    return {"macro_f1": sum(f1) / len(f1), "accuracy": sum(gold == said for gold, said in pairs) / len(pairs)}


def of_entities(folder: Path, answers: Answers) -> Scores:
    """F1 of whole entities, as conlleval counts them: the same words under the same type."""
    blocks = (folder / "test.conll").read_text(encoding="utf-8").strip().split("\n\n")
    sentences = [[line.split() for line in block.splitlines()] for block in blocks]
    right = said = there = 0
    for words, answer in zip(sentences, answers, strict=True):
        gold = _of_iob1(words)
        found = {(entity["start"], entity["end"], entity["entity"]) for entity in answer["entities"]}
        right, said, there = right + len(gold & found), said + len(found), there + len(gold)
    return {"entity_f1": _f1(right, said, there)}


def _of_iob1(words: Sequence[Sequence[str]]) -> set[tuple[int, int, str]]:
    """Characters and type of each entity, the words standing with a space between them."""
    spans: list[list[Any]] = []
    place, before = 0, "O"
    for word, tag in words:
        kind = tag[2:]
        if tag != "O":
            if before[2:] == kind and not tag.startswith("B-"):
                spans[-1][1] = place + len(word)
            else:
                spans.append([place, place + len(word), kind])
        place, before = place + len(word) + 1, tag
    return {(start, end, kind) for start, end, kind in spans}


def of_squad(folder: Path, answers: Answers) -> Scores:
    """Of SQuAD 2.0: the best over all right answers; words without articles and marks, each as often as it occurs."""

    def bare(text: str) -> list[str]:
        text = "".join(character for character in text.lower() if character not in string.punctuation)
        return [word for word in re.split(r"\s+", re.sub(r"\b(a|an|the)\b", " ", text)) if word]

    def f1(said: list[str], right: list[str]) -> float:
        if not said or not right:
            return float(said == right)
        left = list(right)
        for word in said:
            if word in left:
                left.remove(word)
        return _f1(len(right) - len(left), len(said), len(right))

    exact, shared = [], []
    for texts, answer in zip(_gold(folder, "answers"), answers, strict=True):
        right = [bare(text) for text in texts if bare(text)] or [[]]
        said = bare(answer["answer"])
        exact.append(max(said == one for one in right))
        shared.append(max(f1(said, one) for one in right))
    return {"exact_match": sum(exact) / len(exact), "f1": sum(shared) / len(shared)}


def of_cmrc(folder: Path, answers: Answers) -> Scores:
    """Of CMRC 2018: Chinese characters and other words, and the longest run of them that both have."""
    from nltk.tokenize import NLTKWordTokenizer

    marks = set("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
    cut = NLTKWordTokenizer().tokenize

    def segments(text: str) -> list[str]:
        kept = "".join(character for character in text.lower().strip() if character not in marks)
        parts = re.split("([\u4e00-\u9fa5])", kept)
        return [word for part in parts if part for word in ([part] if re.match("[\u4e00-\u9fa5]", part) else cut(part))]

    def run(one: list[str], other: list[str]) -> int:
        longest, before = 0, [0] * (len(other) + 1)
        for first in one:
            row = [0]
            for place, second in enumerate(other):
                row.append(before[place] + 1 if first == second else 0)
            longest, before = max(longest, *row), row
        return longest

    exact, shared = [], []
    for texts, answer in zip(_gold(folder, "answers"), answers, strict=True):
        said = answer["answer"]
        whole = ["".join(c for c in text.lower().strip() if c not in marks) for text in (said, *texts)]
        exact.append(whole[0] in whole[1:])
        both = [(segments(said), segments(text)) for text in texts]
        shared.append(max(_f1(run(*pair), len(pair[0]), len(pair[1])) for pair in both))
    return {"exact_match": sum(exact) / len(exact), "f1": sum(shared) / len(shared)}


def of_translations(folder: Path, answers: Answers) -> Scores:
    """sacreBLEU's own functions."""
    from sacrebleu import corpus_bleu, corpus_chrf

    right, said = _gold(folder, "target"), [answer["predicted_text"] for answer in answers]
    return {
        "bleu": corpus_bleu(said, [right], tokenize="zh").score,
        "chrf": corpus_chrf(said, [right]).score,
    }


def rouge_of(said: str, right: str) -> Scores:
    """ROUGE's definition, written out: unigrams, bigrams and the longest common subsequence of characters, 0 to 1."""
    from collections import Counter

    def overlap(one: list[str], other: list[str]) -> float:
        shared = sum((Counter(one) & Counter(other)).values())
        return _f1(shared, len(one), len(other))

    def common(one: str, other: str) -> int:
        row = [0] * (len(other) + 1)
        for first in one:
            before = row
            row = [0]
            for place, second in enumerate(other):
                row.append(before[place] + 1 if first == second else max(before[place + 1], row[place]))
        return row[-1]

    one, other = ("".join(text.split()) for text in (said, right))
    return {
        "rouge1": overlap(list(one), list(other)),
        "rouge2": overlap(*([a + b for a, b in itertools.pairwise(text)] for text in (one, other))),
        "rougeL": _f1(common(one, other), len(one), len(other)),
    }


def of_headlines(folder: Path, answers: Answers) -> Scores:
    """The mean of the rows."""
    gold = _gold(folder, "target")
    rows = [rouge_of(answer["predicted_text"], right) for right, answer in zip(gold, answers, strict=True)]
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


SCORES: Mapping[str, Callable[[Path, Answers], Scores]] = {
    "sentiment": of_labels,
    "pairs": of_labels,
    "types": of_types,
    "similarity": of_numbers,
    "relations": of_relations,
    "entities": of_entities,
    "images": of_labels,
    "prompted": of_labels,
    "questions": of_squad,
    "questions_zh": of_cmrc,
    "translation": of_translations,
    "headlines": of_headlines,
}
