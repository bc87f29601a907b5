"""The folder of an export: what is not as it was written, or newer, is refused; what a reader may need is short."""

import ast
import sys

import pytest

from launcher.errors import BackendError
from launcher.exported import answering, contract
from launcher.exported.readers import READERS, reader_source
from launcher.runs.seals import digests

LINES = 130
ABOUT = {
    "task": "TextClassification",
    "reads": "label",
    "labels": ["a", "b"],
    "inputs": ["input_ids"],
    "outputs": ["logits"],
    "words": [],
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / contract.GRAPH).write_bytes(b"no graph")
    contract.write(tmp_path, {**ABOUT, "files": digests(tmp_path, [contract.GRAPH])})
    return tmp_path


def test_what_was_written_is_read(folder):
    assert contract.is_export(folder) and contract.read(folder)["labels"] == ["a", "b"]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda folder: (folder / contract.GRAPH).write_bytes(b"no graff"), "model.onnx is not as it was written"),
        (lambda folder: (folder / contract.GRAPH).unlink(), "model.onnx is missing"),
        (lambda folder: (folder / contract.FILE).unlink(), "export.json is missing"),
        (lambda folder: (folder / contract.FILE).write_text("{}"), "export.json has no seal"),
        (lambda folder: contract.write(folder, {**ABOUT, "files": {}}), "export.json lacks what it needs"),
        (lambda folder: contract.write(folder, {**ABOUT, "reads": "../x", "files": {}}), "export.json lacks"),
        (lambda folder: contract.write(folder, {"format": 2, **ABOUT, "files": {}}), "has the format 2, not 1"),
    ],
)
def test_what_is_damaged_or_newer_is_refused(folder, harm, told):
    harm(folder)
    with pytest.raises(BackendError, match=told):
        contract.read(folder)


def test_a_graph_that_onnxruntime_cannot_open_is_one_sentence(folder):
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(BackendError, match="the export cannot be opened"):
        answering.Exported.open(folder)


@pytest.mark.parametrize("reads", READERS)
def test_a_reader_is_short_and_imports_nothing_of_ours(reads):
    source = reader_source(reads)
    tree = ast.parse(source)
    documented = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    texts = [node.body[0] for node in documented if ast.get_docstring(node)]
    notes = {line for text in texts for line in range(text.lineno, text.end_lineno + 1)}
    code = [line for number, line in enumerate(source.splitlines(), 1) if line.strip() and number not in notes]
    assert len(code) <= LINES
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {(getattr(node, "module", None) or node.names[0].name).split(".")[0] for node in imports}
    allowed = {"numpy", "onnxruntime", "tokenizers", "jieba", "PIL", "jinja2"}
    assert names - sys.stdlib_module_names <= allowed
