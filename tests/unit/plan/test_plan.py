"""The plan: a pure function from recipe, facts and placement to one value."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path

import pytest

from launcher import BitFit, Freeze, Full, HeadOnly, LoRA, QLoRA, RandomVectors, TopLayers, Training
from launcher.host.facts import Facts
from launcher.plan import plan
from launcher.plan.placement import Placement
from launcher.recipe.recipe import LoadedRecipe, digest, resolve

FACTS = Facts(cores=8, memory_bytes=1 << 33)
GPUS = Facts(cores=8, memory_bytes=1 << 33, gpus=("a", "b"), gpu_memory_bytes=(1 << 33, 1 << 33))


def planned(make, training: Training, processes: int = 1, rows: int = 100, **placement) -> plan.Plan:
    loaded = resolve(make(training=training), Path("mine.py"), "", {"training.seed": "5"})
    prepared = {"folder": "/prepared", "rows": {"train": rows}}
    return plan.make(loaded, FACTS, Placement(processes=processes, **placement), prepared, {"torch": "2"})


@pytest.mark.parametrize(
    ("batch", "limit", "processes", "micro", "accumulation", "told"),
    [
        (64, None, 1, 64, 1, "64 global = 1 process x 64 x 1 accumulation"),
        (64, 8, 2, 8, 4, "64 global = 2 processes x 8 x 4 accumulation"),
        (64, None, 4, 16, 1, "64 global = 4 processes x 16 x 1 accumulation"),
        (64, 100, 2, 32, 1, "64 global = 2 processes x 32 x 1 accumulation"),
        (10, 1, 1, 1, 10, "10 global = 1 process x 1 x 10 accumulation"),
        (10, 4, 1, 4, 3, None),
    ],
)
def test_a_global_batch_is_shared_and_cut(make, batch, limit, processes, micro, accumulation, told) -> None:
    made = planned(make, Training(batch_size=batch, micro_batch_size=limit), processes)
    assert (made.batch_size, made.micro_batch_size, made.accumulation) == (batch, micro, accumulation)
    assert made.micro_batch_size * made.accumulation * made.world_size >= batch
    assert told is None or made.derivation() == told


@pytest.mark.parametrize(
    ("rows", "batch", "epochs", "limit", "steps", "an_epoch"),
    [
        (100, 10, 3, None, 30, 10),
        (101, 10, 3, None, 33, 11),
        (9, 10, 2, None, 2, 1),
        (100, 10, 3, 7, 7, 10),
        (100, 10, 3, 31, 30, 10),
    ],
)
def test_steps_follow_from_rows_epochs_and_max_steps(make, rows, batch, epochs, limit, steps, an_epoch) -> None:
    made = planned(make, Training(batch_size=batch, epochs=epochs, max_steps=limit), rows=rows)
    assert (made.steps, made.steps_per_epoch) == (steps, an_epoch)


def test_the_number_of_processes_changes_no_step(make) -> None:
    plans = [planned(make, Training(batch_size=8), processes) for processes in (1, 2, 4, 8)]
    assert len({(made.batch_size, made.steps, made.steps_per_epoch, made.digest) for made in plans}) == 1


@pytest.mark.parametrize(
    ("processes", "asked", "strategy", "threads"),
    [
        (1, "auto", "single", 8),
        (2, "auto", "ddp", 4),
        (1, "ddp", "ddp", 8),
        (3, "auto", "ddp", 2),
        (16, "auto", "ddp", 1),
    ],
)
def test_auto_is_decided_and_cores_are_shared(make, processes, asked, strategy, threads) -> None:
    made = planned(make, Training(batch_size=48), processes, strategy=asked)
    assert (made.strategy, made.world_size, made.threads_per_process) == (strategy, processes, threads)


def test_the_plan_promises_the_recipe_and_the_versions(make, loaded: LoadedRecipe) -> None:
    made = planned(make, Training())
    assert made.recipe == str(Path("mine.py").resolve())
    assert made.overrides == {"training.seed": "5"}
    assert made.digest == digest(resolve(make(training=Training(seed=5)), Path("x"), "", {}).recipe)
    assert (made.versions, made.prepared, made.precision) == ({"torch": "2"}, "/prepared", "fp32")


def test_a_plan_comes_back_from_its_document(make) -> None:
    made = planned(make, Training())
    told = json.loads(json.dumps(made.document()))
    assert plan.from_document({**told, "git": {"commit": "x"}}) == made
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.steps = 1  # type: ignore[misc]


def test_the_same_input_gives_the_same_plan(make) -> None:
    assert planned(make, Training()) == planned(make, Training())


def test_the_line_by_hand_survives_a_shell(make) -> None:
    made = planned(make, Training(), 2)
    options = ["--set", "data.train=my file's $(rm -rf ~).csv", "--name", "运行;`x`"]
    line = plan.command_by_hand(made, "a recipe.py", "conf dir/ddp.yaml", options)
    start = ["accelerate", "launch", "--config_file", "conf dir/ddp.yaml", "--num_processes", "2", "a recipe.py"]
    assert shlex.split(line) == [*start, *options]
    assert line.endswith("""--set 'data.train=my file'"'"'s $(rm -rf ~).csv' --name '运行;`x`'""")


def test_auto_takes_no_strategy_that_a_rule_refuses(make) -> None:
    every = ["ddp", "fsdp2", "zero1", "zero2", "zero3"]
    for nouns, facts, taken in (
        ({}, FACTS, every),
        ({"peft": LoRA(dora=True)}, FACTS, every),
        ({"peft": LoRA(dora=True), "embedding": RandomVectors()}, FACTS, every),
        ({"peft": QLoRA()}, GPUS, ["ddp", "zero1", "zero2"]),
    ):
        loaded = resolve(make(**nouns), Path("mine.py"), "", {})
        assert sorted(plan.allowed(loaded, facts, Placement(processes=2))) == taken
        assert plan.allowed(loaded, facts, Placement(processes=2, strategy="zero2")) == ["zero2"]


def test_auto_takes_a_strategy_under_which_the_method_works(make, monkeypatch) -> None:
    """Also where memory is no question and no candidates are compared."""
    assert planned(make, Training(batch_size=48), 2).strategy == "ddp"
    monkeypatch.setattr(Full, "strategies", frozenset({"single", "fsdp2"}))
    assert [planned(make, Training(batch_size=48), processes).strategy for processes in (1, 2)] == ["single", "fsdp2"]


def test_a_method_that_names_parts_has_the_model_looked_at_first(make) -> None:
    """Otherwise a wrong name would only be found by the ranks."""
    bound = {"rows": {"train": 100}, "bound": {"weights": 1000, "row_bytes": 1000}}
    for peft, wanted in (
        (BitFit(), True),
        (TopLayers(), True),
        (Freeze(pattern="a"), True),
        (LoRA(targets=("query",)), True),
        (LoRA(dora=True), False),
        (HeadOnly(), False),
    ):
        loaded = resolve(make(peft=peft), Path("mine.py"), "", {})
        assert plan.wants_model_facts(loaded, FACTS, Placement(), bound) is wanted
        assert not plan.wants_model_facts(loaded, FACTS, Placement(), {**bound, "model": {}})
