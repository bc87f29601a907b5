"""What EWC and LwF keep of the run before, and what their step makes: predicted, and held by the allocator."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from allocated import peak_in
from at_work import work_of
from torch.profiler import ProfilerActivity, profile

from launcher.plan.fit import plainly_fits
from launcher.plan.memory import Setting, predict
from launcher.training.batches.split import Split
from launcher.training.initial_model import initial_model
from launcher.training.memory import model_bound
from launcher.training.methods import method_work
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.onward.consolidation import remembering
from launcher.training.optimiser import build_optimiser
from launcher.training.sources import load_tokenizer
from launcher.training.steps.lwf import LwF
from launcher.training.steps.plain import Plain
from launcher.training.tasks.collate import Batches

CPU, ROWS = torch.device("cpu"), 32
LSTM = "RandomVectors(dimension=48, encoder=BiLSTM(hidden=32))"


def measured_peak(recipe, prepared):
    """Over a third real step of the longest rows, as `loop.py` makes it in one process."""
    torch.set_num_threads(1)
    folder, training = Path(prepared["folder"]), recipe.training
    split = Split.load(folder / "train.safetensors")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as told:
        model, before = (initial_model(recipe, prepared["labels"], folder) for _ in range(2))
        for parameter in (*model.parameters(), *before.parameters()):
            parameter.data = parameter.data.clone()
        work = work_of(recipe.task, prepared["labels"], load_tokenizer(folder))
        batches, method = Batches(work, CPU), remembering(method_work(recipe.peft), training.ewc)
        if training.ewc:
            method.remember(
                model, split, batches, SimpleNamespace(rank=0, size=10**6, device=CPU, total=lambda v: v), (2, 2)
            )
        shape = Plain()
        if training.lwf:
            shape = LwF.of(training.lwf, before, SimpleNamespace(device=CPU), "fp32", work, 2)
        del before
        optimiser = build_optimiser(model, training)
        batch = batches(split, np.argsort(-split.cost, kind="stable")[:ROWS])
        model.train()
        for number in range(3):
            with torch.profiler.record_function("measured" if number == 2 else "before"):
                loss = shape.losses(work, lambda inputs: outputs_of(model, inputs, work.outputs), batch)["loss"]
                penalty = method.penalty(model)
                (loss if penalty is None else loss + penalty).backward()
                del loss, penalty
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
    return peak_in(told)


@pytest.mark.parametrize("how", ["ewc=100.0", "lwf=1.0", "ewc=100.0, lwf=1.0"])
@pytest.mark.parametrize(("source", "peft"), [("bert", "Full()"), ("bert", "LoRA(rank=4)"), (LSTM, "Full()")])
def test_the_predicted_peak_is_the_allocators(source, peft, how, facts_of, deep_bert):
    embedding = f"Pretrained(model={str(deep_bert)!r})" if source == "bert" else source
    recipe, prepared, facts = facts_of(embedding, peft=peft, training=how)
    told = predict(facts, Setting("single", 1, ROWS, 1, prepared["tokens"]["train"]["longest"]))
    peak = measured_peak(recipe, prepared)
    assert abs(told.total / peak - 1) < 0.10, (told, peak)
    assert told.remembered == (8 * facts.trainable if "ewc" in how else 0) + (
        4 * facts.total if "lwf" in how else 0
    ) + (facts.buffers if "lwf" in how else 0)


def test_every_rank_keeps_it_whole_under_every_strategy(facts_of, deep_bert):
    embedding = f"Pretrained(model={str(deep_bert)!r})"
    _, _, plain = facts_of(embedding, training="ewc=0.0")
    _, _, facts = facts_of(embedding, training="ewc=100.0, lwf=1.0")
    for name in ("ddp", "fsdp2", "zero1", "zero2", "zero3"):
        at = Setting(name, 2, 16, 1, facts.longest)
        more = predict(facts, at).total - predict(plain, at).total
        assert more >= facts.remembered == 8 * facts.trainable + 4 * facts.total + facts.buffers


def test_what_plainly_fits_counts_it(facts_of, deep_bert):
    recipe, prepared, _ = facts_of(f"Pretrained(model={str(deep_bert)!r})", training="ewc=100.0, lwf=1.0")
    known = model_bound.sizes(recipe, prepared)["bound"]
    whole = model_bound.bound(recipe, prepared)
    room = SimpleNamespace(limit=9 * 4 * whole["weights"] + 64 * whole["row_bytes"])
    assert plainly_fits(whole, 16, room) and not plainly_fits(known, 16, room)
