"""The facts of a model against the model itself: its tensors, and what one real micro-batch takes."""

import json
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch
from allocated import peak_in
from at_work import work_of
from torch.profiler import ProfilerActivity, profile

from launcher.json_files import read_json
from launcher.plan.memory import Setting, communication, held_parameters, predict
from launcher.plan.model_facts import facts_from
from launcher.training.batches.split import Split
from launcher.training.initial_model import initial_model
from launcher.training.memory import model_bound, trace
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.model_parts.sparse_table import compact
from launcher.training.optimiser import build_optimiser
from launcher.training.sources import load_tokenizer
from launcher.training.tasks.collate import Batches

LSTM = "RandomVectors(dimension=48, encoder=BiLSTM(hidden=32))"
MEAN = "RandomVectors(dimension=48, encoder=MeanPooling(hidden=64))"
PEAKS = (("bert", "fp32"), ("bert", "bf16"), (LSTM, "fp32"), (MEAN, "fp32"), ("lexicon", "fp32"))
PEFTS = ("Full()", "LoRA(rank=4)", "Adapter(bottleneck=8)")


def really_built(recipe, prepared):
    from pathlib import Path

    folder = Path(prepared["folder"])
    model = initial_model(recipe, prepared["labels"], folder)
    split = Split.load(folder / "train.safetensors")
    whole = sum(p.numel() for p in model.parameters())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    compact(model, split.token_ids, load_tokenizer(folder).pad_token_id)
    return model, split, (whole, trainable)


SELECTED = (
    "BitFit()",
    "TopLayers(layers=2)",
    "HeadOnly()",
    "Freeze(pattern='layer.[35]')",
    "LoRA(rank=4, dora=True)",
    "Adapter(bottleneck=8, also_train=('LayerNorm', 'pooler'))",
)


@pytest.mark.parametrize("peft", SELECTED)
def test_the_facts_of_the_other_methods_are_those_of_the_model(peft, facts_of, deep_bert) -> None:
    recipe, prepared, facts = facts_of(f"Pretrained(model={str(deep_bert)!r})", peft=peft)
    model, _, counts = really_built(recipe, prepared)
    assert [t.trains for t in facts.tensors] == [p.requires_grad for p in model.parameters()]
    assert (facts.total, facts.trainable) == counts
    assert {interval.tensor for interval in facts.backward} == {n for n, t in enumerate(facts.tensors) if t.trains}
    if not peft.startswith("Freeze"):  # which leaves the table of tokens to train
        assert communication(facts, Setting("ddp", 2, 4, 1, 10)) == 4 * facts.trainable
    # layers that differ, or of which two and three are too few, are all traced
    assert ("extrapolated" in facts.layers) == (peft.startswith(("BitFit", "LoRA", "Adapter")))


@pytest.mark.parametrize("peft", SELECTED)
def test_the_predicted_peak_of_the_other_methods_is_the_allocators(peft, facts_of, deep_bert) -> None:
    recipe, prepared, facts = facts_of(f"Pretrained(model={str(deep_bert)!r})", peft=peft)
    told = predict(facts, Setting("single", 1, 32, 1, prepared["tokens"]["train"]["longest"]))
    peak = measured_peak(recipe, prepared, 32)
    assert abs(told.total / peak - 1) < 0.10, (told, peak)


@pytest.mark.parametrize("peft", PEFTS)
@pytest.mark.parametrize("kind", ["texts", "entities"])
@pytest.mark.parametrize("source", ["bert", LSTM, MEAN])
def test_the_facts_are_those_of_the_model(source, kind, peft, facts_of, deep_bert) -> None:
    embedding = f"Pretrained(model={str(deep_bert)!r})" if source == "bert" else source
    recipe, prepared, facts = facts_of(embedding, kind=kind, peft=peft)
    model, _, counts = really_built(recipe, prepared)
    real = [(p.shape[0], p.numel(), p.requires_grad) for p in model.parameters()]
    assert [(t.rows, t.numel, t.trains) for t in facts.tensors] == real
    assert (facts.total, facts.trainable) == counts
    assert facts.buffers == sum(b.numel() * b.element_size() for b in model.buffers())
    trained = {number for number, (_, _, trains) in enumerate(real) if trains}
    assert {interval.tensor for interval in facts.backward} == trained


