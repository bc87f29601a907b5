"""Models of other families: each trains or is refused in a sentence, and no row's answer hangs on its neighbours."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
from at_work import split_of, work_of
from families import FAMILIES, make
from matrix import METHODS, outcome, recipe_of, write_data

from launcher.errors import DataError, LauncherError, PlanError
from launcher.recipe.method import Full
from launcher.recipe.source import Pretrained
from launcher.recipe.task import TextClassification
from launcher.training import suitable
from launcher.training.alone import compared
from launcher.training.batches.split import Split
from launcher.training.initial_model import initial_model
from launcher.training.memory.facts import model_facts
from launcher.training.prepare import prepare
from launcher.training.result import model_folder
from launcher.training.sources import load_tokenizer, pretrained, said_of
from launcher.training.sources.pooling import BY_END, BY_PADDING
from launcher.training.tasks.collate import Batches

NO_TOKENS = "for which there is no head for tokens, only one for texts"
NO_HEAD = "for which there is no head for"
NO_PLACE = "LoRA finds no query and value projections"
REFUSED = {("BART", "tags"): NO_TOKENS, ("mBART", "tags"): NO_TOKENS, ("OPT", "tags"): NO_TOKENS}
REFUSED |= {
    ("GPT", "tags"): NO_TOKENS,
    ("CTRL", "tags"): NO_TOKENS,
    ("LED", "texts"): NO_HEAD,
    ("LED", "tags"): NO_HEAD,
}
REFUSED |= {("GPT-J", "tags"): NO_TOKENS}
NAMED = list(FAMILIES)[:16]
"""Of the issue; the others are tried with texts and tags only."""
WARNED = ("FNet", "Funnel", "ConvBERT")
"""They mix padding in: the warning is what is expected of them."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("families")
    write_data(folder)
    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    return folder


