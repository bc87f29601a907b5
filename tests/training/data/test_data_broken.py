"""Files as people really send them: the rows of the clean UTF-8 file, or a refusal that names file, row and cure.

Nothing in between: no row may come out as other characters than were meant.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from test_data_encodings import FRENCH, JAPANESE, KOREAN, TRADITIONAL, as_tsv, chinese_rows

from launcher.errors import DataError, printable
from launcher.recipe.data import LabelledFiles, Table
from launcher.recipe.task import TextClassification
from launcher.training.data import read_corpus, read_rows, read_texts
from launcher.training.data.cells import LARGEST_TEXT
from launcher.training.data.compression import SMALLEST_BOUND
from launcher.training.data.mojibake import misread_as

TASK = TextClassification()
CHINESE = chinese_rows()
Pairs = list[tuple[str, str]]


def rows_of(path: Path, encoding: str | None = None) -> Pairs:
    return [(str(r.text), str(r.label)) for r in read_rows(Table(train="x", encoding=encoding), TASK, str(path))]


def refusal(path: Path, encoding: str | None = None) -> str:
    with pytest.raises(DataError) as refused:
        rows_of(path, encoding)
    message = str(refused.value)
    assert path.name in message
    return message


def zstd(data: bytes) -> bytes:
    import pyarrow

    return bytes(pyarrow.compress(data, codec="zstd"))


def greedy_xz() -> bytes:
    """A file of a few bytes whose header asks for a dictionary of 3 GiB."""
    packed = bytearray(lzma.compress(TEN.encode()))
    size = 4 * (packed[12] + 1)
    header = packed[12 : 12 + size]
    header[header.index(b"\x21\x01") + 2] = 39
    header[-4:] = zlib.crc32(header[:-4]).to_bytes(4, "little")
    return bytes(packed[:12] + header + packed[12 + size :])


def saved(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


TSV = as_tsv(CHINESE)
SAME: dict[str, tuple[str, bytes, str]] = {
    "utf-8": ("t.tsv", TSV.encode(), "utf-8"),
    "utf-8 with a mark": ("t.tsv", TSV.encode("utf-8-sig"), "utf-8-sig"),
    "gb2312": ("t.tsv", TSV.encode("gb2312"), "gb18030"),
    "gb18030": ("t.tsv", TSV.encode("gb18030"), "gb18030"),
    "utf-16 little": ("t.tsv", b"\xff\xfe" + TSV.encode("utf-16-le"), "utf-16"),
    "utf-16 big": ("t.tsv", b"\xfe\xff" + TSV.encode("utf-16-be"), "utf-16"),
    "utf-32 little": ("t.tsv", b"\xff\xfe\0\0" + TSV.encode("utf-32-le"), "utf-32"),
    "utf-32 big": ("t.tsv", b"\0\0\xfe\xff" + TSV.encode("utf-32-be"), "utf-32"),
    "windows line ends": ("t.tsv", TSV.replace("\n", "\r\n").encode(), "utf-8"),
    "old mac line ends": ("t.tsv", TSV.replace("\n", "\r").encode(), "utf-8"),
    "no last line end": ("t.tsv", TSV.rstrip("\n").encode(), "utf-8"),
    "blank lines between": ("t.tsv", TSV.replace("\n", "\n\n").encode(), "utf-8"),
    "gzip": ("t.tsv.gz", gzip.compress(TSV.encode()), "utf-8"),
    "gzip of gbk": ("t.tsv.gz", gzip.compress(TSV.encode("gbk")), "gb18030"),
    "gzip without its ending": ("t.tsv", gzip.compress(TSV.encode()), "utf-8"),
    "unpacked, but with the ending": ("t.tsv.gz", TSV.encode(), "utf-8"),
    "two gzip members": ("t.tsv.gz", gzip.compress(TSV[:500].encode()) + gzip.compress(TSV[500:].encode()), "utf-8"),
    "bzip2": ("t.tsv.bz2", bz2.compress(TSV.encode()), "utf-8"),
    "xz": ("t.tsv.xz", lzma.compress(TSV.encode()), "utf-8"),
    "two xz streams": (
        "t.tsv.xz",
        lzma.compress(TSV[:500].encode()) + bytes(4) + lzma.compress(TSV[500:].encode()) + bytes(8),
        "utf-8",
    ),
    "zstd": ("t.tsv.zst", zstd(TSV.encode()), "utf-8"),
    "spaces around labels": ("t.tsv", TSV.replace("\t好评\n", "\t 好评 \n").encode(), "utf-8"),
}
"""Name of the file, its bytes, and the encoding that must be told."""


@pytest.mark.parametrize("case", SAME)
def test_the_rows_of_the_clean_file(tmp_path: Path, case: str) -> None:
    name, content, encoding = SAME[case]
    path = saved(tmp_path, name, content)
    assert rows_of(path) == CHINESE
    report = read_corpus(Table(train=str(path)), TASK).report
    assert {split["encoding"][name] for split in report["splits"].values()} == {encoding}


TOLD = {
    "big5": [(TRADITIONAL, "好"), (TRADITIONAL[::-1], "差")],
    "shift_jis": [(JAPANESE, "x"), (JAPANESE[::-1], "y")],
    "euc-kr": [(KOREAN, "x"), (KOREAN[::-1], "y")],
    "cp1252": [(FRENCH, "x"), (FRENCH[::-1], "y")],
    "cp1251": [("Эта книга мне понравилась", "да"), ("Нет", "нет")],
    "utf-16-le": [("好", "x"), (FRENCH, "y")],
    "iso2022_jp": [(JAPANESE, "x"), (JAPANESE[::-1], "y")],
    "hz": [("这本书非常好，值得推荐", "好"), ("房间的位置不错", "差")],
    "gbk": [("龘靐", "x"), ("齉爩", "y")],
}
"""Encodings that are never guessed, each with rows that hold what it can write."""


@pytest.mark.parametrize("encoding", TOLD)
def test_nine_encodings_are_refused_until_the_recipe_says_them(tmp_path: Path, encoding: str) -> None:
    path = saved(tmp_path, "t.tsv", as_tsv(TOLD[encoding]).encode(encoding))
    message = refusal(path)
    assert "data.encoding" in message or "NUL" in message
    assert rows_of(path, encoding) == TOLD[encoding]


def test_what_the_recipe_says_is_held_to(tmp_path: Path) -> None:
    path = saved(tmp_path, "t.tsv", TSV.encode("gb18030"))
    assert "the file is not big5 throughout" in refusal(path, "big5")
    assert "t.tsv line 2, byte" in refusal(path, "ascii") and "mend data.encoding" in refusal(path, "ascii")
    assert rows_of(saved(tmp_path, "u.tsv", TSV.encode("utf-8-sig")), "utf-8") == CHINESE
    assert read_texts(saved(tmp_path, "x.txt", "一行\n".encode("big5")), encoding="big5") == ["一行"]
    data = LabelledFiles(train={"a": str(path), "b": str(path)}, encoding="gb18030")
    assert read_corpus(data, TASK).report["splits"]["train"]["encoding"] == {"t.tsv": "gb18030"}


def test_what_only_looks_like_escapes_is_read(tmp_path: Path) -> None:
    rows = [("awk '~{print}~' and ~{x~} in a script", "a"), ("a red \x1b[31mword", "b")]
    assert rows_of(saved(tmp_path, "t.tsv", as_tsv(rows).encode())) == rows


@pytest.mark.parametrize("misread", ["cp1252", "latin-1", "gb18030"])
def test_text_that_was_saved_in_a_wrong_encoding_is_refused(tmp_path: Path, misread: str) -> None:
    """No decoder sees it: the file is valid UTF-8."""
    rows = [("這本書寫得非常好，我從頭到尾讀了兩遍" + "!" * n, "好") for n in range(4)]
    if misread == "cp1252":
        rows = [(f"l'hôtel est très près de l'église, à côté {n}", "x") for n in range(4)]
    if misread == "gb18030":
        rows = [(f"你好世界 {n}", "x") for n in range(4)]
    damaged = as_tsv(rows).encode().decode(misread)
    message = refusal(saved(tmp_path, "t.tsv", damaged.encode()))
    assert f"the texts were UTF-8, were read as {misread} and saved again: 4 of 4" in message
    assert "first in t.tsv row 2" in message and "turn it back" in message
    few = damaged + "\n".join(f"{text}\tx" for text, _ in CHINESE[:4]) + "\n"
    assert len(rows_of(saved(tmp_path, "u.tsv", few.encode()))) == 8


def test_no_real_text_is_taken_for_damaged() -> None:
    texts = [text for text, _ in CHINESE] + [
        TRADITIONAL,
        KOREAN,
        JAPANESE,
        FRENCH,
        "Ünüßé",
        "naïve café déjà vu",
        "龘靐齉",
    ]
    assert len(texts) > 200
    assert [text for text in texts if misread_as(text)] == []


def office_document() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/sheet1.xml", "x" * 100)
    return file.getvalue()


LARGE = "x" * (LARGEST_TEXT + 1)
TEN = "text,label\n" + "t,a\n" * 10
REFUSED: dict[str, tuple[str, bytes | Callable[[], bytes], tuple[str, ...]]] = {
    "NUL": ("t.csv", b"text,label\na,b\nc\0,d\n", ("NUL characters (1 of them)", "t.csv line 3", "save the file")),
    "all NUL": ("t.csv", bytes(100), ("NUL characters (100 of them)", "t.csv line 1")),
    "a spreadsheet": ("t.csv", office_document, ("office document", "save the table as CSV")),
    "an old spreadsheet": ("t.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", ("an old office document",)),
    "a picture": ("t.tsv", b"\x89PNG\r\n\x1a\n\0\0", ("the file is a picture, whatever its name says",)),
    "a Parquet file": ("t.csv", b"PAR1\x15\x04", ("a Parquet file", "name it .parquet")),
    "a program": ("t.csv", b"\x7fELF\x02\x01\x01", ("the file is a program",)),
    "a cut gzip": ("t.csv.gz", gzip.compress(TEN.encode() * 99)[:-12], ("cut short or damaged", "fetch the file")),
    "a damaged gzip": ("t.csv.gz", gzip.compress(TEN.encode())[:-8] + b"12345678", ("cut short or damaged",)),
    "a cut bzip2": ("t.csv.bz2", bz2.compress(TEN.encode())[:-9], ("cut short or damaged",)),
    "a cut xz": ("t.csv.xz", lzma.compress(TEN.encode())[:-9], ("cut short or damaged",)),
    "a cut zstd": ("t.csv.zst", zstd(TEN.encode())[:-9], ("cut short or damaged",)),
    "an xz that asks for 3 GiB": ("t.csv.xz", greedy_xz, ("more than 134,217,728 bytes of memory", "pack it anew")),
    "a zstd that asks for 2 GiB": (
        "t.csv.zst",
        b"\x28\xb5\x2f\xfd" + b"\x00\xa8" + b"\x09\0\0a",  # a window of 2 ** (10 + 0xA8 // 8) bytes
        ("more than 134,217,728 bytes of memory",),
    ),
    "a gzip bomb": ("t.csv.gz", gzip.compress(bytes(SMALLEST_BOUND + 1), 1), (f"more than {SMALLEST_BOUND:,}",)),
    "a giant cell": ("t.csv", f"text,label\na,b\n{LARGE},c\n".encode(), ("t.csv row 3", "16,777,216")),
    "a giant line": ("t.tsv", f"text\tlabel\n{LARGE}\tc\n".encode(), ("t.tsv row 2", "the 16,777,216 that a row")),
    "an empty text column": ("t.csv", b"text,label\n,a\n,b\n", ("no rows to use: all 2 are empty",)),
    "an empty label column": (
        "t.csv",
        b"text,label\na,\nb,\n",
        ("the row has no label", "t.csv row 2, 3", "take it out"),
    ),
    "a header twice": ("t.csv", b"text,label,text\na,b,c\n", ("2 columns are called 'text'",)),
    "no header": ("t.csv", b"good book,a\nbad book,b\n", ("there is no column 'text'", "'good book', 'a'")),
    "a colour in a label": ("t.csv", b"text,label\na,\x1b[31mred\n", ("t.csv row 2", "U+001B", "'\\x1b[31mred'")),
    "a bell in a label": ("t.tsv", b"text\tlabel\na\tr\x07d\n", ("t.tsv row 2", "U+0007")),
    "an invisible label": ("t.csv", "text,label\na,\u200bred\n".encode(), ("t.csv row 2", "U+200B")),
    "a turned label": ("t.csv", "text,label\na,\u202ered\n".encode(), ("t.csv row 2", "U+202E")),
    "half a surrogate": ("t.jsonl", b'{"text": "a\\ud83d", "label": "x"}', ("surrogate", "t.jsonl row 1")),
    "numbers as texts": ("t.jsonl", b'{"text": 5, "label": "x"}', ("the text is a number, not a string", "row 1")),
    "fractions as labels": ("t.jsonl", b'{"text": "a", "label": 0.5}', ("not a whole number", "t.jsonl row 1")),
    "lists as labels": ("t.jsonl", b'{"text": "a", "label": ["x"]}', ("the label is a list", "t.jsonl row 1")),
    "a stray quote": ("t.csv", b'text,label\nsay "hi" there,a\n"open,b\n', ("not valid CSV", "t.csv row 3", "double")),
    "a lone CR in a cell": ("t.csv", b"text,label\na\rb,c\nd,e\n", ("not valid CSV", "t.csv row 2")),
    "semicolons": ("t.csv", b"text;label\na;b\n", ("parted by ';'",)),
    "nothing": ("t.csv", b"", ("the file is empty",)),
    "only a mark": ("t.csv", b"\xef\xbb\xbf", ("the file is empty",)),
}
"""Name of the file, its bytes, and what must be told."""


def test_there_are_more_than_twenty_broken_files() -> None:
    assert len(REFUSED) + len(TOLD) + len(SAME) > 60


@pytest.mark.parametrize("case", REFUSED)
def test_broken_files_are_refused(tmp_path: Path, case: str) -> None:
    name, content, told = REFUSED[case]
    message = refusal(saved(tmp_path, name, content() if callable(content) else content))
    assert [part for part in told if part not in message] == [], message[:2000]
    assert len(message) < 4000
    assert all(character == "\n" or character.isprintable() for character in message)


def test_labels_with_spaces_and_numbers_are_labels(tmp_path: Path) -> None:
    path = saved(tmp_path, "t.csv", b"text,label\na,very good\nb, very good \nc,1\nd,1.5\ne,\xe3\x80\x80x\n")
    assert [label for _, label in rows_of(path)] == ["very good", "very good", "1", "1.5", "x"]


def test_controls_in_texts_stay_in_the_rows_and_out_of_messages(tmp_path: Path) -> None:
    text = "a\x1b]0;title\x07b\x9b31m\x7f"
    path = saved(tmp_path, "t.jsonl", "\n".join(json.dumps({"text": text, "label": n}) for n in "xy").encode())
    assert rows_of(path) == [(text, "x"), (text, "y")]
    assert printable(text) == r"a\x1b]0;title\x07b\x9b31m\x7f"


def test_parquet_is_held_to_its_columns_and_types(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    def parquet(**columns: list[object]) -> Path:
        pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet", compression="zstd")
        return tmp_path / "t.parquet"

    texts, labels = [text for text, _ in CHINESE], [label for _, label in CHINESE]
    assert rows_of(parquet(text=texts, label=labels)) == CHINESE
    assert [label for _, label in rows_of(parquet(text=["a", "b"], label=[1, 0]))] == ["1", "0"]
    assert [label for _, label in rows_of(parquet(text=["a", "b"], label=[True, False]))] == ["true", "false"]
    assert "there is no column 'label'; the columns are 'text', 'lable'" in refusal(parquet(text=["a"], lable=["x"]))
    assert "the text is a number, not a string" in refusal(parquet(text=[1, 2], label=["x", "y"]))
    assert "t.parquet row 2" in refusal(parquet(text=["a", "b"], label=["x", None]))
    assert "the label 0.5 is not a whole number" in refusal(parquet(text=["a"], label=[0.5]))
    with pytest.raises(DataError, match=r"data\.encoding='big5' says how text files are written, and none") as caught:
        read_corpus(Table(train=str(parquet(text=texts, label=labels)), encoding="big5"), TextClassification())
    assert "leave data.encoding out" in str(caught.value)
    whole = parquet(text=texts, label=labels).read_bytes()
    assert "cannot be read" in refusal(saved(tmp_path, "u.parquet", whole[:-9]))
