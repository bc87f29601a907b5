"""An export behind HTTP: it answers as it answers in Python, and no torch is needed."""

import json
import subprocess
import sys

import numpy as np
import pytest
from command_line import typed
from hosting import Hosted, get, post
from numbered import WORDS, sentences

from launcher.exported import contract
from launcher.exported.answering import Exported
from launcher.launch import serving
from launcher.runs.seals import digests
from launcher.serving.limits import Limits
from launcher.serving.served_export import ServedExport


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """Two logits, each the sum of a number for every word."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("export")
    names = {name: number for number, name in enumerate(["[PAD]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(names, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / contract.TOKENIZER))
    table = np.random.default_rng(0).normal(size=(len(names), 2)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["each"]),
        helper.make_node("Cast", ["attention_mask"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["real", "two"], ["column"]),
        helper.make_node("Mul", ["each", "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["logits"], keepdims=0),
    ]
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, ["r", "t"]) for n in ("input_ids", "attention_mask")]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["r", 2])]
    fixed = {"table": table, "one": np.array([1]), "two": np.array([2])}
    graph = helper.make_graph(nodes, "sum", inputs, outputs, [numpy_helper.from_array(v, n) for n, v in fixed.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, str(folder / contract.GRAPH))
    about = {"task": "TextClassification", "reads": "label", "labels": ["a", "b"], "pairs": False, "words": []}
    about |= {"inputs": ["input_ids", "attention_mask"], "outputs": ["logits"], "max_length": 20}
    about |= {"direction": "right", "pad": 0, "empty": [1], "files": digests(folder, [contract.GRAPH])}
    contract.write(folder, about)
    return folder


def test_answers_are_those_of_the_export(export):
    texts = [" ".join(words) for words in sentences(60, 3)] + ["", "unheard of", " ".join(WORDS[:30])]
    expected = Exported.open(export).predict(texts)
    with Hosted(Limits(batch_rows=8), m=ServedExport(export)) as here:
        told = post(f"{here.url}/v1/predict", json={"texts": texts}).json()["answers"]
        assert post(f"{here.url}/v1/predict", json={"texts": [["a", "b"]]}).status_code == 400
        assert list(get(f"{here.url}/v1/models").json()["data"][0]["labels"]) == ["a", "b"]
    for one, other in zip(told, expected, strict=True):
        assert one["label"] == other["label"] and one.get("truncated") == other.get("truncated")
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
    assert expected[-1]["truncated"]


def test_the_command_takes_it_and_imports_no_torch(export, tmp_path):
    told = typed("serve", str(export), "--set", "num_beams=2")
    assert "an export answers as it was exported" in told.stderr
    assert serving.named_models([f"m={export}", str(export)], tmp_path, {}) == {
        "m": str(export.resolve()),
        export.name: str(export.resolve()),
    }
    source = (
        "import sys; from launcher.worker.serving import _served; from pathlib import Path;"
        f"print(_served(Path({str(export)!r}), {{}}).about.task, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["TextClassification", "False"], done.stderr
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "export.json").write_text(json.dumps({}))
    words = [sys.executable, "-m", "launcher", "serve", str(damaged), "--port", "0"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "export is damaged" in done.stderr, "Traceback" in done.stderr) == (4, True, False)
