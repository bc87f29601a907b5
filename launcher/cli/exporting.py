"""`launcher export`: a finished run's model in a format of other programs, and how that answers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from launcher.child import heavy
from launcher.cli.columns import print_table
from launcher.cli.display import print_json
from launcher.errors import DataError, Problem
from launcher.model import model_folder
from launcher.printing import export_cells
from launcher.recipe.export_rules import FOLDERS, Format
from launcher.runs.halves import remove_halves

NEEDED = ("onnx", "onnxruntime", "onnxscript")
ELSE = "name another one, or remove it"


def write_export(
    run: str,
    runs: Path,
    kind: Format,
    output: Path | None,
    options: Mapping[str, Any],
    texts: Path | None,
    as_json: bool,
) -> None:
    """Write the file or the folder and print how it compares; `options` are int8, torchao, check and floor."""
    folder = model_folder(run, runs)
    output = output or named_after(run, kind, options)
    if problems := list(_wrong(kind, output, options, texts)):
        raise DataError(problems)
    request = {"model": str(folder), "format": kind, "output": str(output.resolve()), **options}
    try:
        told = heavy("export", {**request, "texts": texts and str(texts.resolve()), "said": not as_json})
    finally:
        remove_halves(output.resolve())
    if as_json:
        print_json(told)
        return
    print(_said(told) if kind not in FOLDERS else _made(told))
    if told.get("rows"):
        print_table(export_cells(told["rows"], told["metric"]))
    if told.get("not_written"):
        names = ", ".join(told["not_written"])
        print(f"the reader is greedy: it does not follow {names}, and was compared with the model so", file=sys.stderr)
    if told.get("left_out"):
        print(f"{told['left_out']:,} words hold white space, which the format cannot; left out", file=sys.stderr)


def named_after(run: str, kind: Format, options: Mapping[str, Any]) -> Path:
    """Where an export goes if nobody says where: beside where one stands, under the run's name."""
    name = Path(run).name
    if kind not in FOLDERS:
        return Path(f"{name}.{'bin' if kind == 'fasttext' else kind}")
    parts = [name, kind, "int8" if options["int8"] else None, options["torchao"]]
    return Path("-".join(part for part in parts if part))


def _wrong(kind: Format, output: Path, options: Mapping[str, Any], texts: Path | None) -> Iterator[Problem]:
    """All that can be said before the model is read."""
    for path in (output, texts):
        if path is not None and (path.exists() or path.is_symlink()):
            yield Problem(f"there is a {'folder' if path.is_dir() else 'file'} already", str(path), ELSE)
        elif path is not None and not path.resolve().parent.is_dir():
            yield Problem("there is no such folder to write to", str(path.resolve().parent), "make it first")
    if options["torchao"] is not None and kind != "safetensors":
        yield Problem("--torchao is for --format safetensors", do="leave it out; graphs have --int8")
    if kind not in FOLDERS and (options["floor"] is not None or options["int8"]):
        yield Problem(f"--floor and --int8 are for {' and '.join(sorted(FOLDERS))}", do="leave them out")
    if kind in FOLDERS and texts is not None:
        yield Problem("--texts is for --format fasttext", do="leave it out")
    if options["floor"] is not None and not options["check"]:
        yield Problem("--floor is compared with what --check measures", do="leave --no-check or --floor out")
    lacking = [name for name in NEEDED if find_spec(name) is None] if kind == "onnx" else []
    if lacking:
        yield Problem(f"--format onnx needs {' and '.join(lacking)}", do="pip install 'recipe-launcher[onnx]'")

    if options["torchao"] is not None and find_spec("torchao") is None:
        yield Problem("--torchao needs torchao", do="pip install 'recipe-launcher[torchao]'")


def _made(told: Mapping[str, Any]) -> str:
    lines = []
    if told["format"] == "onnx":
        parity = told["parity"]
        bits = "" if not told["int8"] else ", then 8 bits a weight"
        bits += " with reduced range" if told["int8"] and told["int8"]["reduce_range"] else ""
        lines.append(f"{told['file']}: made by {told['exporter']}{bits}")
        apart = f"{parity['largest_difference']:.1g} of the largest number"
        lines.append(f"compared with the model at {len(parity['shapes'])} shapes: largest difference {apart}")
    else:
        lines.append(f"{told['file']}: the whole model, as transformers loads it")
        if (bits := told["torchao"]) is not None:
            lines.append(f"{bits['layers']} linear layers in {bits['weights']} by torchao {bits['version']}")
    return "\n".join([*lines, *([] if told["rows"] else ["not compared on the test split (--no-check)"])])


def _said(told: dict[str, Any]) -> str:
    lines = [f"{told['file']}: {told['words']:,} words, {told['dimension']:,} numbers each"]
    if "equal_labels" in told:
        lines.append("it cuts texts at white space: give it words as the recipe cuts them, with blanks between them")
        lines.append(
            f"read back: {told['equal_labels']:,} of {told['compared']:,} test texts have the same label; "
            f"largest difference of a probability {told['largest_difference']:.1g}"
        )
    elif "compared" in told:
        lines.append(f"read back: {told['compared']:,} vectors, largest difference {told['largest_difference']:.1g}")
    return "\n".join(lines)
