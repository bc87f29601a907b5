"""A finished run's model in formats of others, each compared with what it was made from before it counts.

A format of files is a function that writes one file and says what it wrote and how it compares; what it cannot hold it
refuses. A folder is written beside its place, answers the whole test split there, and is put in its place in one
rename. Nothing is left behind where anything is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from launcher.errors import DataError, Problem, RecipeError
from launcher.exported import contract
from launcher.recipe.export_rules import SAFE, Format, Torchao, refused
from launcher.runs.publishing import staged
from launcher.training import sources
from launcher.training.model_parts.outputs import outputs_at
from launcher.training.result import export_notes, inference, onnx_folder, static_exports, torchao_weights
from launcher.training.result.export_proof import Proof
from launcher.training.result.merging import into_weights
from launcher.training.result.model_folder import SavedModel
from launcher.training.result.onnx_folder import OnnxFolder
from launcher.training.result.writing import generator
from launcher.training.result.writing_folder import WRITTEN, WritingFolder, greedy, settings_left_out
from launcher.training.sealed_model import put_seal_on
from launcher.training.sources.border import quiet
from launcher.training.tasks.writing import writer

FILES: Mapping[str, Callable[[SavedModel, Path, Path | None], dict[str, Any]]] = {
    "fasttext": static_exports.fasttext,
    "vec": static_exports.vec,
}


LARGEST = 2**31
"""Bytes of a graph's file: the format's own limit."""


@dataclass(frozen=True)
class Wanted:
    """What is asked of `launcher export`."""

    kind: Format
    output: Path
    texts: Path | None = None
    """Of the files: where to write the test split."""
    int8: bool = False
    torchao: Torchao | None = None
    check: bool = True
    floor: float | None = None
    say: Callable[[str], None] = lambda line: None
    """Told what is being done."""


def export(saved: SavedModel, wanted: Wanted, folder: Path) -> dict[str, Any]:
    """Write the model of `folder`; what was written and how it answers, for `launcher export`.

    Raises RecipeError for a model that the format cannot hold, WorkerError where what was written is not the model, or
    answers below the floor.
    """
    if problems := list(refused(saved.recipe, wanted.kind, wanted.int8)):
        raise RecipeError(problems)
    if wanted.torchao is not None:
        torchao_weights.refuse_here(wanted.torchao)
    if wanted.kind == "onnx":
        _refuse_large(saved.model)
    told = {"file": str(wanted.output), "format": wanted.kind}
    try:
        if wanted.kind in FILES:
            return {**told, **FILES[wanted.kind](saved, wanted.output, wanted.texts)}
        with staged(wanted.output) as staging:
            proof = _proof(saved, wanted) if wanted.check else None
            write = {"onnx": _onnx, "safetensors": _safetensors}[wanted.kind]
            made = write(saved, folder, staging, wanted, proof)
        return {**told, **made, "metric": proof and proof.metric, "rows": proof and proof.rows}
    except (OSError, SafetensorError) as error:
        what = f"the model cannot be written: {getattr(error, 'strerror', None) or error}"
        raise DataError(Problem(what, str(wanted.output), "make room there, or name another place")) from None


def _refuse_large(model: nn.Module) -> None:
    size = 4 * sum(weight.numel() for weight in model.parameters())
    if size >= LARGEST:
        what = f"the model's weights take {size / 1e9:.1f} GB, and a graph in one file holds {LARGEST / 1e9:.1f}"
        raise RecipeError(Problem(what, do=SAFE))


def _proof(saved: SavedModel, wanted: Wanted) -> Proof:
    if wanted.kind != "onnx":
        return Proof(saved, inference.test_split(saved), wanted.say)
    return Proof(greedy(saved), inference.test_split(saved), wanted.say, WRITTEN)


def _onnx(saved: SavedModel, folder: Path, staging: Path, wanted: Wanted, proof: Proof | None) -> dict[str, Any]:
    left_out = settings_left_out(saved.recipe)
    saved = greedy(saved)
    kind = OnnxFolder if writer(saved.work) is None else WritingFolder
    made = kind(saved, folder, None if proof is None else proof.split)
    about = made.write(whole(saved), staging)
    graphs = [staging / name for name in contract.GRAPHS if (staging / name).is_file()]

    def add(name: str) -> None:
        if proof is not None:
            size = sum(graph.stat().st_size for graph in graphs)
            proof.add(name, made.compute(staging), size, made.generate(staging))

    add("onnx")
    if proof is not None:
        proof.refuse_apart()
    if wanted.int8:
        for graph in graphs:
            about["int8"] = onnx_folder.quantised(graph)
        add("onnx int8")
    if proof is not None:
        proof.refuse_below(wanted.floor)
        about["proof"] = {"metric": proof.metric, "rows": proof.split.rows, "formats": proof.rows}
    about |= {"left_out": left_out} if left_out else {}
    made.seal(staging, about)
    export_notes.write(staging, about)
    return {**{name: about[name] for name in ("exporter", "parity", "int8")}, "not_written": left_out}


def _safetensors(saved: SavedModel, _: Path, staging: Path, wanted: Wanted, proof: Proof | None) -> dict[str, Any]:
    model: Any = whole(saved)
    with quiet():
        model.save_pretrained(staging)
    if saved.reader.images is not None:
        saved.reader.images.save(staging)
    else:
        saved.work.tokenizer.save_pretrained(staging)
    about: dict[str, Any] = {"merged": model is not saved.model, "torchao": None}
    del model
    read_back = sources.load_model(staging, saved.recipe.task)

    def add(name: str, timed: bool = True) -> None:
        if proof is not None:
            size = sum(path.stat().st_size for path in staging.glob("*.safetensors"))
            there = replace(saved, model=read_back.eval())
            compute = partial(outputs_at, there.model, names=proof.outputs)
            proof.add(name, compute, size, generator(there), timed)

    add("safetensors")
    if proof is not None:
        proof.refuse_apart()
    if wanted.torchao is not None:
        read_back, about["torchao"] = torchao_weights.quantised(staging, saved, wanted.torchao)
        add(f"torchao {wanted.torchao}", timed=wanted.torchao != "int4")
    if proof is not None:
        proof.refuse_below(wanted.floor)
    export_notes.write_plain(staging, saved, about["torchao"], proof)
    put_seal_on(staging, {"format": 1, "base": {}})
    return about


def whole(saved: SavedModel) -> nn.Module:
    """The model with what its method added put into its weights; as it is, where that cannot be.

    The saved model is changed in place: ask it before all that is to be compared.
    """
    peft = saved.recipe.peft
    if not peft.merges or not hasattr(saved.model, "merge_and_unload"):
        return saved.model
    return into_weights(saved.model, peft.kind)
