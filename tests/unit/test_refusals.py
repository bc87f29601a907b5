"""docs/refusals.md is what the rules say, and no strategy refuses a method where it fits."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "docs" / "refusals.py"


@pytest.fixture(scope="module")
def refusals():
    spec = importlib.util.spec_from_file_location("refusals", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["refusals"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["refusals"]


def test_the_page_is_what_the_rules_say(refusals) -> None:
    assert refusals.FILE.read_text(encoding="utf-8") == refusals.page(), "run: python docs/refusals.py"


def test_what_is_refused_is_counted(refusals) -> None:
    judged = list(refusals.combinations())
    nouns = [len(refusals.members(union)) for union in (refusals.Peft, refusals.Task, refusals.Embedding)]
    assert len(judged) == len(set(judged)) == 7 * 2 * nouns[0] * nouns[1] * nouns[2]
    refused = [one for one in judged if one.reasons]
    offload = [one for one in refused if one.method != "QLoRA"]
    assert len(offload) == (nouns[0] - 1) * nouns[1] * nouns[2] == 18
    assert {(one.strategy, one.device) for one in offload} == {("zero3_offload", "cpu")}
    # QLoRA: nothing on a CPU (7 strategies), on a GPU pretrained models under the four that do not shard weights
    runs = {(one.strategy, one.device, one.source) for one in judged if one.method == "QLoRA" and not one.reasons}
    assert runs == {(name, "cuda", "Pretrained") for name in ("single", "ddp", "zero1", "zero2")}
    assert len(refused) == 18 + 7 * 2 * nouns[1] * nouns[2] - len(runs) * nouns[1] == 94


@pytest.mark.parametrize("method", ["Full", "LoRA", "Adapter"])
def test_the_three_methods_are_refused_nowhere_that_fits(refusals, method: str) -> None:
    mine = [one for one in refusals.combinations() if one.method == method]
    fitting = [one for one in mine if (one.strategy, one.device) != ("zero3_offload", "cpu")]
    assert len(fitting) == 13 * 2 * 3
    assert [one for one in fitting if one.reasons] == []
