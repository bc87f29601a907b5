"""`launcher export`: a folder that answers as the model does, without torch, or one sentence and nothing."""

import pytest
import torch
from warm import MODELS
from without_torch import read_alone

from launcher.errors import RecipeError, WorkerError
from launcher.exported import contract
from launcher.exported.answering import Exported
from launcher.exported.readers import READERS
from launcher.recipe.export_rules import READS
from launcher.recipe.source import Transformer
from launcher.training.result import onnx_folder, onnx_graph
from launcher.training.result.exports import Wanted, export
from launcher.training.result.inference import evaluate, predict
from launcher.training.result.model_folder import load_saved_model
from launcher.training.result.onnx_folder import alike
from launcher.training.sources.static.static_model import (
    StaticVectorsConfig,
    StaticVectorsForSequenceClassification,
    encoder_values,
)

STEPS = {"max_steps": 8, "evaluate_every": 8}
TEXTS = ["word1 word3 word2", "unheardofword word7", "word0", "从未见过 word9 🙂", "", "word4 word5 " * 40]
RELATIONS = [
    "<e1>word1</e1> word3 <e2>word2</e2>",
    "[E2]word1[/E2] is <E1> word2 word9 </E1>!",
    "word5 <e1>word1 <e2>word2</e2></e1> word7",
    "<e1>从未</e1>见过<e2>🙂</e2>",
    "<e1>word1</e1> " + "word4 word5 " * 150 + "<e2>word2</e2>",
    "word4 word5 " * 150 + "<e1>word1</e1> word3 <e2>word2</e2> " + "word6 " * 300,
]
PAIRED = {"pairs", "alike", "apart", "questions", "spans", "reranked"}


def of_run(warm, model, method="Full"):
    return warm.finished(model, method, "single", 1, **STEPS).folder.path / "model"


def asked(model):
    if model == "filled":
        return [f"[MASK] {text} [SEP] [MASK]" for text in TEXTS]
    if model in ("related", "placed"):
        return RELATIONS
    return list(zip(TEXTS, TEXTS[::-1], strict=True)) if model in PAIRED else TEXTS


@pytest.mark.parametrize(
    ("model", "method"),
    [
        ("bert", "LoRA"),
        ("cnn", "Full"),
        ("bag", "Full"),
        ("several", "Full"),
        ("alike", "Full"),
        ("ner", "Full"),
        ("apart", "Full"),
        ("questions", "Full"),
        ("search", "Full"),
        ("reranked", "Full"),
        ("filled", "LoRA"),
        ("paths", "Full"),
        ("paths_bert", "LoRA"),
        ("related", "Full"),
        ("placed", "Full"),
        ("masked", "Full"),
        ("causal", "Full"),
    ],
)
def test_an_export_answers_as_the_model_does_in_a_process_without_torch(warm, tmp_path, model, method):
    folder, texts = of_run(warm, model, method), asked(model)
    saved = load_saved_model(folder)
    ours = predict(saved, texts)
    told = export(saved, Wanted("onnx", tmp_path / "out"), folder)
    assert told["exporter"] == "torch.onnx (TorchScript)"
    assert len(told["parity"]["shapes"]) >= 6 and [1, 1] in told["parity"]["shapes"]
    assert told["parity"]["largest_difference"] <= 1e-4
    made, written = told["rows"]
    assert written["equal_answers"] == 1 and written[told["metric"]] == pytest.approx(
        made[told["metric"]], rel=1e-6, abs=1e-6
    )
    theirs = read_alone(tmp_path / "out", texts)
    for one, other in zip(ours, theirs, strict=True):
        assert alike(one, other), (one, other)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["README.md", "export.json", "model.onnx", "reader.py", "tokenizer.json"]
    )


def test_the_other_exporter_is_tried_where_the_first_one_cannot(tmp_path):
    torch.manual_seed(0)
    encoder = encoder_values(Transformer(hidden=16, heads=2, feed_forward=32))
    config = StaticVectorsConfig(vocab_size=60, dimension=12, encoder=encoder, num_labels=3)
    model = StaticVectorsForSequenceClassification(config).eval()
    signature = onnx_graph.Signature(("input_ids", "attention_mask"), ("logits",), {0: "rows", 1: "tokens"})
    given = onnx_graph.batches(signature, 60, 0, 256, types=False)
    with torch.inference_mode():
        expected = [{"logits": model(**inputs).logits} for _, inputs in given]
    told = onnx_graph.write_graph(model, signature, given, expected, tmp_path / "model.onnx")
    assert told["exporter"] == "torch.onnx (dynamo)" and told["parity"]["largest_difference"] < 1e-5


