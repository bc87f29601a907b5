"""Methods with a life after `apply`: what they add to the loss counts once, what they keep is the same anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from at_work import work_of
from safetensors.torch import load_file
from torch import nn

from launcher.errors import RecipeError
from launcher.recipe.method import CustomMethod, Full, LoRA
from launcher.recipe.recipe import load
from launcher.training.batches.order import global_batches
from launcher.training.batches.split import Split
from launcher.training.initial_model import initial_model
from launcher.training.methods import method_work
from launcher.training.optimiser import build_optimiser, build_schedule
from launcher.training.precision import LossScale
from launcher.training.sources import load_tokenizer
from launcher.training.strategies.ddp import Replicated
from launcher.training.tasks.collate import Batches

STRENGTH = 0.02
DRAWN = f"CustomMethod(file='drawn_back.py', options={{'strength': {STRENGTH}}})"
STEPS = 8
SETTINGS = {"max_steps": STEPS, "checkpoint_every": 1, "keep_checkpoints": 9, "evaluate_every": 2}
LAYOUTS = [
    ("single", 1, {}),
    ("single", 1, {"micro_batch_size": 8}),
    ("ddp", 2, {}),
    ("ddp", 2, {"micro_batch_size": 3}),
    ("fsdp2", 2, {"micro_batch_size": 3}),
]


def drawn(warm, strategy="single", processes=1, **more):
    return warm.finished("bert", DRAWN, strategy, processes, **SETTINGS, **more)


@pytest.fixture(scope="module")
def by_hand(warm):
    """Losses and importances of that method, in a plain loop that knows nothing of strategies and methods."""
    plan = drawn(warm).plan
    recipe = load(Path(plan["recipe"]), plan["overrides"]).recipe
    prepared = Path(plan["prepared"])
    labels = json.loads((prepared / "facts.json").read_text())["labels"]
    model = initial_model(recipe, labels, prepared).train()
    optimiser = build_optimiser(model, recipe.training)
    schedule = build_schedule(optimiser, recipe.training, STEPS)
    split, work = Split.load(prepared / "train.safetensors"), work_of(recipe.task, labels, load_tokenizer(prepared))
    batches = Batches(work, torch.device("cpu"))
    parameters = list(model.parameters())
    anchors = [0.9 * p.detach() for p in parameters]
    importances, losses = [torch.ones_like(a) for a in anchors], []
    for batch in global_batches(split.cost, 16, recipe.training.seed, 0)[:STEPS]:
        inputs, wanted = batches(split, batch)
        loss = nn.functional.cross_entropy(model(**inputs).logits, wanted["labels"])
        for weight, anchor, importance in zip(parameters, anchors, importances, strict=True):
            loss = loss + STRENGTH * (importance * (weight - anchor) ** 2).sum()
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, recipe.training.clip_norm)
        optimiser.step()
        schedule.step()
        for weight, importance in zip(parameters, importances, strict=True):
            importance.mul_(0.9).add_(10.0 * weight.grad**2)
        losses.append(loss.item())
    return losses, importances


@pytest.mark.parametrize(("strategy", "processes", "parts"), LAYOUTS)
def test_a_penalty_counts_once_and_the_step_is_seen_whole(warm, by_hand, strategy, processes, parts) -> None:
    run = drawn(warm, strategy, processes, **parts)
    losses, importances = by_hand
    assert run.outcome["in_force"]["name"] == strategy and run.outcome["world_size"] == processes
    assert np.abs(np.array(run.losses) - losses).max() <= 1e-5
    assert max(losses) - min(losses) > 0.01, "the curve must move, or equality says nothing"
    last = run.folder.path.glob(f"**/step-{STEPS:08d}/rank-0.safetensors")
    (kept,) = [load_file(path) for path in last]
    assert kept["method.steps@0"].item() == STEPS
    for number, importance in enumerate(importances):
        torch.testing.assert_close(kept[f"method.importance_{number}@0"].view(importance.shape), importance)
    assert max(float(importance.max()) for importance in importances) > 1.0


def test_every_row_of_a_table_is_drawn_back_and_planned_whole(warm) -> None:
    """Of the 164 rows only 64 are named; the penalty gives the others a gradient as well."""
    run = drawn(warm, "ddp", 2)
    saved = load_file(run.folder.model / "custom.safetensors")["bert.embeddings.word_embeddings.weight"]
    begun = load_file(f"{warm.bert}/model.safetensors")["embeddings.word_embeddings.weight"]
    assert int((saved != begun).any(1).sum()) >= 163
    assert not run.outcome["in_force"]["embedding_rows_by_themselves"]


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_what_a_method_keeps_survives_a_stop(warm, strategy) -> None:
    whole = drawn(warm, strategy, 2, micro_batch_size=3)
    again = warm.resume(whole, 3, strategy, 2)
    assert set(again.status.values()) == {0}, again.failures()
    assert again.steps == whole.steps
    assert read(again) == read(whole)
    fewer = warm.resume(whole, 3, "single", 1)
    assert set(fewer.status.values()) == {0}, fewer.failures()
    assert np.abs(np.array(fewer.losses) - whole.losses).max() <= 1e-5
    assert load_file(fewer.folder.model / "custom.safetensors")["steps"] == fewer.outcome["selected_step"]


def read(run) -> bytes:
    return (run.folder.model / "custom.safetensors").read_bytes()


def test_the_saved_model_has_what_was_kept_at_its_best_step(warm) -> None:
    for strategy, processes, parts in LAYOUTS:
        run = drawn(warm, strategy, processes, **parts)
        saved = load_file(run.folder.model / "custom.safetensors")
        assert saved["steps"] == run.outcome["selected_step"] > 0
        assert not any(name.startswith("anchor_") for name in saved), "what does not persist is in checkpoints only"


def test_the_guides_example_gives_one_curve(warm) -> None:
    example = Path(__file__).parents[3] / "docs/examples/elastic.py"
    (warm.folder / "elastic.py").write_text(example.read_text())
    mine = "CustomMethod(file='elastic.py', options={'strength': 10000.0})"
    one, many = (warm.finished("mean", mine, *where, max_steps=6) for where in (("single", 1), ("fsdp2", 2)))
    assert np.abs(np.array(one.losses) - many.losses).max() <= 1e-5
    free = warm.finished("mean", mine.replace("10000.0", "0.0"), max_steps=6)
    assert free.losses[0] == one.losses[0] and abs(free.losses[-1] - one.losses[-1]) > 1e-3


def test_a_method_without_a_life_is_asked_nothing() -> None:
    assert not method_work(Full()).lives and not method_work(LoRA()).lives
    assert method_work(Full()).state(nn.Linear(1, 1)) == {}


def user(source: str) -> CustomMethod:
    return CustomMethod(file="my.py", source="def apply(model, new): ...\n" + source)


@pytest.mark.parametrize(
    ("source", "what", "where"),
    [
        ("def penalty(model): return 0.5", "penalty in my.py returned float", "my.py"),
        (
            "import torch\ndef penalty(model): return torch.ones(3)",
            "penalty in my.py returned a tensor of shape [3]",
            "my.py",
        ),
        ("def penalty(model): return model.nothing", "my.py: penalty broke: AttributeError", "my.py:2"),
        ("def after_step(model, step):\n    model.nothing += 1", "my.py: after_step broke: AttributeError", "my.py:3"),
    ],
)
def test_a_life_that_goes_wrong_is_told_with_its_line(source, what, where) -> None:
    work = method_work(user(source))
    assert work.lives
    with pytest.raises(RecipeError) as caught:
        (work.after_step(nn.Linear(1, 1), 1), work.penalty(nn.Linear(1, 1)))
    (problem,) = caught.value.problems
    assert problem.what.startswith(what) and problem.where == where


def test_memory_that_cannot_be_had_is_no_mistake_of_the_file() -> None:
    work = method_work(user("def penalty(model): raise RuntimeError('CUDA out of memory')"))
    with pytest.raises(RuntimeError, match="out of memory"):
        work.penalty(nn.Linear(1, 1))


def test_a_step_that_fp16_left_out_is_not_followed_by_anything() -> None:
    strategy = Replicated(SimpleNamespace(precision="fp16"), SimpleNamespace(size=1, device=torch.device("cpu")))
    strategy.scale, strategy.clip, strategy.model = LossScale("fp16", torch.device("cpu")), None, nn.Linear(3, 1)
    strategy.parameters = list(strategy.model.parameters())
    strategy.optimiser = torch.optim.SGD(strategy.parameters, lr=0.1)
    seen: list[float] = []
    for factor in (1.0, 1e38, 2.0):
        strategy.backward(strategy.model(torch.ones(1, 3)).sum() * factor)
        strategy.update(lambda: np.zeros(0), lambda model: seen.append(float(model.bias.grad)))
    assert seen == [1.0, 2.0]
