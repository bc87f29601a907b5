"""README.md of an export: what it is, how it is read, and how it answered the test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from launcher.printing import export_cells
from launcher.recipe.export_rules import WRITTEN
from launcher.recipe.method import Full
from launcher.recipe.task import plain
from launcher.training.result.card import front
from launcher.training.result.export_proof import Proof
from launcher.training.result.markdown import row
from launcher.training.result.model_folder import SavedModel
from launcher.training.sources.heads import HEADS

EXAMPLES = {
    "spans": 'python reader.py "Where is it?" "It is here."',
    "score": 'python reader.py "a query" "a passage"',
    "image": "python reader.py photo.jpg",
    "relation": 'python reader.py "<e1>Paris</e1> is in <e2>France</e2>"',
}
GIVEN = {"image": '["photo.jpg"]', "relation": '["<e1>Paris</e1> is in <e2>France</e2>"]'}


def write(folder: Path, about: Mapping[str, Any]) -> None:
    """Of an ONNX export."""
    reads, pairs = about["reads"], about["pairs"]
    needs = "onnxruntime numpy pillow" if reads == "image" else "onnxruntime tokenizers numpy"
    needs += (" jieba" if about["words"] == "jieba" else "") + (" jinja2" if reads == "reply" else "")
    text = f"a {about['mask'][0]} text" if reads == "masks" else "a text"
    example = EXAMPLES.get(reads, 'python reader.py "one text" "its other"' if pairs else f'python reader.py "{text}"')
    given = '[("one text", "its other")]' if pairs else GIVEN.get(reads, f'["{text}"]')
    made = f"{about['exporter']}, then 8 bits a weight by onnxruntime" if about["int8"] else about["exporter"]
    lines = [
        f"# {about['task']}, as an ONNX graph",
        "",
        "It answers without torch, transformers and recipe-launcher:",
        "",
        "```",
        f"pip install {needs}",
        example,
        "```",
        "",
        "From Python, in this folder:",
        "",
        "```python",
        "from reader import Reader",
        f'print(Reader(".").predict({given}))',
        "```",
        "",
        f"Made by {about['made_by']} with {made}. Compared with the model at {len(about['parity']['shapes'])} shapes",
        f"of input, before 8 bits: the largest difference was {about['parity']['largest_difference']:.1g} of a logit.",
    ]
    if reads in WRITTEN:
        lines += ["", *_of_writing(about)]
    if about["int8"] and not about["int8"]["reduce_range"]:
        lines += [
            "",
            "Its products of 8 bits need a processor with VNNI, AMX or ARM's dot products: on older ones they",
            "overflow, and answers change. An export that is made on an older one keeps to the range of those.",
        ]
    if about["proof"]:
        lines += _table(about["proof"]["formats"], about["proof"]["metric"], about["proof"]["rows"])
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _table(formats: Sequence[Mapping[str, Any]], metric: str, rows: int) -> list[str]:
    head, *told = export_cells(formats, metric)
    made = [row(*head), f"|{'---|' * len(head)}", *(row(*cells) for cells in told)]
    return ["", f"On the {rows:,} rows of the test split:", "", *made]


def _of_writing(about: Mapping[str, Any]) -> list[str]:
    """How it writes, and what else it needs to be told."""
    told = ["The reader takes the likeliest token each time, until the text ends by itself"]
    told += [f"or has {about['writing']['longest']} tokens (`writing.longest`)."]
    if left_out := about.get("left_out"):
        told += [f"It does not follow the recipe's {', '.join(left_out)}: the model was asked without, too."]
    if about["reads"] == "reply":
        roles = ("user", "assistant", "user")
        turns = ", ".join(f'{{"role": "{role}", "content": "…"}}' for role in roles)
        told += ["", "A conversation is a list, of which the reply is written:", "", "```python"]
        told += [f"talk = [{turns}]", 'print(Reader(".").predict([talk]))', "```"]
    return told


def write_plain(folder: Path, saved: SavedModel, torchao: Mapping[str, Any] | None, proof: Proof | None) -> None:
    """Of a model that transformers loads: its card."""
    head = HEADS[plain(saved.recipe.task).head]
    lines = [
        front(replace(saved.recipe, peft=Full())),
        f"# {saved.recipe.task.kind}",
        "",
        "A whole model in the format of transformers:",
        "",
        "```python",
        f"from {head.imported_from} import {head.auto_name}",
        f'model = {head.auto_name}.from_pretrained(".")',
        "```",
    ]
    if head.is_own:
        lines += ["", "The head is recipe-launcher's own; `transformers.AutoModel` loads the body without it."]
    if torchao is not None:
        made = f"{torchao['layers']} linear layers are in {torchao['weights']} by torchao {torchao['version']}"
        lines += ["", f"{made}: loading it needs `pip install torchao`."]
    if proof is not None:
        lines += _table(proof.rows, proof.metric, proof.split.rows)
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