def test_eight_bits_are_smaller_measured_and_said(warm, tmp_path):
    folder = of_run(warm, "bert")
    saved = load_saved_model(folder)
    told = export(saved, Wanted("onnx", tmp_path / "out", int8=True), folder)
    plain, small = told["rows"][1:]
    assert (plain["format"], small["format"]) == ("onnx", "onnx int8") and small["bytes"] < 0.75 * plain["bytes"]
    assert small["largest_difference"] > 0 and small["equal_answers"] > 0.8
    assert told["int8"] == {"per_channel": True, "reduce_range": not onnx_folder.has_vnni()}
    about = contract.read(tmp_path / "out")
    assert about["int8"] == told["int8"] and about["proof"]["formats"] == told["rows"]
    assert "8 bits a weight" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    answers = Exported.open(tmp_path / "out").predict(TEXTS, top=1)
    assert all(len(answer["probabilities"]) == 1 for answer in answers)


def test_what_is_below_the_floor_or_broken_leaves_nothing_behind(warm, tmp_path, monkeypatch):
    folder = of_run(warm, "mean")
    saved = load_saved_model(folder)
    with pytest.raises(WorkerError, match=r"onnx: accuracy 0\.\d+ on the test split, and the floor is 1\.01"):
        export(saved, Wanted("onnx", tmp_path / "out", floor=1.01), folder)
    right = onnx_graph.computed

    def planted(session, signature, inputs):
        return {name: value + 0.01 for name, value in right(session, signature, inputs).items()}

    monkeypatch.setattr(onnx_graph, "EXPORTERS", {"torch.onnx (TorchScript)": onnx_graph.older})
    monkeypatch.setattr(onnx_graph, "computed", planted)
    with pytest.raises(WorkerError, match="its graph answers otherwise, by"):
        export(saved, Wanted("onnx", tmp_path / "out"), folder)
    monkeypatch.setattr(onnx_graph, "computed", right)

    def fails(*_):
        raise RuntimeError("Exporting the operator 'aten::planted' is not supported.\nmore")

    monkeypatch.setattr(onnx_graph, "EXPORTERS", {"torch.onnx (TorchScript)": fails})
    with pytest.raises(
        WorkerError, match=r"RuntimeError: Exporting the operator 'aten::planted' is not supported\.\n  do:"
    ):
        export(saved, Wanted("onnx", tmp_path / "out"), folder)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_would_say_otherwise_is_no_export(warm, tmp_path, monkeypatch):
    folder = of_run(warm, "mean")
    saved = load_saved_model(folder)
    monkeypatch.setattr(type(saved.work), "for_readers", lambda self: {"labels": ["good", "bad"]})
    with pytest.raises(
        WorkerError, match=r"the export's reader answers \d+ of \d+ texts otherwise than the model does"
    ):
        export(saved, Wanted("onnx", tmp_path / "out", check=False), folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("model", "method"), [("bert", "LoRA"), ("related", "Full")])
def test_safetensors_are_the_whole_model_and_answer_alike(warm, tmp_path, model, method):
    folder = of_run(warm, model, method)
    saved = load_saved_model(folder)
    metrics = evaluate(saved, None)
    told = export(saved, Wanted("safetensors", tmp_path / "out"), folder)
    assert told["rows"][1]["equal_answers"] == 1
    assert told["rows"][1][told["metric"]] == pytest.approx(metrics[told["metric"]], rel=1e-6, abs=1e-6)
    assert not list((tmp_path / "out").glob("adapter*"))
    if model == "bert":
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
        tokens = AutoTokenizer.from_pretrained(tmp_path / "out")(TEXTS[0], return_tensors="pt")
        with torch.inference_mode():
            share = float(plain(**tokens).logits.softmax(-1)[0].max())
        assert share == pytest.approx(predict(saved, TEXTS[0])[0]["probability"], abs=1e-5)


@pytest.mark.parametrize(
    ("model", "kind", "told"),
    [
        ("votes", "onnx", "has a vector of its subwords, which a graph cannot make"),
        ("mean", "safetensors", "static vectors are a model of ours"),
    ],
)
def test_what_a_format_cannot_hold_is_one_sentence(warm, tmp_path, model, kind, told):
    folder = of_run(warm, model)
    with pytest.raises(RecipeError, match=told):
        export(load_saved_model(folder), Wanted(kind, tmp_path / "out", int8=kind == "safetensors"), folder)
    assert list(tmp_path.iterdir()) == []


def test_every_way_to_read_is_tested_here():
    """But for images, which `test_image_exports.py` has, and for what is written (`test_word_exports.py`)."""
    assert set(READS.values()) == set(READERS)
    assert {"several", "alike", "ner", "questions", "search", "reranked", "paths", "related", "masked"} <= MODELS.keys()
