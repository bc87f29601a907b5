"""Models that are not what they should be, told of before anything starts; cards of those that trained."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
import transformers
from matrix import METHODS, outcome, recipe_of

from launcher.errors import DataError, LauncherError, PlanError
from launcher.recipe.method import Full
from launcher.training import suitable
from launcher.training.initial_model import initial_model
from launcher.training.memory.facts import model_facts
from launcher.training.prepare import prepare
from launcher.training.result import model_folder

NO_TOKENS = "for which there is no head for tokens, only one for texts"


WRONG = {
    "gptq": ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised already (gptq)"),
    "attention": ({"attn_implementation": "a/b"}, "asks for the attention 'a/b'"),
    "code": (
        {"model_type": "my_own", "auto_map": {"AutoModel": "m.M"}},
        "'my_own', which this transformers does not know",
    ),
    "no kind": ({"model_type": None}, "config.json without a model_type"),
    "heads": ({"num_attention_heads": 3}, "the weights do not fit its config.json"),
    "shape": ({"intermediate_size": 48}, "the weights do not fit its config.json"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_a_configuration_asks_for_and_is_not_here(data, model_of, tmp_path, case):
    values, said = WRONG[case]
    folder = tmp_path / "wrong"
    shutil.copytree(model_of("ELECTRA"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))
    told = outcome(recipe_of("texts", data, str(folder), Full()), tmp_path / "model")
    assert said in told and "\n" not in told


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
@pytest.mark.parametrize("content", [None, b"version https://git-lfs.github.com/spec/v1\n", b"{}", b"\xff" * 64])
def test_files_that_are_not_what_they_should_be(data, model_of, tmp_path, name, content):
    folder = tmp_path / "broken"
    shutil.copytree(model_of("ELECTRA"), folder)
    (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
    recipe = recipe_of("texts", data, str(folder), Full())
    with pytest.raises(LauncherError) as caught:
        prepared = prepare(recipe)
        suitable.look(recipe, prepared)
        initial_model(recipe, prepared["labels"], Path(prepared["folder"]))
    assert isinstance(caught.value, DataError | PlanError)


def test_a_limit_that_lets_no_thread_start_is_no_fault_of_the_model(data, model_of, tmp_path, monkeypatch):
    def start(_):
        raise RuntimeError("can't start new thread")

    recipe = recipe_of("texts", data, str(model_of("ELECTRA")), Full())
    prepared = prepare(recipe)
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(DataError, match="cannot be loaded: can't start new thread") as caught:
        initial_model(recipe, prepared["labels"], Path(prepared["folder"]))
    assert "ulimit -u" in caught.value.problems[0].do
    assert all(problem.do and "\n" not in problem.what for problem in caught.value.problems)


def test_a_model_that_cannot_be_traced_is_told_of_and_planned(data, model_of):
    """Longformer decides by values in its tensors; BART and T5, read by the mask, no longer do."""
    for family in ("BART", "T5"):
        recipe = recipe_of("texts", data, model_of(family), Full())
        assert model_facts(recipe, prepare(recipe))["traced"]["layers"] == "all"
    recipe = recipe_of("texts", data, model_of("Longformer"), Full())
    found = model_facts(recipe, prepare(recipe))
    assert list(found) == ["unknown"] and "DataDependent" in found["unknown"]
    assert model_facts(recipe, prepare(recipe)) == found


class TestTheCard:
    def test_an_adapter_says_what_it_is_and_loads_as_its_card_says(self, data, model_of, tmp_path):
        from peft import PeftModel

        folder, source = tmp_path / "model", model_of("BERT")
        recipe = recipe_of("texts", data, source, METHODS["LoRA"])
        assert outcome(recipe, folder) == "trains"
        card = (folder / "README.md").read_text()
        assert "More Information Needed" not in card and "labels | `a`, `b` |" in card and "`LoRA(rank=2)`" in card
        assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == source
        config = transformers.AutoConfig.from_pretrained(folder)
        assert config.id2label == {0: "a", 1: "b"}
        base = transformers.AutoModelForSequenceClassification.from_pretrained(source, config=config)
        theirs, ours = PeftModel.from_pretrained(base, str(folder)).eval(), model_folder.load_saved_model(folder).model
        ids = torch.tensor([[2, 5, 6, 7, 3]])
        with torch.no_grad():
            assert torch.allclose(theirs(input_ids=ids).logits, ours(input_ids=ids).logits, atol=1e-6)

    def test_a_whole_model_has_one_too(self, data, model_of, tmp_path):
        assert outcome(recipe_of("tags", data, model_of("GPT-2"), Full()), tmp_path / "model") == "trains"
        card = (tmp_path / "model/README.md").read_text()
        assert "pipeline_tag: token-classification" in card and "AutoModelForTokenClassification" in card


class TestTheCommand:
    @pytest.fixture
    def command(self, data, model_of, tmp_path):
        def run(verb, family, task, *words):
            rows = f"Columns(train={str(data / 'tags.conll')!r})"
            rows = rows if task.startswith("Token") else f"Table(train={str(data / 'texts.jsonl')!r})"
            nouns = f"task={task}(), data={rows}, embedding=Pretrained(model={model_of(family)!r}), peft=Full()"
            (tmp_path / "recipe.py").write_text(
                f"from launcher import *\nrecipe = Recipe({nouns}, training=Training(max_steps=2, batch_size=8))\n"
            )
            line = [sys.executable, "-m", "launcher", verb, "recipe.py", *words]
            return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)

        return run

    def test_what_has_no_head_is_refused_before_anything_starts(self, command, tmp_path):
        done = command("run", "BART", "TokenClassification", "--name", "x")
        assert (done.returncode, done.stdout) == (3, "preparing the data\n") and NO_TOKENS in done.stderr
        assert "where: recipe.py:2" in done.stderr and "Traceback" not in done.stderr
        assert not (tmp_path / "runs").exists()

    def test_a_model_whose_memory_cannot_be_predicted_trains_and_plan_says_so_in_one_line(self, command, tmp_path):
        done = command("run", "Longformer", "TextClassification", "--name", "x")
        assert done.returncode == 0, done.stderr
        outcome = json.loads((tmp_path / "runs/x/outcome.json").read_text())
        assert outcome["padding"]["alike"] and outcome["padding"]["rows"] == 2
        done = command("plan", "Longformer", "TextClassification")
        assert done.returncode == 0 and len(done.stdout.splitlines()) == 1 and "cannot be predicted" in done.stdout
