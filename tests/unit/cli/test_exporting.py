"""`launcher export`: all that is wrong with what was asked is said at once, before the model is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.cli import exporting
from launcher.errors import DataError
from launcher.recipe.export_rules import Format

USUAL = {"int8": False, "torchao": None, "check": True, "floor": None}


def asked(kind: Format, output: Path, texts: Path | None = None, **options: object) -> list[str]:
    with pytest.raises(DataError) as told:
        exporting.write_export("a", Path("runs"), kind, output, {**USUAL, **options}, texts, False)
    return [problem.what for problem in told.value.problems]


@pytest.fixture(autouse=True)
def no_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(exporting, "model_folder", lambda run, runs: tmp_path)
    monkeypatch.setattr(exporting, "heavy", lambda verb, request: pytest.fail("the model was read"))


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert asked("onnx", tmp_path / "there", tmp_path / "no" / "t.txt", check=False, floor=0.9) == [
        "there is a folder already",
        "there is no such folder to write to",
        "--texts is for --format fasttext",
        "--floor is compared with what --check measures",
    ]
    assert asked("vec", tmp_path / "a.vec", floor=0.9) == ["--floor and --int8 are for onnx and safetensors"]


def test_who_names_no_place_finds_it_under_the_runs_name() -> None:
    told = [
        exporting.named_after("runs/a", "onnx", USUAL),
        exporting.named_after("a", "onnx", {**USUAL, "int8": True}),
        exporting.named_after("a", "safetensors", {**USUAL, "torchao": "int4"}),
        exporting.named_after("a", "fasttext", USUAL),
        exporting.named_after("a", "vec", USUAL),
    ]
    assert list(map(str, told)) == ["a-onnx", "a-onnx-int8", "a-safetensors-int4", "a.bin", "a.vec"]


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert asked("safetensors", tmp_path / "link") == ["there is a file already"]


def test_a_missing_extra_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    assert asked("onnx", tmp_path / "out") == ["--format onnx needs onnx and onnxruntime and onnxscript"]
    assert asked("safetensors", tmp_path / "out", torchao="int8") == ["--torchao needs torchao"]
    assert asked("vec", tmp_path / "out", torchao="int8") == [
        "--torchao is for --format safetensors",
        "--torchao needs torchao",
    ]
