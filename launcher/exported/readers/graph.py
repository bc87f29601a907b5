"""The graph of an export, and its tokenizer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class Graph:
    """What is in the folder of an export; `threads` 0 takes all cores."""

    def __init__(self, folder: Any, threads: int = 0) -> None:
        self.about = json.loads((Path(folder) / "export.json").read_text(encoding="utf-8"))
        self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        self.session = onnxruntime.InferenceSession(str(Path(folder) / "model.onnx"), options)

    def outputs(self, encodings: Any, also: Any = lambda *_: {}, rows: int = 16) -> list[Any]:
        """The graph's outputs for each, in their order; those of about one length are computed together.

        `also` says what else it takes, by the numbers of a batch and how many tokens its rows are filled up to.
        """
        found, order = dict[int, Any](), sorted(range(len(encodings)), key=lambda number: len(encodings[number].ids))
        for batch in (order[start : start + rows] for start in range(0, len(order), rows)):
            ids = [encodings[number].ids or self.about["empty"] for number in batch]
            real = np.arange(len(ids[-1])) < np.array([[len(each)] for each in ids])
            given = {"input_ids": np.full(real.shape, self.about["pad"]), "attention_mask": real.astype(np.int64)}
            given["input_ids"][real] = np.concatenate(ids)
            given["token_type_ids"] = np.zeros(real.shape, np.int64)
            given["token_type_ids"][real] = np.concatenate([encodings[number].type_ids or [0] for number in batch])
            given.update(also(batch, real.shape[1]))
            told = self.session.run(self.about["outputs"], {name: given[name] for name in self.about["inputs"]})
            found.update(zip(batch, zip(*told, strict=True), strict=True))
        return [found[number] for number in range(len(encodings))]
