"""Heads of our own on bodies of transformers: built, loaded, trained, saved and read back as its own heads are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from families import FAMILIES, make
from transformers import AutoConfig, AutoModel, AutoModelForTokenClassification

from launcher.recipe.method import Full, LoRA, TopLayers
from launcher.training.methods import method_work
from launcher.training.sources.own_heads import AutoModelWith, OwnHead, dropout_of
from launcher.training.sources.pretrained import new_modules
from launcher.training.sources.trained_head import TrainedHead

IDS, MASK = torch.tensor([[3, 4, 5, 6], [4, 5, 3, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])


class AtPlaces(OwnHead):
    """An answer from the states at two places of a row."""

    task_name, takes = "TwoPlaces", ("places",)

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.dropout = dropout_of(config)
        self.classifier = torch.nn.Linear(2 * config.hidden_size, config.num_labels)

    def forward(self, states: Any, inputs: Any) -> Any:
        there = states[torch.arange(len(states))[:, None], inputs["places"]]
        return {"logits": self.classifier(self.dropout(there.flatten(1)))}


class WithTransitions(OwnHead):
    """The family's own layer for tokens, and a parameter beside it."""

    task_name, on_logits = "Transitions", True

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.transitions = torch.nn.Parameter(torch.empty(config.num_labels, config.num_labels))

    def draw(self) -> None:
        torch.nn.init.normal_(self.transitions, std=0.5)

    def reorder(self, rows: list[int]) -> None:
        with torch.no_grad():
            self.transitions.copy_(self.transitions[rows][:, rows].clone())

    def forward(self, states: Any, inputs: Any) -> Any:
        return {"logits": states, "transitions": self.transitions.clone()}


PLACES, TRANSITIONS = AutoModelWith(AtPlaces), AutoModelWith(WithTransitions)


def loaded(auto: AutoModelWith, folder: str) -> tuple[Any, Any]:
    config = AutoConfig.from_pretrained(folder)
    config.num_labels = 3
    torch.manual_seed(5)
    return auto.from_pretrained(folder, config=config, dtype=torch.float32, output_loading_info=True)  # type: ignore[no-any-return]


def answered(model: Any) -> Any:
    return model.eval()(input_ids=IDS, attention_mask=MASK, places=torch.tensor([[1, 2], [0, 2]])).logits


@pytest.mark.parametrize("family", ["BERT", "DistilBERT", "GPT-2", "Llama", "T5"])
def test_a_head_takes_the_body_of_a_family_and_goes_to_disk_and_back(family: str, tmp_path: Path) -> None:
    folder = make(family, tmp_path / "body")
    model, info = loaded(PLACES, folder)
    again, _ = loaded(PLACES, folder)
    assert {name.partition(".")[0] for name in info["missing_keys"]} == {"head"} == set(new_modules(model))
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), again.parameters(), strict=True))
    assert model.head.classifier.weight.std() > 0 and type(model).__name__ == f"{FAMILIES[family][0]}ForTwoPlaces"
    model.train()(input_ids=IDS, attention_mask=MASK, places=torch.tensor([[1, 2], [0, 2]])).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    model.save_pretrained(tmp_path / "saved")
    read_back = PLACES.from_pretrained(str(tmp_path / "saved"))
    assert torch.equal(answered(model), answered(read_back))
    body = AutoModel.from_pretrained(tmp_path / "saved")
    encoder = getattr(body, "encoder", body) if family == "T5" else body  # T5's head stands on its encoder
    states = encoder(input_ids=IDS, attention_mask=MASK).last_hidden_state
    assert torch.equal(states, model.base_model(input_ids=IDS, attention_mask=MASK).last_hidden_state)


def test_without_data_it_has_the_same_tensors(tmp_path: Path) -> None:
    folder = make("GPT-2", tmp_path / "body")
    real, _ = loaded(PLACES, folder)
    with torch.device("meta"):
        hollow = PLACES.from_config(real.config, dtype=torch.float32)
    assert [(n, p.shape) for n, p in hollow.named_parameters()] == [(n, p.shape) for n, p in real.named_parameters()]


@pytest.mark.parametrize("method", [Full(), TopLayers(layers=1), LoRA(rank=2)])
def test_methods_train_it_whole_and_bring_it_back(method: Any, tmp_path: Path) -> None:
    folder = make("BERT", tmp_path / "body")
    base, _ = loaded(PLACES, folder)
    work = method_work(method)
    model = work.apply(base, new_modules(base))
    training = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert sum("head" in name for name in training) == 2
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in training:
                parameter.add_(0.1)
    (tmp_path / "saved").mkdir()
    work.save(model, tmp_path / "saved")
    if work.saves_whole:
        there: Any = PLACES.from_pretrained(str(tmp_path / "saved"))
    else:
        fresh, _ = loaded(PLACES, folder)
        there = work.load_saved(fresh, new_modules(fresh), tmp_path / "saved")
    assert torch.equal(answered(model), answered(there))


def test_a_head_behind_the_family_s_own_layer(tmp_path: Path) -> None:
    model, info = loaded(TRANSITIONS, make("BERT", tmp_path / "body"))
    assert info["missing_keys"] == {"classifier.weight", "classifier.bias", "head.transitions"}
    assert new_modules(model) == ["classifier", "head"] and 0.1 < model.head.transitions.std() < 1
    told = model.eval()(input_ids=IDS, attention_mask=MASK)
    assert list(told.logits.shape) == [2, 4, 3] and list(told.transitions.shape) == [3, 3]
    model.save_pretrained(tmp_path / "saved")
    plain = AutoModelForTokenClassification.from_pretrained(tmp_path / "saved")  # all but the head
    assert torch.equal(plain.eval()(input_ids=IDS, attention_mask=MASK).logits, told.logits)


def test_a_trained_head_is_taken_with_its_labels_in_another_order(tmp_path: Path) -> None:
    model, _ = loaded(TRANSITIONS, make("BERT", tmp_path / "body"))
    model.config.id2label = dict(enumerate("abc"))
    model.save_pretrained(tmp_path / "saved")
    config = AutoConfig.from_pretrained(tmp_path / "saved")
    head = TrainedHead.of(config)
    again = TRANSITIONS.from_pretrained(str(tmp_path / "saved"), config=config)
    assert "rows taken by name" in head.settle(again, [], ["c", "a", "b"])
    assert torch.equal(again.classifier.weight, model.classifier.weight[[2, 0, 1]])
    assert torch.equal(again.head.transitions, model.head.transitions[[2, 0, 1]][:, [2, 0, 1]])


def test_a_family_without_a_token_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no model of the kind 'bart'"):
        loaded(PLACES, make("BART", tmp_path / "body"))
