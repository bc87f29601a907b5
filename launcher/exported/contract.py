"""The folder of an export: what `export.json` in it says.

    model.onnx       the graph; of what writes it computes the next tokens, from the keys and values of those before
    encoder.onnx     of an encoder-decoder, what the graph takes of the text
    tokenizer.json   how texts become tokens; of images there is none
    export.json      all that is to be known besides, sealed (`launcher.runs.seals`)
    reader.py        reads these three (`launcher.exported.readers`)
    README.md        what it is, and an example

`export.json`:

    format           1; another number is another layout
    made_by          the version of recipe-launcher
    task             the kind of the recipe's task
    reads            what kind of texts it takes and answers (`readers.READERS`), and so which reader it has
    pairs            whether it takes pairs of texts: true, false, or null where it takes either
    labels           in the order of the graph's outputs
    inputs, outputs  names of the graph's, int64 [rows, tokens] and float32; of images float32 [rows, 3, height, width];
                     `answer_at` are the places whose words are asked for, counted from the end of the row
    max_length       tokens of the longest input; `direction`: at which end a longer one is cut
    pad, empty       the token that fills up rows, and those of a text of which the tokenizer makes none
    words            how a text is cut before the tokenizer, if at all: patterns, or "jieba"
    mask             the name and number of the token at which a word is filled in; `signs` are the names of others that
                     are mere text in a text, `own` their numbers, of which `unknown` takes the place, and `around` what
                     stands before and behind a text
    prompt           what a text is read with: `prefix`, tokens `before` and `behind` it, the `room` for it, and what is
                     `cut` off where it is longer (the `end` of the text, the `beginning` of all); `own` signs of the
                     tokenizer become `unknown`; `empty` where there is no token
    chat             of conversations: their jinja `template`, its `signs`, the `system` turn, and `names` of control
                     tokens that are text where a message holds them; `border` stands before parts of a text
    writing          heads and numbers of what is kept of earlier tokens (`past`), the token that a decoder begins with,
                     how many `steps` there are, from how many tokens on a text is unfinished (`longest`), the `least`,
                     which token `ends` it, which are `never` written, and which are `forced` at a step
    decoded          what is `replaced` in the text of tokens, and a pattern of spaces that are left out (`joined`)
    left_out         settings of the recipe that the reader does not follow: it takes the likeliest token
    threshold        of labels; `prefixes` of queries and passages; `stride`, `question`, `longest_answer`, `best` and
                     `no_answer_threshold` of answers in texts; `size`, … of images
    exporter, int8   how the graph was made
    parity           at which shapes it was compared with the model, and the largest difference over the logits' scale
    proof            how it answers the whole test split beside the model; null where that was not asked for
    files            size and SHA-256 of the others
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from launcher.errors import BackendError, Problem
from launcher.exported.readers import READERS
from launcher.runs.seals import Damaged, damage, read_sealed, write_sealed

FILE = "export.json"
GRAPH = "model.onnx"
ENCODER = "encoder.onnx"
"""Beside it, of an encoder-decoder."""
GRAPHS = (GRAPH, ENCODER)
TOKENIZER = "tokenizer.json"
FORMAT = 1
TYPES = {"task": str, "reads": str, "labels": list, "inputs": list, "outputs": list, "files": dict}
"""What is looked at before any of it is used."""


def is_export(folder: Path) -> bool:
    """Whether that is the folder of an export."""
    return (folder / FILE).is_file()


def write(folder: Path, about: dict[str, Any]) -> None:
    """Write export.json, sealed."""
    write_sealed(folder / FILE, {"format": FORMAT, **about})


def read(folder: Path) -> dict[str, Any]:
    """What export.json says. Raises BackendError where there is none, a file is damaged, or it is a newer one."""
    try:
        about = read_sealed(folder / FILE)
        if about.get("format") != FORMAT:
            do = "update recipe-launcher, or export the run again"
            raise BackendError(
                Problem(f"the export has the format {about.get('format')}, not {FORMAT}", str(folder), do)
            )
        wrong = [name for name, kind in TYPES.items() if not isinstance(about.get(name), kind)]
        if wrong or about["reads"] not in READERS or not {GRAPH} <= about["files"].keys():
            raise Damaged(f"{FILE} lacks {', '.join(wrong) or 'what it needs'}")
        fault = damage(folder, about["files"])
    except Damaged as error:
        fault = str(error)
    if fault:
        raise BackendError(Problem(f"the export is damaged: {fault}", str(folder), "export the run again"))
    return about
