"""AdaLoRA: its ranks fall by its schedule, its matrices are drawn towards orthogonal ones, a stop changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import test_methods as base
import torch
from applying import apply
from safetensors import safe_open
from safetensors.torch import load_file

from launcher import Pretrained, Recipe, Table, TextClassification, Training
from launcher.errors import PlanError
from launcher.recipe.method import AdaLoRA
from launcher.recipe.method_rules import schedule_too_long
from launcher.recipe.recipe import LoadedRecipe, resolve
from launcher.training.methods import method_work

START, RANK, STEPS = 6, 2, 10
METHOD = AdaLoRA(rank=RANK, start_rank=START, warmup_steps=2, final_steps=3)
SOURCE = f"AdaLoRA(rank={RANK}, start_rank={START}, warmup_steps=2, final_steps=3)"
SETTINGS = {"max_steps": STEPS, "checkpoint_every": 1, "keep_checkpoints": 11, "evaluate_every": 5}
LAYERS = 4
LAYOUTS = [("single", 1, {}), ("ddp", 2, {"micro_batch_size": 3}), ("fsdp2", 2, {"micro_batch_size": 3})]


def trained(warm, strategy="single", processes=1, **more):
    return warm.finished("bert", SOURCE, strategy, processes, **SETTINGS, **more)


def ranks(run, step: int) -> int:
    """The entries of all E that are not zero in the checkpoint of this step."""
    whole = 0
    for path in run.folder.path.glob(f"**/step-{step:08d}/rank-*.safetensors"):
        with safe_open(path, "pt") as file:
            names = [name for name in file.keys() if name.startswith("model.") and ".lora_E." in name]  # noqa: SIM118
            whole += sum(int((file.get_tensor(name) != 0).sum()) for name in names)
    return whole


def wanted(step: int) -> int:
    """The budget of the paper: cubic from the start's to the end's."""
    most, least, begin, end = LAYERS * START, LAYERS * RANK, 2, STEPS - 3
    left = 1 - (min(max(step, begin), end) - begin) / (end - begin)
    return int((most - least) * left**3 + least)


@pytest.mark.parametrize(("strategy", "processes", "parts"), LAYOUTS)
def test_the_rank_falls_by_the_schedule_and_the_curve_is_one(warm, strategy, processes, parts) -> None:
    run, alone = trained(warm, strategy, processes, **parts), trained(warm)
    assert np.abs(np.array(run.losses) - alone.losses).max() <= 1e-5
    assert np.ptp(alone.losses) > 1e-3
    # the first step has a learning rate of zero, and E begins at zero
    assert [ranks(run, step) for step in range(2, STEPS + 1)] == [wanted(step) for step in range(2, STEPS + 1)]
    assert ranks(run, 2) == LAYERS * START and ranks(run, STEPS) == LAYERS * RANK
    count = LAYERS * START * (32 + 32 + 1) + 32 * 2 + 2
    assert run.outcome["parameters"]["trainable"] == count


@pytest.mark.parametrize(("strategy", "processes", "parts"), LAYOUTS[1:])
def test_a_stop_while_the_ranks_fall_changes_nothing(warm, strategy, processes, parts) -> None:
    whole = trained(warm, strategy, processes, **parts)
    again = warm.resume(whole, 4, strategy, processes)
    assert set(again.status.values()) == {0}, again.failures()
    assert again.steps == whole.steps
    path = "adapter_model.safetensors"
    assert (again.folder.model / path).read_bytes() == (whole.folder.model / path).read_bytes()


def test_the_saved_one_has_the_ranks_of_its_best_step(warm) -> None:
    run = trained(warm, "fsdp2", 2, micro_batch_size=3)
    saved = load_file(run.folder.model / "adapter_model.safetensors")
    entries = [value for name, value in saved.items() if ".lora_E" in name]
    assert {tuple(value.shape) for value in entries} == {(START, 1)} and len(entries) == LAYERS
    assert sum(int((value != 0).sum()) for value in entries) == ranks(run, run.outcome["selected_step"])


def test_a_schedule_longer_than_the_run_is_told_before_anything_starts(warm) -> None:
    with pytest.raises(PlanError, match=r"leave none of the run's \d+ steps for the ranks to fall") as caught:
        warm.run("bert", SOURCE.replace("final_steps=3", "final_steps=4000"), max_steps=None)
    (problem,) = caught.value.problems
    assert "give fewer warmup_steps or final_steps" in problem.do and ".py:" in problem.where


@pytest.mark.parametrize(("steps", "final"), [(1, None), (4, 3)])
def test_the_first_cut_may_be_the_last(steps: int, final: int | None) -> None:
    method = AdaLoRA(rank=RANK, start_rank=START, warmup_steps=0, final_steps=final)
    assert schedule_too_long(loaded_of(method), steps) == []
    applied, work = apply(base.build(base.CASES["bert"]), method, ["classifier"]), method_work(method)
    work.begin(applied, steps)
    optimiser = torch.optim.AdamW([p for p in applied.parameters() if p.requires_grad], lr=1e-2)
    for step in range(1, steps + 1):
        applied(input_ids=base.inputs()).logits.logsumexp(-1).sum().backward()
        optimiser.step()
        with torch.no_grad():
            work.after_step(applied, step)
        optimiser.zero_grad()
        entries = [p for name, p in applied.named_parameters() if ".lora_E." in name]
        assert sum(int((p != 0).sum()) for p in entries) == LAYERS * RANK


def test_without_steps_there_is_no_schedule_to_be_too_long() -> None:
    assert schedule_too_long(loaded_of(METHOD), 0) == []
    assert len(schedule_too_long(loaded_of(METHOD), 5)) == 1


def loaded_of(method: AdaLoRA) -> LoadedRecipe:
    recipe = Recipe(
        task=TextClassification(),
        data=Table(train="a.csv"),
        embedding=Pretrained(model="a/model"),
        peft=method,
        training=Training(),
    )
    return resolve(recipe, Path("recipe.py"), "", {})


def test_the_start_is_the_base_and_the_frozen_part_stays() -> None:
    model = base.build(base.CASES["bert"])
    before = base.logits(model)
    applied = apply(model, METHOD, ["classifier"])
    assert torch.equal(base.logits(applied), before)
    state = {name: p.detach().clone() for name, p in applied.named_parameters()}
    base.three_steps(applied)
    assert all(torch.equal(p, state[name]) != p.requires_grad for name, p in applied.named_parameters())


def test_the_penalty_is_the_distance_from_orthonormal_rows_and_columns() -> None:
    applied = apply(base.build(base.CASES["bert"]), METHOD, ["classifier"])
    work = method_work(METHOD)
    weights = {name: p for name, p in applied.named_parameters() if "lora_A" in name or "lora_B" in name}
    assert len(weights) == 2 * LAYERS
    eye = torch.eye(START)
    by_hand = [((p @ p.T if "lora_A" in name else p.T @ p) - eye).norm() for name, p in weights.items()]
    assert float(work.penalty(applied)) == pytest.approx(0.5 * float(sum(by_hand)) / len(by_hand), rel=1e-6)
    for name, p in weights.items():
        torch.nn.init.orthogonal_(p)
        assert (p @ p.T if "lora_A" in name else p.T @ p).allclose(eye, atol=1e-5)
    assert float(work.penalty(applied)) < 1e-4
    assert method_work(AdaLoRA(orthogonality=0)).penalty(applied) is None


def test_shapes_can_be_counted_on_the_meta_device() -> None:
    with torch.device("meta"):
        model = base.tiny_bert()
    applied = apply(model, METHOD, ["classifier"])
    assert base.trainable(applied) == LAYERS * START * 65 + base.CASES["bert"].new_parameters
    assert {p.device.type for p in applied.parameters()} == {"meta"}
