"""What `refused_rows` does, for the rules about tasks that compare texts."""

from __future__ import annotations

from refused_rows import Row

from launcher import Augment, HeadOnly, Pairs, Pretrained, Reranker, Table, TextEmbedding, Training

PAIRS = Pairs(train="a.jsonl")
MODEL = Pretrained(model="a/model")
ROWS = [
    Row(
        "_task_and_data",
        {"task": TextEmbedding(), "data": Table(train="a.csv")},
        "a Table has no passages for queries, which TextEmbedding needs",
        "mine.py:data",
        "use Pairs data",
    ),
    Row(
        "_task_and_data",
        {"task": TextEmbedding(loss="cosent"), "data": PAIRS},
        "Pairs holds passages for queries; TextEmbedding needs a number a text",
        "mine.py:data",
        "use TextEmbedding(loss='ranking'), or Table data",
    ),
    Row(
        "_pairs",
        {"task": TextEmbedding(loss="cosent"), "data": Table(train="a.csv")},
        "TextEmbedding reads two texts, and the table names the column of one",
        "mine.py:data",
        'name the columns of both: Table(…, text="text", text_pair="text_pair")',
    ),
    Row(
        "_no_head",
        {"task": TextEmbedding(), "data": PAIRS, "embedding": MODEL, "peft": HeadOnly()},
        "HeadOnly trains what is put on a model, and TextEmbedding puts nothing on it that has weights",
        "mine.py:peft",
        "use Full() or LoRA()",
    ),
    Row(
        "_single_rows",
        {"task": TextEmbedding(), "data": PAIRS, "embedding": MODEL, "training": Training(r_drop=0.5)},
        "TextEmbedding compares the rows of a batch with each other, and training.r_drop is about single rows",
        "mine.py:training.r_drop",
        "leave it out",
    ),
    Row(
        "_one_row",
        {"task": TextEmbedding(), "data": PAIRS, "embedding": MODEL, "training": Training(batch_size=1)},
        "TextEmbedding compares the rows of a batch with each other, and a batch of 1 has no other",
        "mine.py:training.batch_size",
        "write 32 or more",
    ),
    Row(
        "_negatives",
        {"task": Reranker(), "data": PAIRS, "embedding": MODEL},
        "Reranker learns from passages that do not belong to a query, and no column of them is named",
        "mine.py:data.negatives",
        'write Pairs(…, negatives="negatives"); `launcher mine` finds such passages',
    ),
    Row(
        "_augment",
        {"task": TextEmbedding(), "data": Pairs(train="a.jsonl", augment=Augment()), "embedding": MODEL},
        "a changed copy of a query would be told from the query, whose passage is its own",
        "mine.py:data.augment",
        "leave data.augment out",
    ),
]
