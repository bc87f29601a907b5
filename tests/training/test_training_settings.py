"""Adafactor, recomputed activations, compiled models and fp16: one curve, the same bits on resume."""

import pytest
import torch
from torch import nn

from launcher import Training
from launcher.plan import rules
from launcher.training.model_parts.compiled import compile_model
from launcher.training.model_parts.recompute import recompute
from launcher.training.optimiser import build_optimiser, state_shape
from launcher.training.precision import LossScale

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


def test_a_compiled_model_has_the_same_curve_and_goes_on_bit_by_bit(warm):
    """Alone, for every rank compiles for itself."""
    plain = warm.finished("mean", "Full", "single", 1, **USUAL)
    compiled = warm.finished("mean", "Full", "single", 1, compile=True, **USUAL)
    assert compiled.outcome["in_force"]["compiled"] and not plain.outcome["in_force"]["compiled"]
    assert max(abs(a - b) for a, b in zip(plain.losses, compiled.losses, strict=True)) < 1e-5
    resumed = warm.resume(compiled, 6, "single", 1)
    assert set(resumed.status.values()) == {0}, resumed.failures()
    assert losses(resumed, 6) == losses(compiled, 6) and len(losses(compiled, 6)) == 6


class Averaged(nn.Module):
    """A table of few rows and many tokens: its gradient is a sum of many."""

    def __init__(self):
        super().__init__()
        self.table, self.layer = nn.Embedding(50, 32), nn.Linear(32, 2)

    def forward(self, ids):
        return self.layer(self.table(ids).mean(1)).logsumexp(1).sum()


@pytest.fixture
def settings_of_torch():
    """Two threads, and afterwards what was set before: the settings are the process's."""
    threads, fill = torch.get_num_threads(), torch.utils.deterministic.fill_uninitialized_memory
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = fill


def test_a_compiled_model_has_the_same_gradients_every_time(settings_of_torch):
    model, ids = Averaged(), torch.randint(0, 50, (64, 137))
    compile_model(model)
    seen = set()
    for _ in range(20):
        model.zero_grad()
        model(ids).backward()
        seen.add(model.table.weight.grad.numpy().tobytes())
    assert len(seen) == 1


def scaled_step(scale, weight, optimiser, factor):
    scale.backward(weight.sum() * factor)
    scale.unscale(optimiser)
    norm = nn.utils.get_total_norm([weight.grad])
    scale.step(optimiser, norm)
    optimiser.zero_grad()
    return norm


def test_a_step_that_overflows_is_left_out_and_counted():
    weight = nn.Parameter(torch.ones(3))
    optimiser, scale = torch.optim.SGD([weight], lr=0.5), LossScale("fp16", torch.device("cpu"))
    first = scale.document()["scale"]
    assert scaled_step(scale, weight, optimiser, 0.2).item() == pytest.approx(0.2 * 3**0.5)
    assert torch.allclose(weight, torch.full((3,), 0.9)) and scale.skipped == 0
    before = weight.detach().clone()
    scaled_step(scale, weight, optimiser, 1e38)
    assert torch.equal(weight, before) and scale.skipped == 1
    told = scale.document()
    assert told["scale"] == first / 2 and told["skipped"] == 1
    again = LossScale("fp16", torch.device("cpu"))
    again.restore(told)
    assert again.document() == told
    none = LossScale("fp32", torch.device("cpu"))
    scaled_step(none, weight, optimiser, 0.2)
    assert none.document() == {} and none.skipped == 0 and torch.allclose(weight, before - 0.1)


def test_fp16_keeps_to_the_curve_and_its_scale_is_resumed(warm, monkeypatch):
    """On a CPU, which the rule refuses: what scaling does is the same there."""
    monkeypatch.setattr(rules, "_half_precision", lambda *_: iter(()))
    plain = warm.finished("mean", "Full", "single", 1, optimizer="sgd", **USUAL)
    half = warm.finished("mean", "Full", "ddp", 2, optimizer="sgd", precision="fp16", **USUAL)
    assert half.norms == pytest.approx(plain.norms, rel=0.05)  # by the scale, were it left in, 65,536 times as large
    differences = [abs(a - b) for a, b in zip(plain.losses, half.losses, strict=True)]
    assert 0 < max(differences) < 5e-3
    resumed = warm.resume(half, 6, "ddp", 2)
    assert set(resumed.status.values()) == {0}, resumed.failures()
    assert losses(resumed, 6) == losses(half, 6) and len(losses(half, 6)) == 6
    assert resumed.outcome["skipped_steps"] == half.outcome["skipped_steps"]
