"""What autograd saves of a gathered weight is not the weight: it is let go of, and the gradients are right."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from launcher.training.strategies.saved_weights import SavedWeights


class Gathering(nn.Linear):
    """Its weight is there only while it computes, forwards or backwards, as under ZeRO-3."""

    def __init__(self, width):
        super().__init__(width, width)
        self.kept = {name: p.detach().clone() for name, p in self.named_parameters()}
        self.release()
        self.register_forward_pre_hook(lambda *_: self.gather())
        self.register_forward_hook(lambda *_: self.release())

    def gather(self):
        for name, parameter in self.named_parameters():
            parameter.data = self.kept[name].clone()

    def release(self):
        for parameter in self.parameters():
            parameter.data = torch.empty(0)


def computed(by_name):
    torch.manual_seed(0)
    layer, inputs = Gathering(8), torch.randn(4, 8, requires_grad=True)
    saved = SavedWeights(layer)
    if by_name:
        with saved.by_name():
            outputs = layer(inputs)
    else:
        outputs = layer(inputs)
    return layer, inputs, outputs


def test_the_saved_view_holds_no_weight():
    _, _, outputs = computed(by_name=False)
    assert outputs.grad_fn._saved_mat2.shape == (8, 8), "without it autograd holds the whole weight"
    _, _, outputs = computed(by_name=True)
    with pytest.raises(RuntimeError, match="out of bounds"):
        _ = outputs.grad_fn._saved_mat2  # the weight is released, and nothing else has it


def test_gradients_are_those_of_a_layer_that_keeps_its_weight():
    layer, inputs, outputs = computed(by_name=True)
    layer.gather()
    outputs.sum().backward()
    expected = torch.ones(4, 8) @ layer.kept["weight"]
    assert torch.equal(inputs.grad, expected)


def test_what_is_no_weight_is_saved_as_it_is():
    layer, inputs, _ = computed(by_name=True)
    with SavedWeights(layer).by_name():
        (inputs * inputs).sum().backward()
    assert torch.equal(inputs.grad, 2 * inputs.detach())


def test_two_ranks_of_zero3_take_what_is_predicted(tmp_path):
    """Torch's allocator in two real ranks; with whole weights held it is half as much again."""
    script = Path(__file__).parents[3] / "benchmarks" / "memory.py"
    answer = tmp_path / "told.json"
    words = ["--lengths", "32", "--methods", "LoRA", "--strategies", "zero3", "--json", str(answer)]
    environment = {**os.environ, "RECIPE_LAUNCHER_CACHE": str(tmp_path / "cache")}
    subprocess.run([sys.executable, script, *words], check=True, env=environment, capture_output=True)
    ((_, told),) = json.loads(answer.read_text())["figures"].items()
    assert len(told["measured"]) == 2
    assert abs(told["error"]) < 0.10
