"""Runs that pack have the losses of runs that do not: every head, every kind of method, every strategy."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from launcher.errors import PlanError
from launcher.training.model_parts.packing import SPARE
from launcher.training.packed_rows import packed
from launcher.training.tasks.collate import Batches, spare_places

STEPS = 5
HEADS = ("bert", "paths_bert", "masked", "causal")
METHODS = (
    ("bert", "PrefixTuning(tokens=3)"),
    ("causal", "PrefixTuning(tokens=3)"),
    ("causal", "PromptTuning(tokens=2, hidden=8)"),
)
"""Those that change what a layer sees of a row; the others change layers."""
STRATEGIES = (
    ("ddp", "causal", "LoRA"),
    ("fsdp2", "causal", "LoRA"),
    ("zero3", "causal", "LoRA"),
    ("fsdp2", "bert", "Full"),
)


def curve(warm, model, method="Full", strategy="single", processes=1, **training):
    """Losses, and the test's metrics."""
    ended = warm.finished(model, method, strategy, processes, max_steps=STEPS, dropout=0, **training)
    return np.array(ended.losses), ended.outcome["metrics"]["test"]["loss"]


@pytest.mark.parametrize("model", HEADS)
def test_every_head_has_the_losses_of_padded_rows(warm, model):
    padded, tested = curve(warm, model)
    losses, own = curve(warm, model, packing=True)
    assert len(losses) == STEPS
    assert np.abs(losses - padded).max() < 1e-5
    assert own == pytest.approx(tested, abs=1e-5)


@pytest.mark.parametrize(("model", "method"), METHODS)
def test_methods_change_packed_rows_as_they_change_padded_ones(warm, model, method):
    padded, tested = curve(warm, model, method)
    losses, own = curve(warm, model, method, packing=True)
    assert np.abs(losses - padded).max() < 1e-5
    assert own == pytest.approx(tested, abs=1e-5)


@pytest.mark.parametrize(("strategy", "model", "method"), STRATEGIES)
def test_one_curve_under_every_strategy(warm, strategy, model, method):
    padded, _ = curve(warm, model, method)
    losses, _ = curve(warm, model, method, strategy, 2, packing=True, micro_batch_size=3)
    assert np.abs(losses - padded).max() < 1e-5


@pytest.mark.parametrize("more", [{"r_drop": 1.0}, {"fgm": 0.5}])
def test_rows_that_a_step_computes_twice(warm, more):
    padded, _ = curve(warm, "bert", **more)
    losses, _ = curve(warm, "bert", packing=True, **more)
    assert np.abs(losses - padded).max() < 1e-5


def test_what_tells_a_model_to_pack():
    mask = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]])
    assert spare_places(mask)[SPARE].shape == (3, 1), "4 places of 3 rows hold no token"
    assert spare_places(mask[:1]) == spare_places(None) == {}
    assert spare_places(mask[[0, 2]]) == {}, "less than one place of each row"
    assert spare_places(mask[:, ::-1]) == {}, "rows that end at the last place are left as they are"


class Rows:
    """Work that gives the tokens of `lengths`."""

    feeds_any_token, wanted = True, {}

    def collate(self, split, rows, draw):
        lengths = split.cost[rows]
        mask = (np.arange(lengths.max())[None] < lengths[:, None]).astype(np.int64)
        return {"input_ids": 5 + mask * rows[:, None], "attention_mask": mask}


@pytest.mark.parametrize("mixes", [False, True])
def test_a_model_whose_layers_mix_the_rows_of_a_sequence_is_refused(mixes):
    """As one does that has a convolution, a state, or a mean over all positions in its layers."""
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertForSequenceClassification(BertConfig(vocab_size=40, **sizes)).train()
    if mixes:
        model.bert.encoder.layer[0].register_forward_hook(lambda _, __, out: out + 0.01 * out.roll(1, dims=1))
    splits = [SimpleNamespace(rows=len(lengths), cost=np.array(lengths)) for lengths in ([], [4, 4], [9, 2, 4, 5, 1])]
    batches = Batches(Rows(), torch.device("cpu"), packing=True)
    if mixes:
        with pytest.raises(PlanError, match="model cannot be packed: states of up to"):
            packed(model, batches, splits, ask=True)
    else:
        packed(model, batches, splits, ask=True)
    assert model.training
