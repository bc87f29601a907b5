"""Every document of a file is in exactly one shard, and reading on from any place gives what reading at once gives."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path

import pytest
from made_corpora import lane_of, source_of, texts

from launcher.errors import DataError
from launcher.training.data.shard_reading import START, ShardReader


def all_of(source, budget: int = 10**9) -> list[str]:
    reader, found = ShardReader(source), []
    for shard in range(source.shards):
        place, ended = START, False
        while not ended:
            chunk = reader.chunk(shard, place, budget)
            assert not chunk.faults
            found += [document.text for document in chunk.documents]
            place, ended = chunk.place, chunk.ended
    return found


@pytest.mark.parametrize("unit", [1, 7, 64, 10**6])
@pytest.mark.parametrize("end", ["\n", "", "\r\n"])
def test_lines_belong_to_the_range_in_which_they_begin(tmp_path, unit, end):
    lines, path = texts(60), tmp_path / "a.txt"
    line_end = "\r\n" if end == "\r\n" else "\n"
    path.write_bytes((line_end.join([*lines[:30], "", "  ", *lines[30:]]) + end).encode())
    source = source_of([path], unit)
    assert source.shards == -(-path.stat().st_size // unit)
    assert all_of(source) == all_of(source, budget=1) == lines


@pytest.mark.parametrize("unit", [1, 7, 50, 10**6])
def test_paragraphs_belong_to_the_range_in_which_they_begin(tmp_path, unit):
    several = ["\n".join(texts(3, seed)) for seed in range(20)]
    path = tmp_path / "a.txt"
    path.write_bytes(("\n\n" + "\n \n\u3000\n".join(several[:10]) + "\r\n\r\n" + "\n\n".join(several[10:])).encode())
    assert all_of(source_of([path], unit, "blank lines"), budget=1) == several


def test_what_the_reader_of_whole_files_calls_documents_is_what_the_stream_gives(tmp_path):
    from launcher.training.data import documents

    text = "\n\u3000\n".join("\n".join(texts(4, seed)) for seed in range(12)) + "\n\n\n"
    path = tmp_path / "a.txt"
    for encoding in ("utf-8", "gb18030"):
        path.write_text(text, encoding=encoding)
        for how in ("lines", "blank lines", "files"):
            whole = [found for _, found in documents.documents_in(text, how) if found.strip()]
            assert all_of(source_of([path], 33, how, encoding=encoding)) == whole


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_packed_file_is_one_shard_that_is_read_on_in_its_middle(tmp_path, pack):
    lines, path = texts(50), tmp_path / "a.txt.gz"
    path.write_bytes(pack("\n".join(lines).encode()))
    source = source_of([path])
    assert source.shards == 1 and source.files[0].form == "packed"
    assert all_of(source, budget=300) == lines
    first = ShardReader(source).chunk(0, START, 300)
    rest = ShardReader(source).chunk(0, first.place, 10**9)
    assert [document.text for document in first.documents + rest.documents] == lines


def zstd(data: bytes) -> bytes:
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(data)
    return sink.getvalue().to_pybytes()


def given(lane, most: int = 10**9) -> list[bytes]:
    """The next rows of a lane."""
    rows = []
    while len(rows) < most and (row := lane.next()) is not None:
        rows.append(row.split.ragged("input_ids").row(row.number).tobytes())
    return rows


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd])
def test_a_packed_file_that_is_cut_short_gives_what_is_there_and_is_told(tmp_path, pack):
    """Also where reading goes on in its middle."""
    path, packed = tmp_path / "a.txt.gz", pack("\n".join(texts(3000)).encode())
    path.write_bytes(packed[:-9])
    source = source_of([path])
    with pytest.raises(DataError, match="the packed file is cut short or damaged") as told:
        given(lane_of(source))
    assert told.value.problems[0].where.startswith("a.txt.gz byte 2")
    lane = lane_of(source)
    lane.skip_faulty = True
    whole = given(lane)
    assert lane.standing.skipped == 1 and 2000 < lane.standing.read <= 3001
    for most in (1, len(whole) // 2, len(whole) - 2):
        first, rest = lane_of(source), lane_of(source)
        first.skip_faulty = rest.skip_faulty = True
        before = given(first, most)
        rest.stand(first.standing)
        assert before + given(rest) == whole


def test_tables_give_their_column(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Dataset

    lines, values = texts(2500), {"text": texts(2500), "other": list(range(2500))}
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": line, "n": 1}) + "\n" for line in lines))
    pq.write_table(pa.table(values), tmp_path / "a.parquet", row_group_size=700)
    Dataset.from_dict(values).save_to_disk(str(tmp_path / "saved"))
    parquet, saved = source_of([tmp_path / "a.parquet"]), source_of([tmp_path / "saved"])
    assert (parquet.shards, saved.shards) == (4, 3)
    for source in (source_of([tmp_path / "a.jsonl"], 5000), parquet, saved):
        assert all_of(source, budget=900) == lines
        shard = source.shards - 1
        first = ShardReader(source).chunk(shard, START, 900)
        on, anew = ShardReader(source), ShardReader(source).chunk(shard, first.place, 900)
        on.chunk(shard, START, 900)
        assert on.chunk(shard, first.place, 900) == anew


def test_a_set_of_the_hub_is_read_by_its_own_shards(tmp_path, monkeypatch):
    from datasets import load_dataset

    from launcher.training.data import arrow_streams

    for part in range(3):
        rows = "".join(json.dumps({"text": f"{part} {line}"}) + "\n" for line in texts(40, part))
        (tmp_path / f"{part}.jsonl").write_text(rows)
    files = [str(tmp_path / f"{part}.jsonl") for part in range(3)]
    streamed = load_dataset("json", data_files=files, split="train", streaming=True)
    monkeypatch.setattr(arrow_streams, "_hub", lambda source: streamed)
    source = source_of([Path("hub:owner/name#train")])
    assert source.shards == 3
    assert all_of(source, budget=200) == [f"{part} {line}" for part in range(3) for line in texts(40, part)]


def test_faulty_documents_are_named_and_left_out_where_the_recipe_says_so(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "good"}\n{"text": 5}\n{"other": "x"}\n{"text": \n\xff\xfe\n{"text": "a\\u0000b"}\n')
    source = source_of([path], 10**6)
    with pytest.raises(DataError) as told:
        lane_of(source).next()
    assert [problem.where for problem in told.value.problems] == [f"a.jsonl byte {n}" for n in (17, 29, 44, 54, 57)]
    lane = lane_of(source)
    lane.skip_faulty = True
    assert lane.next().split.rows == 1
    assert lane.next() is None
    assert (lane.standing.read, lane.standing.skipped) == (6, 5)


def test_a_file_that_changes_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n")
    source = source_of([path])
    path.write_text("one\ntwo\nthree\n")
    with pytest.raises(DataError, match="has changed since the run began"):
        ShardReader(source).chunk(0, START, 10)


def test_a_line_without_end_is_passed_over_and_named(tmp_path, monkeypatch):
    from launcher.training.data import byte_documents

    monkeypatch.setattr(byte_documents, "LONGEST", 50)
    path = tmp_path / "a.txt"
    path.write_text("short\n" + "x" * 170 + "\nalso short\n")
    chunk = ShardReader(source_of([path], 10**6)).chunk(0, START, 10**6)
    assert [document.text for document in chunk.documents] == ["short", "also short"]
    assert [problem.where for problem in chunk.faults] == ["a.txt byte 6"]
    paragraphs = ShardReader(source_of([path], 10**6, "blank lines")).chunk(0, START, 10**6)
    assert (paragraphs.read, len(paragraphs.faults)) == (1, 1)
