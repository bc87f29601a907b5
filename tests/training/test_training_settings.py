"""Adafactor and recomputed activations: one curve at every number of processes, the same bits on resume."""

import pytest
import torch
from torch import nn

from launcher import Training
from launcher.training.optimiser import build_optimiser, state_shape
from launcher.training.recomputation import recompute

USUAL = {"max_steps": 12, "checkpoint_every": 6, "keep_checkpoints": 9, "evaluate_every": 12}
ADAFACTOR = {"optimizer": "adafactor"}


def losses(run, after=0):
    return {step: loss.hex() for step, loss in run.steps.items() if step > after}


def test_what_adafactor_keeps_has_the_shapes_that_a_checkpoint_expects():
    model = nn.Sequential(nn.Linear(3, 5), nn.LayerNorm(5))
    optimiser = build_optimiser(model, Training(optimizer="adafactor", learning_rate=1e-2))
    model(torch.ones(2, 3)).sum().backward()
    optimiser.step()
    assert isinstance(optimiser, torch.optim.Adafactor)
    kept = {name: optimiser.state[parameter] for name, parameter in model.named_parameters()}
    assert {name: set(state) for name, state in kept.items()} == {
        "0.weight": {"step", "row_var", "col_var"},
        **{name: {"step", "variance"} for name in ("0.bias", "1.weight", "1.bias")},
    }
    shapes = dict(model.named_parameters())
    for name, state in kept.items():
        for key, value in state.items():
            assert value.shape == state_shape(key, shapes[name].shape)


@pytest.mark.parametrize("model", ["mean", "bert"])
def test_adafactor_gives_one_curve_and_goes_on_bit_by_bit(warm, model):
    alone = warm.finished(model, "Full", "single", 1, **USUAL, **ADAFACTOR)
    both = warm.finished(model, "Full", "ddp", 2, **USUAL, **ADAFACTOR)
    assert len(both.losses) == 12 and len(set(both.losses)) > 10
    assert max(abs(a - b) for a, b in zip(alone.losses, both.losses, strict=True)) < 1e-5
    resumed = warm.resume(both, 6, "ddp", 2)
    assert set(resumed.status.values()) == {0}, resumed.failures()
    assert losses(resumed, 6) == losses(both, 6) and len(losses(both, 6)) == 6


@pytest.mark.parametrize(
    ("method", "strategy", "processes"),
    [("Full", "single", 1), ("LoRA", "ddp", 2), ("Full", "fsdp2", 2), ("Full", "zero2", 2), ("Full", "zero3", 2)],
)
def test_recomputed_activations_change_no_bit(warm, method, strategy, processes):
    """With dropout: its generator must draw the same numbers again, and go on from where it was."""
    kept = warm.finished("bert", method, strategy, processes, dropout=0.2, **USUAL)
    again = warm.finished("bert", method, strategy, processes, dropout=0.2, recompute=True, **USUAL)
    assert again.plan["recompute"] and not kept.plan["recompute"]
    assert len(losses(kept)) == 12 and losses(again) == losses(kept)
    assert again.outcome["metrics"]["test"] == kept.outcome["metrics"]["test"]


@pytest.mark.parametrize("again", [False, True])
def test_each_layer_is_computed_again_in_the_backward_pass(bert, again):
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(bert).train()
    if again:
        recompute(model)
    calls = []
    for layer in model.bert.encoder.layer:
        layer.attention.register_forward_hook(lambda *_: calls.append(1))
    loss = model(input_ids=torch.ones(2, 5, dtype=torch.long)).logits.sum()
    assert len(calls) == 2
    loss.backward()
    assert len(calls) == (4 if again else 2)
