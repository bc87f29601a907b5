"""What `apply` and `load_saved` refuse, and what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from applying import apply, load_saved
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from launcher.errors import PlanError
from launcher.recipe.method import Adapter, Full, LoRA, Peft

torch.set_num_threads(1)

each_frozen = pytest.mark.parametrize("method", [LoRA(), Adapter()], ids=["lora", "adapter"])


def tiny_bert(layers: int = 2, labels: int = 3) -> PreTrainedModel:
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=100,
            hidden_size=32,
            num_hidden_layers=layers,
            num_attention_heads=4,
            intermediate_size=64,
            num_labels=labels,
        )
    )


def refusal(model: PreTrainedModel, method: Peft, new: list[str]) -> str:
    with pytest.raises(PlanError) as caught:
        apply(model, method, new)
    return str(caught.value)


def test_every_unknown_target_with_what_there_is() -> None:
    text = refusal(tiny_bert(), LoRA(targets=("query", "valu", "conv")), ["classifier"])
    assert "'valu'" in text and "did you mean 'value'?" in text and "'conv'" in text
    assert "'query'" not in text
    assert "dense, key, position_embeddings, query" in text


def test_a_target_that_is_no_layer() -> None:
    assert "neither a linear layer, a convolution nor an embedding table" in refusal(
        tiny_bert(), LoRA(targets=("attention",)), ["classifier"]
    )


def test_a_target_that_trains_already() -> None:
    text = refusal(tiny_bert(), LoRA(targets=("classifier",)), ["classifier"])
    assert "'classifier' is new and trains whole already" in text


def test_no_targets() -> None:
    assert "trains nothing" in refusal(tiny_bert(), LoRA(targets=()), [])


@each_frozen
def test_a_new_module_that_is_not_there(method: Peft) -> None:
    text = refusal(tiny_bert(), method, ["clasifier"])
    assert "no module 'clasifier'" in text and "did you mean 'classifier'?" in text


def test_full_cannot_be_loaded_as_an_adapter(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="from_pretrained"):
        load_saved(tiny_bert(), Full(), ["classifier"], tmp_path)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"adapter_config.json and adapter_model.safetensors missing"):
        load_saved(tiny_bert(), LoRA(), ["classifier"], tmp_path)


def test_another_method_and_other_values(tmp_path: Path) -> None:
    apply(tiny_bert(), LoRA(rank=4), ["classifier"]).save_pretrained(str(tmp_path))
    with pytest.raises(PlanError, match="saved by LoraConfig, and the recipe says BottleneckConfig"):
        load_saved(tiny_bert(), Adapter(), ["classifier"], tmp_path)
    with pytest.raises(PlanError, match="r is 4 in the folder and 8 in the recipe"):
        load_saved(tiny_bert(), LoRA(rank=8), ["classifier"], tmp_path)
    with pytest.raises(PlanError, match="use_dora is False in the folder and True in the recipe"):
        load_saved(tiny_bert(), LoRA(rank=4, dora=True), ["classifier"], tmp_path)


def test_a_damaged_file(tmp_path: Path) -> None:
    apply(tiny_bert(), LoRA(), ["classifier"]).save_pretrained(str(tmp_path))
    weights = tmp_path / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(PlanError, match="cannot be put into this BertForSequenceClassification"):
        load_saved(tiny_bert(), LoRA(), ["classifier"], tmp_path)


def test_another_number_of_labels(tmp_path: Path) -> None:
    apply(tiny_bert(), LoRA(), ["classifier"]).save_pretrained(str(tmp_path))
    with pytest.raises(PlanError, match="size mismatch for"):
        load_saved(tiny_bert(labels=5), LoRA(), ["classifier"], tmp_path)


@pytest.mark.parametrize("layers", [1, 3])
def test_another_depth(layers: int, tmp_path: Path) -> None:
    apply(tiny_bert(), Adapter(), ["classifier"]).save_pretrained(str(tmp_path))
    said = "no tensor in the model for" if layers == 1 else "no saved weights for"
    with pytest.raises(PlanError, match=said):
        load_saved(tiny_bert(layers), Adapter(), ["classifier"], tmp_path)
