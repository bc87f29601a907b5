"""`also_train`: pretrained layers that train whole beside an adapter or LoRA, and those that cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from applying import apply, load_saved
from test_methods import CASES, build, logits, three_steps, trainable
from torch import nn

from launcher.errors import PlanError
from launcher.recipe.method import Adapter, LoRA, QLoRA

NORMS = ("LayerNorm", "pooler")
METHODS = {
    "adapter": Adapter(bottleneck=8, placement="houlsby", also_train=NORMS),
    "lora": LoRA(rank=4, also_train=NORMS),
}
MORE = 5 * 2 * 32 + (32 * 32 + 32)
"""Five layer norms and the pooler of the small BERT."""
each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def moved(model: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}


@each_method
def test_the_named_layers_move_and_nothing_else_of_the_model(method: Adapter | LoRA) -> None:
    untouched = build(CASES["bert"])
    start = logits(untouched)
    model = apply(build(CASES["bert"]), method, ["classifier"])
    assert torch.equal(logits(model), start)
    plain = type(method)(**{"bottleneck": 8, "placement": "houlsby"} if isinstance(method, Adapter) else {"rank": 4})
    assert trainable(model) == trainable(apply(build(CASES["bert"]), plain, ["classifier"])) + MORE
    before = {name: value.clone() for name, value in model.named_parameters()}
    three_steps(model)
    names = moved(model, before)
    assert names == {name for name, value in model.named_parameters() if value.requires_grad}
    kept = {name for name in names if not any(part in name for part in ("bottleneck_", "lora_", "classifier"))}
    assert {name.rpartition(".")[2] for name in kept} == {"weight", "bias"}
    assert len(kept) == 5 * 2 + 2 and all(".modules_to_save.default" in name for name in kept)


@each_method
def test_what_was_trained_comes_back_bit_for_bit(method: Adapter | LoRA, tmp_path: Path) -> None:
    model = apply(build(CASES["bert"]), method, ["classifier"])
    three_steps(model)
    model.save_pretrained(str(tmp_path))
    again = load_saved(build(CASES["bert"]), method, ["classifier"], tmp_path)
    assert torch.equal(logits(again), logits(model))
    assert not torch.equal(logits(again), logits(build(CASES["bert"])))


def test_a_layer_that_trains_whole_has_no_update_beside_it() -> None:
    model = apply(build(CASES["bert"]), LoRA(rank=4, also_train=("layer.1",)), ["classifier"])
    updated = {name for name, _ in model.named_parameters() if "lora_A" in name}
    assert len(updated) == 2 and all(".layer.0." in name for name in updated)
    whole = [name for name, value in model.named_parameters() if value.requires_grad and ".layer.1." in name]
    assert len(whole) == 16


def test_a_layer_named_by_itself_and_with_its_parent_is_taken_once() -> None:
    both = apply(build(CASES["bert"]), Adapter(also_train=("pooler.dense", "pooler")), ["classifier"])
    one = apply(build(CASES["bert"]), Adapter(also_train=("pooler",)), ["classifier"])
    assert trainable(both) == trainable(one)
    assert [name for name, _ in both.named_parameters()] == [name for name, _ in one.named_parameters()]


def test_what_trains_whole_is_not_put_in_four_bits() -> None:
    pytest.importorskip("bitsandbytes")
    model = apply(build(CASES["bert"]), QLoRA(rank=4, also_train=("pooler",)), ["classifier"])
    packed = {name for name, value in model.named_parameters() if value.dtype == torch.uint8}
    assert len(packed) == 2 * 6 and not any("pooler" in name for name in packed)
    pooler = [value for name, value in model.named_parameters() if "pooler.modules_to_save" in name]
    assert [(value.dtype, value.requires_grad) for value in pooler] == [(torch.float32, True)] * 2


@pytest.mark.parametrize(
    ("name", "told", "do"),
    [
        ("LayerNrm", "also_train 'LayerNrm' names no pretrained layer of this 'bert' model", "'LayerNorm'"),
        ("nothing", "also_train 'nothing' names no pretrained layer of this 'bert' model", "bert.pooler"),
        ("dropout", "also_train 'dropout' names no pretrained layer of this 'bert' model", "bert.pooler"),
        ("classifier", "also_train 'classifier' names new layers only", "they train under every method"),
        ("layer", "also_train 'layer' names 'bert.encoder.layer', a list of layers", "'layer.*'"),
    ],
)
def test_a_name_that_cannot_stand_for_itself(name: str, told: str, do: str) -> None:
    with pytest.raises(PlanError) as caught:
        apply(build(CASES["bert"]), Adapter(also_train=(name, "pooler")), ["classifier"])
    (problem,) = caught.value.problems
    assert problem.what == told and do in problem.do