def measured_peak(recipe, prepared, rows):
    """The CPU allocator's own peak above its start, over a third real step of the longest rows (torch's profiler)."""
    from pathlib import Path

    torch.set_num_threads(1)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as told:
        model, split, _ = really_built(recipe, prepared)
        for parameter in model.parameters():
            parameter.data = parameter.data.clone()
        optimiser, tokenizer = build_optimiser(model, recipe.training), load_tokenizer(Path(prepared["folder"]))
        work = work_of(recipe.task, prepared["labels"], tokenizer)
        batches = Batches(work, torch.device("cpu"))
        inputs, wanted = batches(split, np.argsort(-split.cost, kind="stable")[:rows])
        model.train()
        for number in range(3):
            with torch.profiler.record_function("measured" if number == 2 else "before"):
                with torch.autocast("cpu", torch.bfloat16, enabled=recipe.training.precision == "bf16"):
                    outputs = outputs_of(model, inputs, work.outputs)
                work.loss(outputs, wanted)["loss"].backward()
                del outputs
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
    return peak_in(told)


def knowing(source, folder) -> str:
    """The source with a lexicon of many ratings."""
    path = folder / "rated.txt"
    path.write_text("".join(f"word{n} {' '.join(str(n % (place + 2)) for place in range(900))}\n" for n in range(60)))
    return source.replace("encoder", f"beside=(Lexicon(files={str(path)!r}),), encoder")


@pytest.mark.parametrize("peft", PEFTS)
@pytest.mark.parametrize(("source", "precision"), PEAKS)
def test_the_predicted_peak_is_the_allocators(source, precision, peft, facts_of, deep_bert, tmp_path) -> None:
    known = {"bert": f"Pretrained(model={str(deep_bert)!r})", "lexicon": knowing(LSTM, tmp_path)}
    embedding = known.get(source, source)
    recipe, prepared, facts = facts_of(embedding, peft=peft, training=f"precision={precision!r}")
    rows = 32
    told = predict(facts, Setting("single", 1, rows, 1, prepared["tokens"]["train"]["longest"]))
    peak = measured_peak(recipe, prepared, rows)
    assert abs(told.total / peak - 1) < 0.10, (told, peak)
    assert told.activations > 0.2 * told.total  # or the test would only count weights


def test_layers_that_were_not_traced_are_extrapolated_exactly(facts_of, deep_bert, monkeypatch) -> None:
    from launcher.training.memory import facts as module

    recipe, prepared, extrapolated = facts_of(f"Pretrained(model={str(deep_bert)!r})")
    assert "extrapolated" in extrapolated.layers
    monkeypatch.setattr(module, "MORE", 99)
    whole = facts_from(module._facts(recipe, prepared))
    assert whole.layers == "all"
    assert [i.tensor for i in whole.backward] == [i.tensor for i in extrapolated.backward]
    for one, other in zip(whole.backward, extrapolated.backward, strict=True):
        for terms in ("peak", "rest"):
            here, there = (getattr(i, terms).at(16) for i in (one, other))
            assert abs(here - there) <= 0.02 * max(here, 1000)
    assert abs(whole.evaluation.at(16) - extrapolated.evaluation.at(16)) <= 0.02 * whole.evaluation.at(16)


