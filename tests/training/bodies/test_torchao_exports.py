"""`launcher export --torchao`: fewer bits a weight that transformers reads back, or one sentence and no folder."""

import json

import pytest
import torch
import transformers
from matrix import outcome, recipe_of
from safetensors import safe_open

from launcher.errors import PlanError, RecipeError, WorkerError
from launcher.recipe.method import Full, LoRA
from launcher.training.result import torchao_weights
from launcher.training.result.exports import Wanted, export
from launcher.training.result.inference import predict
from launcher.training.result.model_folder import load_saved_model
from launcher.training.result.pushing import push

pytest.importorskip("torchao", reason="torchao is not installed: pip install 'recipe-launcher[torchao]'")
TEXTS = ["word1 word2 word3", "word0"]


@pytest.fixture
def run(data, model_of, tmp_path):
    """Trains a family of models on a task; its model's folder."""

    def trained(family, task="texts", method=None):
        folder = tmp_path / "run" / "model"
        folder.parent.mkdir()
        assert outcome(recipe_of(task, data, model_of(family), method or Full()), folder) == "trains"
        return folder

    return trained


def exported(folder, to, kind, **more):
    return export(load_saved_model(folder), Wanted("safetensors", to, torchao=kind, **more), folder)


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_transformers_reads_the_bits_and_answers_as_the_run(run, tmp_path, kind):
    folder, out = run("ModernBERT", method=LoRA(rank=2)), tmp_path / "out"
    told = exported(folder, out, kind)
    assert [row["format"] for row in told["rows"]] == ["the model (torch)", "safetensors", f"torchao {kind}"]
    plain, bits = told["rows"][1:]
    assert bits["bytes"] < 0.7 * plain["bytes"] and 0 < bits["largest_difference"] < 0.1 and bits["equal_answers"] == 1
    assert told["torchao"]["weights"] == kind and told["torchao"]["layers"] == 10
    assert {path.suffix for path in out.iterdir()} == {".json", ".md", ".safetensors"}  # no pickle
    with safe_open(out / "model.safetensors", "pt") as file:
        names = [name for name in file.keys() if name.endswith("_qdata")]  # noqa: SIM118 (it is no dictionary)
        kinds = {str(file.get_tensor(name).dtype) for name in names}
        assert len(names) == 10 and kinds == {"torch.int8" if kind == "int8" else "torch.float8_e4m3fn"}
    assert json.loads((out / "config.json").read_text())["quantization_config"]["quant_method"] == "torchao"

    model = transformers.AutoModelForSequenceClassification.from_pretrained(out)
    reader = transformers.AutoTokenizer.from_pretrained(out)
    saved = load_saved_model(folder)
    for text, ours in zip(TEXTS, predict(saved, TEXTS), strict=True):
        with torch.inference_mode():
            theirs = model(**reader(text, return_tensors="pt")).logits.softmax(-1)[0]
        for label, probability in ours["probabilities"].items():
            assert float(theirs[model.config.label2id[label]]) == pytest.approx(probability, abs=0.02)
    card = (out / "README.md").read_text(encoding="utf-8")
    assert f"10 linear layers are in {kind} by torchao" in card and f"| torchao {kind} |" in card
    assert push(out, "ada/out", False, "message", dry_run=True)["card"] == "as written"


def test_below_the_floor_nothing_is_left(run, tmp_path):
    folder = run("BERT")
    with pytest.raises(WorkerError, match=r"torchao int8: accuracy .* on the test split, and the floor is 2"):
        exported(folder, tmp_path / "out", "int8", floor=2.0)
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


@pytest.mark.parametrize(
    ("family", "error", "what"),
    [
        ("GPT-2", RecipeError, "no layer of this model is one that torchao puts into int8"),
        ("Falcon", WorkerError, "torchao cannot put the model into int8: NotImplementedError: "),
    ],
)
def test_what_torchao_cannot_do_is_one_sentence_also_unchecked(run, tmp_path, family, error, what):
    folder = run(family)
    with pytest.raises(error) as told:
        exported(folder, tmp_path / "out", "int8", check=False)
    (problem,) = told.value.problems
    assert problem.what.startswith(what) and "\n" not in problem.what and "--torchao" in problem.do
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_four_bits_need_a_gpu():
    with pytest.raises(PlanError, match="--torchao int4 needs a GPU, and this machine has none"):
        torchao_weights.refuse_here("int4")
