"""A checkpoint that has a head already: its rows go to the labels of the same names, or it begins anew."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers

from launcher.recipe.source import Pretrained
from launcher.recipe.task import TextClassification
from launcher.training.sources import pretrained, said_of


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
