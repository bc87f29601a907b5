"""Texts that a run has written, beside what needs no model: word by word for translations, the beginning for titles.

    launcher predict RUN --file test.jsonl --output answers.jsonl
    python benchmarks/written.py translations --train train.en.gz train.de.gz --test test.en.gz test.de.gz
        [--language de] [--answers answers.jsonl]
    python benchmarks/written.py titles --train train.jsonl --test dev.jsonl [--target summary] [--answers ...]

`--questions test.jsonl` writes the test rows as the file that is asked about above. BLEU and chrF are sacreBLEU's,
ROUGE is by character (`official.py`); each with the standard error of 1,000 draws of the test rows (Koehn 2004), and so
is the difference between the two systems, whose rows are drawn together.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from measure import save, say, say_machine, table
from official import rouge_of

Pairs = list[tuple[str, str]]
ROUNDS = 20
"""Of expectation maximisation."""
DRAWS = 1000
WORD = re.compile(r"\w+(?:[-'’]\w+)*|[^\w\s]")
CHINESE_MARKS = {".": "。", ",": "，", "?": "？", "!": "！"}
NO_SPACE_BEFORE = re.compile(r" (?=[.,!?;:)\]])")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("translations", "titles"))
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="two files of lines, a TSV or JSON lines")
    parser.add_argument("--test", type=Path, nargs="+", required=True, help="likewise")
    parser.add_argument("--target", default="target", help="column of the target in JSON lines")
    parser.add_argument("--language", default="de", help="of the translations: zh, or one with spaces between words")
    parser.add_argument("--answers", type=Path, help="what `launcher predict` wrote for the test rows, in their order")
    parser.add_argument(
        "--questions", type=Path, help="where the test rows go, as JSON lines, and nothing else is done"
    )
    parser.add_argument("--json", type=Path, help="where raw figures go")
    return parser.parse_args()


def pairs_of(paths: Sequence[Path], target: str) -> Pairs:
    """Text and target of each row."""
    contents = [_lines(path) for path in paths]
    if len(contents) == 2:
        return list(zip(*contents, strict=True))
    if paths[0].suffix == ".jsonl":
        return [(row["text"], row[target]) for row in map(json.loads, contents[0])]
    return [(cells[0], cells[1]) for cells in (line.split("\t") for line in contents[0])]


def _lines(path: Path) -> list[str]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return raw.decode("utf-8").rstrip("\n").split("\n")


def words_of(language: str) -> Callable[[str], list[str]]:
    """What cuts a text of the language into words."""
    if language != "zh":
        return WORD.findall
    import jieba

    jieba.setLogLevel("ERROR")
    return lambda text: [word for word in jieba.lcut(text) if word.strip()]


class WordByWord:
    """Each word's likeliest translation, in the order of the source (IBM model 1, Brown et al. 1993).

    A word that was never seen stays as it is, and so do marks, which are Chinese ones in Chinese. The first letter is a
    capital. Other forms of it were worse on the validation rows (notes/2026-11-29-translations.md).
    """

    def __init__(self, pairs: Pairs, language: str):
        cut = words_of(language)
        self.between, self.marks = ("", CHINESE_MARKS) if language == "zh" else (" ", {})
        sources = [["", *_without_marks(WORD.findall(text))] for text, _ in pairs]  # "" gives what no word of it does
        targets = [_without_marks(cut(text)) for _, text in pairs]
        self.number = {word: place for place, word in enumerate(dict.fromkeys(w for row in sources for w in row))}
        words = list(dict.fromkeys(word for row in targets for word in row))
        there = {word: place for place, word in enumerate(words)}
        # A link is a word of a target with a word of its source; the links of one word of a target share a place.
        links, places, place = [], [], 0
        for source, target in zip(sources, targets, strict=True):
            left, right = ([known[w] for w in row] for known, row in ((self.number, source), (there, target)))
            links.append(np.add.outer(np.array(right, dtype=np.int64), np.array(left) * len(words)).ravel())
            places.append(np.repeat(np.arange(place, place + len(right)), len(left)))
            place += len(right)
        keys, link = np.unique(np.concatenate(links), return_inverse=True)
        at, source_of = np.concatenate(places), keys // len(words)
        likely = np.ones(len(keys))
        for _ in range(ROUNDS):
            counts = np.bincount(link, likely[link] / np.bincount(at, likely[link])[at])
            likely = counts / np.bincount(source_of, counts)[source_of]
        order = np.lexsort((likely, source_of))
        last = order[np.flatnonzero(np.diff(source_of[order], append=-1))]
        self.said = {int(source_of[one]): words[int(keys[one] % len(words))] for one in last}

    def __call__(self, text: str) -> str:
        """The text's translation."""
        said = self.between.join(self._one(word) for word in WORD.findall(text))
        said = NO_SPACE_BEFORE.sub("", said)
        return said[:1].upper() + said[1:]

    def _one(self, word: str) -> str:
        number = self.number.get(word, self.number.get(word.casefold()))
        return self.marks.get(word, word) if number is None else self.said[number]


