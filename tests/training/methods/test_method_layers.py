"""What a method's layers compute, against their formulas; what stands in a saved configuration, and who reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from applying import apply
from test_methods import CASES, build, logits, three_steps, tiny_bert
from torch import nn

from launcher.recipe.method import Adapter, LoRA


def test_the_update_is_scaled_by_alpha_over_rank() -> None:
    applied = apply(tiny_bert(), LoRA(rank=4, alpha=6), ["classifier"])
    layer = applied.get_submodule("base_model.model.bert.encoder.layer.0.attention.self.query")
    assert layer.scaling == {"default": 1.5}


def test_the_update_of_rslora_is_scaled_by_alpha_over_the_root_of_rank() -> None:
    applied = apply(tiny_bert(), LoRA(rank=4, alpha=6, rslora=True), ["classifier"])
    layer = applied.get_submodule("base_model.model.bert.encoder.layer.0.attention.self.query")
    assert layer.scaling == {"default": 3.0}


def test_the_bottleneck_layer_against_its_formula() -> None:
    torch.manual_seed(0)
    applied = apply(tiny_bert(), Adapter(bottleneck=8, activation="gelu"), ["classifier"]).eval()
    layer = applied.get_submodule("base_model.model.bert.encoder.layer.1.output.dense")
    down, up = layer.bottleneck_down["default"], layer.bottleneck_up["default"]
    nn.init.normal_(up.weight)
    nn.init.normal_(up.bias)
    x = torch.randn(2, 5, 64)
    hidden = x @ layer.base_layer.weight.T + layer.base_layer.bias
    middle = nn.functional.gelu(hidden @ down.weight.T + down.bias)
    torch.testing.assert_close(layer(x), hidden + middle @ up.weight.T + up.bias)


def test_a_bottleneck_adapter_refuses_to_merge_and_can_be_unloaded() -> None:
    model = build(CASES["bert"])
    before = logits(model)
    applied = apply(model, Adapter(), ["classifier"])
    for attempt in (applied.merge_adapter, applied.merge_and_unload, applied.unmerge_adapter):
        with pytest.raises(ValueError, match="cannot be merged"):
            attempt()
    assert torch.equal(logits(applied.unload()), before)


def test_the_saved_configuration_is_readable(tmp_path: Path) -> None:
    apply(tiny_bert(), Adapter(bottleneck=8), ["classifier"]).save_pretrained(str(tmp_path))
    saved = json.loads((tmp_path / "adapter_config.json").read_text())
    known = {name: saved[name] for name in ("peft_type", "bottleneck", "activation", "placement")}
    assert known == {
        "peft_type": "BOTTLENECK",
        "bottleneck": 8,
        "activation": "gelu",
        "placement": "pfeiffer",
    }
    assert saved["modules_to_save"] == ["classifier"]


def test_peft_alone_loads_it_once_registered(tmp_path: Path) -> None:
    from peft import PeftModel, PeftType

    from launcher.training.methods.bottleneck import register

    applied = apply(build(CASES["bert"]), Adapter(), ["classifier"])
    three_steps(applied)
    applied.save_pretrained(str(tmp_path))
    register()
    register()
    assert [member.value for member in PeftType].count("BOTTLENECK") == 1
    assert torch.equal(logits(PeftModel.from_pretrained(build(CASES["bert"]), str(tmp_path))), logits(applied))


def test_full_never_imports_peft() -> None:
    code = (
        "import sys\n"
        "from transformers import BertConfig, BertModel\n"
        "from launcher.recipe.method import Full\n"
        "from launcher.training.methods import method_work\n"
        "config = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)\n"
        "method_work(Full()).apply(BertModel(config), [])\n"
        "assert 'peft' not in sys.modules\n"
    )
    root = str(Path(__file__).parents[3])
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True, timeout=120)
