"""What `refused_rows` does, for the rules about corpora that are streamed."""

from __future__ import annotations

from refused_rows import Row

from launcher import CausalLanguageModel, MaskedLanguageModel, Pretrained, Texts, Training

WRITES = {"task": CausalLanguageModel(), "embedding": Pretrained(model="a/model")}
STEPS = Training(max_steps=9)
COUNTED = {"validation_size": 5, "test_size": 5}
MIXED = {"a": "a.txt", "bb": "b.txt"}


def streamed(**fields: object) -> dict[str, object]:
    """A recipe whose corpus is streamed, and what is wrong with it."""
    data = {"train": "a.txt", "streaming": True, **COUNTED, **fields}
    return {**WRITES, "data": Texts(**data), "training": STEPS}


ROWS = [
    Row(
        "_stream",
        {**streamed(), "training": Training()},
        "nobody knows how many rows a stream has before it has been read",
        "mine.py:training.max_steps",
        "give training.max_steps",
    ),
    Row(
        "_stream",
        streamed(test_size=0.1),
        "of a stream no fraction can be cut for test: nobody knows how many documents it has",
        "mine.py:data.test_size",
        "give data.test_size a number of documents, as 500, or name files in data.test",
    ),
    Row(
        "_stream",
        streamed(duplicates="drop"),
        "data.duplicates needs all rows at once, and a stream is never held",
        "mine.py:data.duplicates",
        "leave data.duplicates out, or data.streaming",
    ),
    Row(
        "_stream",
        {**streamed(), "task": MaskedLanguageModel(next_sentence=True)},
        "half of the second sentences are another document's, and of a stream no others are at hand",
        "mine.py:task.next_sentence",
        "leave task.next_sentence out, or data.streaming",
    ),
    Row(
        "_mixture",
        streamed(weights={"a": 1}),
        "data.weights mixes several sources, and data.train is one",
        "mine.py:data.weights",
        'write {"name": "files"}',
    ),
    Row(
        "_mixture",
        streamed(train=MIXED, weights={"a": 1, "bb": 1, "b": 2}),
        "data.weights names 'b', which data.train does not have",
        "mine.py:data.weights",
        "did you mean 'bb'?",
    ),
    Row(
        "_mixture",
        streamed(train=MIXED, weights={"a": 1}),
        "data.weights says nothing of 'bb'",
        "mine.py:data.weights",
        "0 leaves a source out",
    ),
    Row(
        "_mixture",
        streamed(train=MIXED, weights={"a": 0, "bb": 0}),
        "all weights of the mixture are 0",
        "mine.py:data.weights",
        "give a source a weight above 0",
    ),
    Row(
        "_mixture",
        streamed(train=MIXED, streaming=False),
        "data.train by name is for streams",
        "mine.py:data.streaming",
        "add streaming=True",
    ),
]
