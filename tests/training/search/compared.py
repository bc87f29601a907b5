"""Small rows of texts that are compared, the work of their task, and vectors."""

from __future__ import annotations

import torch
from at_work import work_of
from speaking import word_level

from launcher.training.data import Row

ROWS = [
    Row("word1 word2", ("word3 word4 word5", "word6"), "a row 1"),
    Row("word7", ("word8 word9",), "a row 2"),
    Row("word1 word2", ("word10", "word11 word12 word13", "word3 word4 word5"), "a row 3"),  # the query of the first
    Row("word14", ("word8  word9 ",), "a row 4"),
    Row("word6", ("word15",), "a row 5"),  # the query is a negative of the first
]


def unit(rows, width, seed=0):
    values = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(values, dim=-1)


def made(task, rows=ROWS):
    work = work_of(task, labels=("label",), tokenizer=word_level("bert"), max_length=16)
    return work, work.encode(rows).split
