"""The global batches of a stream: the same on any number of ranks, each row once a pass, the same after a stop."""

from __future__ import annotations

import gzip
from collections import Counter

import numpy as np
import pytest
from made_corpora import encode, on_ranks, rows_of, source_of, stream_of, texts

from launcher.errors import DataError
from launcher.training.batches.split import TOKENS
from launcher.training.data.shard_reading import Document
from launcher.training.streaming.stream import STANDING


@pytest.fixture
def corpus(tmp_path):
    """Two files of 300 lines, and their rows."""
    lines, paths = texts(300), [tmp_path / "a.txt", tmp_path / "b.txt"]
    paths[0].write_text("\n".join(lines[:170]) + "\n")
    paths[1].write_text("\n".join(lines[170:]) + "\n")
    return paths, Counter(rows_in(lines))


def rows_in(lines) -> list[bytes]:
    split = encode([Document(line, "") for line in lines]).ragged(TOKENS)
    return [split.row(number).astype(np.uint8).tobytes() for number in range(len(split.lengths))]


def together(stream, size, steps=range(10**6), standings=None):
    """The rows of all ranks, and one rank's `StreamedRows`; no row may be on two ranks."""
    ranks = on_ranks(size, lambda rank: (rows := rows_of(stream, rank, steps, standings), rows.state()[STANDING]))
    taken: dict[tuple[int, int], bytes] = {}
    for rows, _ in ranks:
        assert not taken.keys() & rows.taken.keys()
        taken |= rows.taken
        assert rows.targets == ranks[0][0].targets
    return taken, ranks[0][0], ranks[0][1]


@pytest.mark.parametrize("unit", [40, 200, 3000])
def test_a_pass_has_each_row_once_and_the_same_batches_on_any_number_of_ranks(corpus, unit):
    stream = stream_of(source_of(corpus[0], unit))
    taken, rows, _ = together(stream, 1)
    assert Counter(taken.values()) == corpus[1]
    assert "the corpus was read once" in rows.ended
    for size in (2, 4):
        other, also, _ = together(stream, size)
        assert other == taken
        assert (
            also.targets
            == rows.targets
            == {step: sum(len(row) for (of, _), row in taken.items() if of == step) for step in rows.targets}
        )


def test_the_order_is_a_function_of_seed_and_pass(corpus):
    source = source_of(corpus[0], 100)
    once, _, _ = together(stream_of(source), 1)
    twice, _, _ = together(stream_of(source, passes=2), 1)
    assert Counter(twice.values()) == Counter({row: 2 * count for row, count in corpus[1].items()})
    other, _, _ = together(stream_of(source, seed=1), 1)
    assert list(once.values()) != list(other.values())
    half = len(once) // 2
    assert list(twice.values())[:half] == list(once.values())[:half]
    assert list(twice.values())[-half:] != list(once.values())[-half:]


@pytest.mark.parametrize(("before", "after"), [(1, 1), (1, 4), (4, 2), (2, 1)])
def test_a_stream_goes_on_where_it_stood_on_any_number_of_ranks(corpus, before, after):
    stream = stream_of(source_of(corpus[0], 150), passes=2)
    whole, _, _ = together(stream, 1)
    last = max(step for step, _ in whole)
    for stop in (1, 7, last // 2, last):
        first, _, standings = together(stream, before, range(stop))
        rest, _, _ = together(stream, after, range(stop, 10**6), standings)
        assert first | rest == whole and not first.keys() & rest.keys()


def test_what_was_seen_is_not_read_again(corpus, monkeypatch):
    from launcher.training.data.shard_reading import ShardReader

    stream = stream_of(source_of(corpus[0], 2000))
    _, rows, standings = together(stream, 1, range(40))
    read, chunk = [], ShardReader.chunk
    monkeypatch.setattr(ShardReader, "chunk", lambda *given: read.append(given[1:3]) or chunk(*given))
    together(stream, 1, range(40, 41), standings)
    lanes = [lane.standing for lane in rows.held.values()]
    assert all(standing.place >= 0 or standing.turn for standing in lanes) or len(read) <= 2 * len(lanes) + 4
    assert set(read[:4]) <= {
        (int(lane.order.of(s[0])[lane.lane + s[1] * lane.lanes]), int(s[2]))
        for lane, s in zip(rows.held.values(), standings, strict=True)
    }


def test_one_packed_file_serves_all_slots(tmp_path):
    lines, path = texts(100), tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    stream = stream_of(source_of([path]))
    assert stream.firsts.tolist() == [0, 1]
    taken, _, _ = together(stream, 1)
    assert list(taken.values()) == rows_in(lines)
    assert together(stream, 4)[0] == taken
    first, _, standings = together(stream, 2, range(9))
    assert first | together(stream, 4, range(9, 10**6), standings)[0] == taken


def test_a_mixture_keeps_its_weights_at_any_time(tmp_path):
    sources = []
    for number, weight in enumerate((6.0, 3.0, 1.0)):
        path = tmp_path / f"{number}.txt"
        path.write_text("".join(f"{number}{line}\n" for line in texts(60, number)))
        sources.append(source_of([path], 100, name=path.name, weight=weight))
    stream = stream_of(*sources, batch_size=10, passes=50)
    chosen = np.concatenate([stream.sources_of(step) for step in range(500)])
    for end in (100, 1000, 5000):
        counts = np.bincount(chosen[:end], minlength=3) / end
        assert np.abs(counts - [0.6, 0.3, 0.1]).max() < 3 / end + 0.01
    taken, _, standings = together(stream, 1, range(50))
    assert together(stream, 5, range(50))[0] == taken
    drawn = {(step, slot): int(stream.sources_of(step)[slot]) for step, slot in taken}
    starts = {key: row[:1].decode() for key, row in taken.items() if b": " in row[:6]}
    assert starts and all(starts[key] == str(drawn[key]) for key in starts)
    whole, _, _ = together(stream, 1, range(60))
    assert taken | together(stream, 2, range(50, 60), standings)[0] == whole


def test_a_mixture_ends_with_its_first_source(tmp_path):
    for name, count in (("small", 20), ("large", 400)):
        (tmp_path / name).write_text("\n".join(texts(count)))
    sources = [source_of([tmp_path / name], 100, name=name) for name in ("small", "large")]
    taken, rows, _ = together(stream_of(*sources, passes=2), 2)
    assert "small was read 2 times, as training.epochs says" in rows.ended
    small, all_of_large = (len(rows_in(texts(count))) for count in (20, 400))
    assert 2 * small < len(taken) < all_of_large


def test_what_breaks_ahead_is_told_where_the_rows_are_asked_for(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "good"}\n{"text": 5}\n')
    with pytest.raises(DataError, match="the text is 5, not a string"):
        together(stream_of(source_of([path], 10**6), batch_size=1), 1)