def _without_marks(words: list[str]) -> list[str]:
    return [word for word in words if word[0].isalnum() or word[0] == "_"]


def translation_draws(texts: Sequence[str], right: Sequence[str], language: str, drawn: np.ndarray) -> np.ndarray:
    """BLEU and chrF of each draw of the rows, float [draws, 2]; `drawn` holds numbers of rows."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    columns = []
    for metric in (BLEU(tokenize="zh" if language == "zh" else "13a", force=True), CHRF()):
        counts = np.array(metric._extract_corpus_statistics(list(texts), [list(right)]))
        columns.append([metric._compute_score_from_stats(counts[rows].sum(axis=0).tolist()).score for rows in drawn])
    return np.array(columns).T


def title_draws(texts: Sequence[str], right: Sequence[str], _: str, drawn: np.ndarray) -> np.ndarray:
    """ROUGE-1, -2 and -L of each draw, float [draws, 3]."""
    scores = np.array([list(rouge_of(*pair).values()) for pair in zip(texts, right, strict=True)])
    return np.stack([scores[rows].mean(axis=0) for rows in drawn])


def main() -> None:
    args = arguments()
    train, test = pairs_of(args.train, args.target), pairs_of(args.test, args.target)
    if args.questions:
        rows = (json.dumps({"text": text, "target": right}, ensure_ascii=False) + "\n" for text, right in test)
        args.questions.write_text("".join(rows), encoding="utf-8")
        return
    facts = say_machine()
    if args.kind == "translations":
        names, draws = ("BLEU", "chrF"), translation_draws
        alone = WordByWord(train, args.language)
        systems = {"word by word": [alone(text) for text, _ in test]}
    else:
        names, draws = ("ROUGE-1", "ROUGE-2", "ROUGE-L"), title_draws
        length = round(statistics.median(len(right) for _, right in train))
        say(f"a title of the training rows has {length} characters at the median")
        systems = {f"first {length} characters": [text[:length] for text, _ in test]}
    if args.answers:
        lines = args.answers.read_text(encoding="utf-8").splitlines()
        systems["launcher"] = [json.loads(line)["predicted_text"] for line in lines]
    generator = np.random.default_rng(0)
    drawn = np.vstack([np.arange(len(test)), generator.integers(0, len(test), (DRAWS, len(test)))])
    right = [target for _, target in test]
    scores = {name: draws(texts, right, args.language, drawn) for name, texts in systems.items()}
    if len(scores) == 2:
        one, other = scores.values()
        scores["difference"] = other - one
    told = {n: {m: (v[0, c], v[1:, c].std(ddof=1)) for c, m in enumerate(names)} for n, v in scores.items()}
    digits = 2 if args.kind == "translations" else 4
    cells = {
        n: [f"{value:.{digits}f} ± {error:.{digits}f}" for value, error in row.values()] for n, row in told.items()
    }
    table(("", *names), ([name, *row] for name, row in cells.items()))
    for name, texts in systems.items():
        say(f"{name}: {texts[0]}  |  {texts[-1]}")
        say(f"  {len(Counter(texts)):,} different texts of {len(texts):,}")
    save(args.json, facts, {name: str(value) for name, value in vars(args).items()}, told)


if __name__ == "__main__":
    main()
