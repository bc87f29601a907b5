"""Cuts the benchmark files out of SST-2 and CoNLL-2003: a training split without a short last batch, tiny others.

Expects FOLDER/sst2_alps/{train,dev,test}.tsv (header `sentence<TAB>label`) and
FOLDER/conll2003/eng.{train,testa} (four columns, IOB1, -DOCSTART- lines).
"""

from __future__ import annotations

from pathlib import Path

HELD_OUT = 32
"""Rows of the validation and of the test split: the launcher evaluates at the end, outside of what is timed."""
TASKS = ("sst2", "conll2003")
RECIPES = {task: Path(__file__).parent.resolve() / "recipes" / f"{task}_minilm.py" for task in TASKS}


def cut(task: str, data: Path, folder: Path, batch_size: int, rows: int | None = None) -> int:
    """Write the task's three files below `folder`; how many rows (a multiple of the batch) train has."""
    made = folder / task
    made.mkdir(parents=True)
    if task == "sst2":
        source, ending, parts = data / "sst2_alps", "tsv", ("train.tsv", "dev.tsv", "test.tsv")
        header, *train = _lines(source / parts[0])
        splits = [train, *(_lines(source / part)[1 : 1 + HELD_OUT] for part in parts[1:])]
        start = header + "\n"
        end = "\n"
    else:
        source, ending, start, end = data / "conll2003", "txt", "", "\n\n"
        held_out = sentences(source / "eng.testa")
        splits = [sentences(source / "eng.train"), held_out[:HELD_OUT], held_out[HELD_OUT : 2 * HELD_OUT]]
    whole = min(len(splits[0]), rows or len(splits[0])) // batch_size * batch_size
    splits[0] = splits[0][:whole]
    for name, split in zip(("train", "validation", "test"), splits, strict=True):
        (made / f"{name}.{ending}").write_text(start + end.join(split) + end, encoding="utf-8")
    return whole


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def sentences(path: Path) -> list[str]:
    """Sentences as they stand in the file, without the -DOCSTART- lines."""
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    return [block.strip("\n") for block in blocks if block.strip() and not block.lstrip().startswith("-DOCSTART-")]