@pytest.fixture(autouse=True)
def here(data, monkeypatch):
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(data / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def model_of(data):
    """The folder of a family's tiny model, made once."""
    made = {}

    def of(family):
        if family not in made:
            made[family] = make(family, data / family)
        return made[family]

    return of


CASES = [
    (family, task, method) for family in NAMED for task in ("texts", "pairs", "tags") for method in ("Full", "LoRA")
]
CASES += [(family, "several", "Full") for family in ("BERT", "XLNet", "BART", "GPT-2")]
CASES += [(family, "questions", "Full") for family in NAMED] + [
    (family, "questions", "LoRA") for family in ("T5", "Llama")
]
CASES += [(family, task, "Full") for family in list(FAMILIES)[16:] for task in ("texts", "tags")]


@pytest.mark.parametrize(("family", "task", "method"), CASES)
def test_it_trains_or_is_refused_in_a_sentence(data, model_of, tmp_path, family, task, method):
    told = outcome(recipe_of(task, data, model_of(family), METHODS[method]), tmp_path / "model")
    expected = REFUSED.get((family, task)) or (NO_PLACE if (family, method) == ("XLNet", "LoRA") else None)
    if expected is not None:
        assert expected in told and "\n" not in told
    elif family in WARNED:
        assert told == "trains" or "depend on the batch" in told
    else:
        assert told == "trains"


def test_no_kind_of_model_finds_its_last_token_by_number_unseen():
    """All of transformers' text classifiers whose code looks for padding or for end tokens are known to us."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as heads

    place, unseen = Path(transformers.__file__).parent / "models", []
    for kind, name in heads.items():
        source = place / kind.replace("-", "_")
        found = [path.read_text() for path in source.glob("modeling_*.py")] if source.is_dir() else []
        text = next(
            (text.split(f"class {name}(")[1].split("\nclass ")[0] for text in found if f"class {name}(" in text), ""
        )
        if "non_pad_mask" in text and kind not in (*BY_PADDING, "t5gemma", "t5gemma2"):
            unseen.append(kind)
        if "eos_mask" in text and kind not in BY_END:
            unseen.append(kind)
    assert unseen == []


def prepared_model(recipe):
    prepared = prepare(recipe)
    suitable.look(recipe, prepared)
    folder = Path(prepared["folder"])
    model = initial_model(recipe, prepared["labels"], folder).eval()
    return model, load_tokenizer(folder), prepared


class TestTheLastRealToken:
    @pytest.mark.parametrize("family", ["GPT-2", "Llama", "Qwen2", "OPT", "BART", "T5", "XLNet", "CTRL"])
    def test_a_text_that_holds_padding_or_end_tokens_is_read_to_its_end(self, data, model_of, family):
        """Its answer is that of its last token, whatever the number, and the same beside a longer row."""
        model, tokenizer, _ = prepared_model(recipe_of("texts", data, model_of(family), Full()))
        some = [5, 6, 7, 8]
        ends = [number for number in (tokenizer.eos_token_id, tokenizer.sep_token_id) if number is not None]
        for special in {tokenizer.pad_token_id, *ends}:
            row = torch.tensor([[*some, special, special]])
            padded = torch.nn.functional.pad(row, (0, 3), value=tokenizer.pad_token_id)
            other = torch.tensor([[7, 8, 9, 10, 11, 12, 13, 14, special]])
            mask = torch.tensor([[1] * 6 + [0] * 3, [1] * 9])
            with torch.no_grad():
                alone = model(input_ids=row).logits[0]
                beside = model(input_ids=torch.cat([padded, other]), attention_mask=mask).logits[0]
                without = model(input_ids=row[:, :4]).logits[0]
            assert (alone - beside).abs().max() <= 1e-5
            assert (alone - without).abs().max() > 1e-6  # the special tokens at its end were read

    def test_the_mean_is_of_real_tokens(self, data, model_of, tmp_path):
        shutil.copytree(model_of("XLNet"), tmp_path / "mean")
        config = json.loads((tmp_path / "mean/config.json").read_text())
        (tmp_path / "mean/config.json").write_text(json.dumps({**config, "summary_type": "mean"}))
        assert outcome(recipe_of("texts", data, str(tmp_path / "mean"), Full()), tmp_path / "model") == "trains"

    def test_a_model_that_padding_speaks_in_is_told_of(self, data, model_of):
        recipe = recipe_of("texts", data, model_of("BERT"), Full())
        model, tokenizer, prepared = prepared_model(recipe)
        split = Split.load(Path(prepared["folder"]) / "train.safetensors")
        inputs = Batches(work_of(recipe.task, tokenizer=tokenizer), torch.device("cpu"))
        assert compared(model, split, inputs).alike
        state, plain = torch.get_rng_state(), model.forward
        model.forward = lambda input_ids, attention_mask=None, **more: plain(input_ids, **more)
        found = compared(model.train(), split, inputs)
        assert not found.alike and "depend on the batch" in found.said() and found.difference > 1e-6
        assert model.training and torch.equal(state, torch.get_rng_state())

    def test_rows_of_one_length_have_nothing_to_ask(self):
        split = split_of([[0, 0, 0], [0, 0, 0]])
        assert compared(torch.nn.Identity(), split, lambda *_: {}).rows == 0


class TestPadding:
    def test_it_is_taken_from_the_tokenizer_or_chosen(self, data, model_of):
        for family, token in {"Qwen2": "<|endoftext|>", "Llama": "</s>", "GPT-2": "<|endoftext|>"}.items():
            model, tokenizer, _ = prepared_model(recipe_of("texts", data, model_of(family), Full()))
            assert tokenizer.pad_token == token
            assert model.config.pad_token_id == tokenizer.pad_token_id

    def test_an_encoder_keeps_the_one_that_its_positions_count_from(self, data, model_of, tmp_path):
        folder = tmp_path / "other"
        shutil.copytree(model_of("RoBERTa"), folder)
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "pad_token": "<unk>"}))
        model, tokenizer, _ = prepared_model(recipe_of("texts", data, str(folder), Full()))
        assert (tokenizer.pad_token_id, model.config.pad_token_id) == (3, 1)

    def test_only_xlnet_is_to_be_padded_on_the_left_elsewhere(self, data, model_of):
        sides = {
            family: prepared_model(recipe_of("texts", data, model_of(family), Full()))[1].padding_side
            for family in ("XLNet", "GPT-2", "BERT")
        }
        assert sides == {"XLNet": "left", "GPT-2": "right", "BERT": "right"}

    def test_one_beyond_the_table_is_replaced_unless_a_text_holds_it(self, data, model_of, tmp_path):
        folder = tmp_path / "beyond"
        tokenizer = transformers.AutoTokenizer.from_pretrained(model_of("Llama"))
        tokenizer.add_special_tokens({"pad_token": "[PAD]"})
        shutil.copytree(model_of("Llama"), folder)
        tokenizer.save_pretrained(folder)
        assert outcome(recipe_of("texts", data, str(folder), Full()), tmp_path / "model") == "trains"
        rows = (data / "texts.jsonl").read_text().splitlines()
        (tmp_path / "texts.jsonl").write_text("\n".join([*rows, '{"text": "a [PAD] b", "label": "a"}']) + "\n")
        told = outcome(recipe_of("texts", tmp_path, str(folder), Full()), tmp_path / "model")
        assert "there is none for [PAD]" in told

    def test_tokens_without_a_row_are_told_before_anything_starts(self, data, model_of, tmp_path):
        folder = tmp_path / "added"
        shutil.copytree(model_of("BERT"), folder)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        tokenizer.add_tokens(["[E1]", "[/E1]"])
        tokenizer.save_pretrained(folder)
        told = outcome(recipe_of("texts", data, str(folder), Full()), tmp_path / "model")
        assert told.endswith("has 37 tokens, the model's table 35 rows: there is none for [E1], [/E1]")


def test_token_types_that_a_model_lacks_are_left_out(data, model_of, tmp_path):
    folder = tmp_path / "mixed"
    shutil.copytree(model_of("BERT"), folder)
    config = transformers.RobertaConfig(vocab_size=35, **{**FAMILIES["RoBERTa"][1], "pad_token_id": 0})
    transformers.RobertaModel(config).save_pretrained(folder)
    recipe = recipe_of("pairs", data, str(folder), Full())
    assert outcome(recipe, tmp_path / "model") == "trains"
    columns = Split.load(Path(prepare(recipe)["folder"]) / "train.safetensors").columns
    assert "token_type_ids" not in columns
    whole = Split.load(
        Path(prepare(recipe_of("pairs", data, model_of("BERT"), Full()))["folder"]) / "train.safetensors"
    )
    assert whole.ragged("token_type_ids").values.max() == 1


class TestATrainedHead:
    def logits(self, source, labels):
        torch.manual_seed(1)
        model = pretrained.build_model(Pretrained(model=str(source)), TextClassification(), labels, Path("unused"), 0.0)
        ids = torch.tensor([[2, 5, 6, 3], [2, 9, 9, 3]])
        with torch.no_grad():
            return dict(zip(labels, model.eval()(input_ids=ids).logits.T, strict=True)), said_of(model)

    @pytest.fixture(scope="class")
    def checkpoint(self, model_of, tmp_path_factory):
        folder = tmp_path_factory.mktemp("head")
        torch.manual_seed(3)
        config = transformers.AutoConfig.from_pretrained(model_of("BERT"))
        config.id2label = {0: "Neutral", 1: "entailment", 2: "contradiction"}
        config.label2id = {name: number for number, name in config.id2label.items()}
        transformers.BertForSequenceClassification(config).save_pretrained(folder)
        return folder

    def test_its_rows_go_to_the_labels_of_the_same_names(self, checkpoint):
        theirs, said = self.logits(checkpoint, ["Neutral", "entailment", "contradiction"])
        assert said.startswith("the head is the checkpoint's, its rows taken by name")
        ours, said = self.logits(checkpoint, ["contradiction", "entailment", "neutral"])
        assert said.startswith("the head is the checkpoint's")
        assert torch.allclose(ours["contradiction"], theirs["contradiction"], atol=1e-6)
        assert torch.allclose(ours["neutral"], theirs["Neutral"], atol=1e-6)

    @pytest.mark.parametrize("labels", [["a", "b", "c"], ["Neutral", "entailment"], ["Neutral", "entailment", "x"]])
    def test_others_begin_anew_and_it_is_said(self, checkpoint, labels):
        one, said = self.logits(checkpoint, labels)
        assert said == "the head begins anew: the checkpoint's was trained for Neutral, entailment, contradiction"
        again, _ = self.logits(checkpoint, labels)
        assert all(torch.equal(one[label], again[label]) for label in labels)
        theirs, _ = self.logits(checkpoint, ["Neutral", "entailment", "contradiction"])
        assert not torch.allclose(one[labels[1]], theirs["entailment"], atol=1e-4)

    def test_numbers_are_no_names(self, checkpoint, tmp_path):
        shutil.copytree(checkpoint, tmp_path / "numbered")
        config = json.loads((tmp_path / "numbered/config.json").read_text())
        config |= {
            "id2label": {str(n): f"LABEL_{n}" for n in range(3)},
            "label2id": {f"LABEL_{n}": n for n in range(3)},
        }
        (tmp_path / "numbered/config.json").write_text(json.dumps(config))
        _, said = self.logits(tmp_path / "numbered", ["a", "b", "c"])
        assert said == "the head begins anew: the checkpoint's does not name its labels"

    def test_a_bare_body_has_nothing_to_say(self, model_of):
        assert self.logits(model_of("BERT"), ["a", "b"])[1] == ""


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
