"""QLoRA's 4-bit base, on the CPU kernels of bitsandbytes: what is small, what trains, what is saved and read back."""

import copy

import pytest
import torch
from applying import apply, load_saved
from transformers import BertConfig, BertForSequenceClassification

from launcher import QLoRA

pytest.importorskip("bitsandbytes")
HIDDEN, MIDDLE, LAYERS = 64, 128, 2


@pytest.fixture
def base():
    torch.manual_seed(0)
    settings = BertConfig(
        vocab_size=50,
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        intermediate_size=MIDDLE,
        hidden_dropout_prob=0,
        attention_probs_dropout_prob=0,
    )
    return BertForSequenceClassification(settings)


def inputs():
    ids = torch.randint(0, 50, (6, 7), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "labels": torch.tensor([0, 1, 0, 1, 1, 0])}


def test_linear_layers_take_half_a_byte_a_weight_and_nothing_else_changes(base):
    model = apply(copy.deepcopy(base), QLoRA(rank=4), ["classifier"])
    small = [p for p in model.parameters() if type(p).__name__ == "Params4bit"]
    assert len(small) == LAYERS * 6 + 1  # query, key, value, output, two of the feed-forward part; the pooler
    weights = LAYERS * (4 * HIDDEN * HIDDEN + 2 * HIDDEN * MIDDLE) + HIDDEN * HIDDEN
    assert sum(p.numel() * p.element_size() for p in small) == weights / 2
    table = model.get_base_model().bert.embeddings.word_embeddings.weight
    assert table.dtype == torch.float32 and torch.equal(table, base.bert.embeddings.word_embeddings.weight)


def test_what_trains_is_what_lora_trains_and_the_loss_falls(base):
    torch.manual_seed(1)
    model = apply(base, QLoRA(rank=4), ["classifier"])
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert sum("lora_A" in name for name in trained) == sum("lora_B" in name for name in trained) == LAYERS * 2
    assert len(trained) == LAYERS * 4 + 2  # and the head's weight and bias
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(20):
        loss = model(**inputs()).loss
        loss.backward()
        assert all(p.grad is None for p in model.parameters() if not p.requires_grad)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_the_logits_are_near_those_of_the_whole_weights_but_not_the_same(base):
    told = base.eval()(**inputs()).logits
    small = apply(copy.deepcopy(base), QLoRA(rank=4), ["classifier"]).eval()(**inputs()).logits
    difference = (told - small).abs().max()
    assert 0 < difference < 0.1


def test_a_saved_adapter_over_a_fresh_base_gives_the_same_logits(base, tmp_path):
    torch.manual_seed(1)
    model = apply(copy.deepcopy(base), QLoRA(rank=4), ["classifier"])
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(str(tmp_path))
    loaded = load_saved(copy.deepcopy(base), QLoRA(rank=4), ["classifier"], tmp_path)
    with torch.no_grad():
        assert torch.equal(model.eval()(**inputs()).logits, loaded.eval()(**inputs()).logits)
