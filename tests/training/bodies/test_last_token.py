"""Where a model finds the end of a text, and what fills up shorter rows: no answer hangs on its neighbours."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from at_work import split_of, work_of
from families import FAMILIES
from matrix import outcome, recipe_of

from launcher.recipe.method import Full
from launcher.training import suitable
from launcher.training.alone import compared
from launcher.training.batches.split import Split
from launcher.training.initial_model import initial_model
from launcher.training.prepare import prepare
from launcher.training.sources import load_tokenizer
from launcher.training.sources.pooling import BY_END, BY_PADDING
from launcher.training.tasks.collate import Batches


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