def test_a_folder_with_nothing_but_a_config_and_a_tokenizer_is_enough(facts_of, deep_bert, tmp_path) -> None:
    import shutil

    _, _, whole = facts_of(f"Pretrained(model={str(deep_bert)!r})")
    folder = tmp_path / "hollow"
    shutil.copytree(deep_bert, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    _, _, facts = facts_of(f"Pretrained(model={str(folder)!r})")
    assert facts.tensors == whole.tensors
    assert (facts.total, facts.backward) == (whole.total, whole.backward)


def test_a_base_in_four_bits_is_planned_without_bitsandbytes(facts_of, deep_bert) -> None:
    """QLoRA's linear layers take about half a byte a weight and keep nothing for the backward pass."""
    embedding = f"Pretrained(model={str(deep_bert)!r})"
    _, _, whole = facts_of(embedding, peft="LoRA(rank=4)", training="precision='bf16'")
    _, _, packed = facts_of(embedding, peft="QLoRA(rank=4)", training="precision='bf16'")
    assert packed.trainable == whole.trainable
    assert packed.total == pytest.approx(whole.total, rel=1e-3)
    linear = 6 * (4 * 128 * 128 + 2 * 128 * 256) + 128 * 128  # layers and pooler
    saved = held_parameters(whole, "single", 1) - held_parameters(packed, "single", 1)
    assert saved == pytest.approx(linear * (4 - 4.127 / 8), rel=1e-3)
    at = Setting("single", 1, 32, 1, whole.longest)
    assert predict(packed, at).activations < predict(whole, at).activations


def test_a_layer_that_trains_whole_over_a_base_in_four_bits_is_planned_with_all_its_weights(
    facts_of, deep_bert
) -> None:
    embedding = f"Pretrained(model={str(deep_bert)!r})"
    _, _, packed = facts_of(embedding, peft="QLoRA(rank=4)")
    _, _, facts = facts_of(embedding, peft="QLoRA(rank=4, also_train=('pooler',))")
    pooler = 128 * 128 + 128
    assert (facts.trainable, facts.total) == (packed.trainable + pooler, packed.total + pooler)


def test_the_facts_are_found_once(facts_of, deep_bert, monkeypatch) -> None:
    from launcher.training.memory import facts as module

    recipe, prepared, facts = facts_of(f"Pretrained(model={str(deep_bert)!r})")
    monkeypatch.setattr(module, "_facts", lambda *_: pytest.fail("looked again"))
    assert facts_from(module.model_facts(recipe, prepared)) == facts
    told = model_bound.sizes(recipe, prepared)
    assert facts_from(told["model"]) == facts
    from pathlib import Path

    other = model_bound.facts_file(load_with(recipe, rank=9), Path(prepared["folder"]))
    assert read_json(other) is None


def load_with(recipe, rank):
    from dataclasses import replace

    from launcher import LoRA

    return replace(recipe, peft=LoRA(rank=rank))


def test_storages_are_counted_while_they_live() -> None:
    known = torch.zeros(1000)
    with trace.Storages([known]) as storages:
        made = known + 1
        view = made[:10]
        assert (storages.alive, storages.peak) == (4000, 4000)
        del made
        assert storages.alive == 4000
        gone = weakref.ref(view.untyped_storage())
        del view
        assert gone() is None and storages.alive == 0
        known.add_(1)
    assert storages.peak == 4000


def test_the_traced_rows_are_told_and_one_row_that_cannot_be_computed_is_left_out() -> None:
    """A head takes 900 bytes at least, a layer 100 a row: one line through 4 and 16 rows would say 667 of one."""

    def run(shape):
        rows, length = shape
        if rows == 1:
            raise ValueError("Expected more than 1 value per channel when training")
        return trace.Trace(["head", "layer"], [max(900, 100 * rows), 100 * rows], [length, 0], 10 * rows)

    told = trace.trace_rows(run, (1, 2, 4, 16), 7, 10)
    assert told.rows == (2, 4, 16)
    assert told.peaks.tolist() == [[900, 900, 1600], [200, 400, 1600]]
    assert (told.rests[0].tolist(), told.evaluation.tolist()) == ([7, 7, 7], [20, 40, 160])
    assert told.worst_error == pytest.approx((1250 - 1000) / 1000)


FAKE_RANKS = """
import json, sys
import torch
from torch import nn
from torch.distributed import destroy_process_group, init_process_group
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.testing._internal.distributed.fake_pg import FakeStore
from transformers import BertConfig, BertForSequenceClassification
from launcher.training.model_parts.units import units

told = {}
for size in json.loads(sys.argv[1]):
    init_process_group("fake", store=FakeStore(), rank=0, world_size=size)
    model = BertForSequenceClassification(BertConfig(**json.loads(sys.argv[2])))
    mesh = init_device_mesh("cpu", (size,))
    for unit in units(model):
        fully_shard(unit, mesh=mesh)
    fully_shard(model, mesh=mesh)
    told[size] = sum(p.to_local().numel() * p.element_size() for p in model.parameters())
    destroy_process_group()
print(json.dumps(told))
"""


def test_a_rank_of_up_to_1024_holds_what_is_predicted(facts_of, deep_bert) -> None:
    """torch's fake process group: the real `fully_shard`, as rank 0 of as many ranks as it is told there are."""
    sizes = [2, 3, 4, 8, 64, 100, 256, 1024]
    _, _, facts = facts_of(f"Pretrained(model={str(deep_bert)!r})")
    config = json.loads((deep_bert / "config.json").read_text())
    kept = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    words = [sys.executable, "-c", FAKE_RANKS, json.dumps(sizes), json.dumps({name: config[name] for name in kept})]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    held = {int(size): number for size, number in json.loads(done.stdout.splitlines()[-1]).items()}
    assert held == {size: held_parameters(facts, "fsdp2", size) for size in sizes}
    assert len(set(held.values())) == len(sizes)  # every size holds less than the one before
    assert held[1024] < held[2] / 50
