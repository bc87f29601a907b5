"""The encoding comes from the bytes: the same rows each time, or a refusal; never mojibake."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from launcher.errors import DataError
from launcher.recipe.data import Table
from launcher.recipe.method import Full
from launcher.recipe.recipe import Recipe
from launcher.recipe.source import RandomVectors
from launcher.recipe.task import TextClassification
from launcher.recipe.training import Training
from launcher.training.data import read_rows, read_texts
from launcher.training.data.decoding import decode
from launcher.training.result.inference import texts_to_predict

PARTS = (
    ["这本书", "酒店的房间", "电脑的速度", "服务员的态度", "作者的文笔", "早餐", "屏幕", "手机的电池"],
    ["非常好", "不太好", "很一般", "让人失望", "超出预期", "还可以", "比想象中差", "值得推荐"],
    ["下次还会来", "以后不会再买了", "朋友也这么说", "价格也合理", "大家要慎重考虑", "我看了两遍"],
)
TRADITIONAL = "這本書寫得非常好，我從頭到尾讀了兩遍。酒店的位置不錯，離地鐵站只有五分鐘，服務員的態度也很熱情。"
KOREAN = "이 영화는 정말 재미있었다. 배우들의 연기가 훌륭하고 이야기가 감동적이었다. 음식이 맛있고 좋았습니다."
JAPANESE = "この本はとても面白かったです。作者の考え方がよくわかりました。値段が少し高いと思います。"
FRENCH = "Ce livre est très intéressant, l'auteur a réussi. À mon avis, c'était élégant près de l'hôtel."


def a_recipe(encoding: str | None) -> Recipe:
    data = Table(train="x", encoding=encoding)
    task, source = TextClassification(), RandomVectors()
    return Recipe(task=task, data=data, embedding=source, peft=Full(), training=Training())


def chinese_rows() -> list[tuple[str, str]]:
    chance = random.Random(1)
    texts = ["，".join(chance.choice(part) for part in PARTS) + f"。{n}" for n in range(200)]
    return [(text, chance.choice(["好评", "差评"])) for text in texts]


def as_tsv(rows: list[tuple[str, str]], end: str = "\n") -> str:
    return end.join(["text\tlabel", *("\t".join(row) for row in rows)]) + end


def read(path: Path) -> list[tuple[object, object]]:
    data = Table(train=str(path))
    return [(row.text, row.label) for row in read_rows(data, TextClassification(), str(path))]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb2312", "gbk", "gb18030", "utf-16"])
def test_the_same_rows_from_six_encodings(tmp_path: Path, encoding: str, end: str) -> None:
    rows = chinese_rows()
    path = tmp_path / "rows.tsv"
    path.write_bytes(as_tsv(rows, end).encode(encoding))
    assert read(path) == rows
    assert len(rows) == 200


@pytest.mark.parametrize(
    ("encoding", "named"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("gbk", "gb18030"),
        ("utf-16-le", "utf-16"),
        ("utf-16-be", "utf-16"),
    ],
)
def test_the_encoding_is_named(encoding: str, named: str) -> None:
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    text = as_tsv(chinese_rows())
    assert decode(mark + text.encode(encoding), "x") == (text, named)


@pytest.mark.parametrize("encoding", ["big5", "big5hkscs", "cp950"])
def test_big5_is_refused(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "rows.tsv"
    path.write_bytes(as_tsv([(TRADITIONAL + str(n), "好") for n in range(200)]).encode(encoding))
    with pytest.raises(DataError) as refused:
        read(path)
    assert "rows.tsv line 2, byte 11" in str(refused.value)
    assert "UTF-8" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (FRENCH, "latin-1"),
        (FRENCH, "cp1252"),
        (KOREAN, "euc-kr"),
        (JAPANESE, "euc-jp"),
        (JAPANESE, "shift-jis"),
        ("é", "latin-1"),
        ("Ünüß", "latin-1"),
        ("Эта книга мне очень понравилась", "cp1251"),
    ],
)
def test_other_encodings_are_refused(text: str, encoding: str) -> None:
    for repeats in (1, 3, 200):
        with pytest.raises(DataError, match=r"neither UTF-8 nor Chinese in GB18030|cut short"):
            decode(as_tsv([(text, "x")] * repeats).encode(encoding), "x.tsv")


def test_every_cut_of_a_utf8_file_is_refused_or_reads_the_rows_before_it() -> None:
    whole = as_tsv(chinese_rows())
    data = whole.encode()
    refused = 0
    for length in range(len(data) - 200, len(data)):
        try:
            text, _ = decode(data[:length], "x.tsv")
            assert whole.startswith(text)
        except DataError as error:
            refused += 1
            assert f"x.tsv line {data.count(10, 0, length) + 1}, byte " in str(error)
            assert "cut short" in str(error)
    assert refused > 100


def test_a_cut_gb18030_file_names_the_last_byte() -> None:
    data = as_tsv(chinese_rows()).encode("gb18030").rstrip(b"\n") + b"\xc4"
    with pytest.raises(DataError, match=rf"x.tsv line 201, byte {len(data) - 1:,}"):
        decode(data, "x.tsv")


def test_traditional_characters_in_gbk_are_read() -> None:
    assert decode((TRADITIONAL * 3).encode("gbk"), "x") == (TRADITIONAL * 3, "gb18030")


@pytest.mark.parametrize("of_recipe", ["latin-1", "big5", "gb18030", "cp1252", None])
@pytest.mark.parametrize("of_file", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_to_predict_on_need_not_be_written_as_the_recipes_were(
    tmp_path: Path, of_recipe: str | None, of_file: str
) -> None:
    """What is UTF-8 by itself is read so; only other files are what the recipe says of its own."""
    path = tmp_path / "x.txt"
    path.write_bytes("房间很干净\n服务也好\n".encode(of_file))
    assert texts_to_predict(a_recipe(of_recipe), [], str(path), {}).texts == ["房间很干净", "服务也好"]


@pytest.mark.parametrize(("encoding", "text"), [("big5", "房間很乾淨"), ("latin-1", "déjà vu"), ("utf-16-le", "ab")])
def test_a_file_to_predict_on_is_else_what_the_recipe_says(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(f"{text}\n".encode(encoding))
    assert texts_to_predict(a_recipe(encoding), [], str(path), {}).texts == [text]


@pytest.mark.parametrize("text", ["x\0y", "一\0二"])
def test_nul_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(DataError, match=r"NUL characters \(1 of them\)(.|\n)*x.txt line 2"):
        decode(f"ab\n{text}\n".encode(), "x.txt")


def test_utf16_without_a_mark_is_refused() -> None:
    with pytest.raises(DataError):
        decode(as_tsv(chinese_rows()).encode("utf-16-le"), "x.txt")


def test_line_ends_of_all_systems_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    for end in ("\n", "\r\n", "\r"):
        path.write_bytes(f"a\u2028b\x85c{end}{end}d".encode())
        assert read_texts(path) == ["a\u2028b\x85c", "", "d"]
