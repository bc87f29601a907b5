"""Gate 2: one row or more for each rule in plan/rules.py, with the exact what, where and do."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from refused_images import ROWS as IMAGES
from refused_methods import ROWS as METHODS
from refused_onward import ROWS as ONWARD
from refused_prompts import ROWS as PROMPTS
from refused_rows import APPLY, BOTH, CPU, TWO_GPUS, WORDS, Row
from refused_rows import ROWS as PLACES
from refused_search import ROWS as SEARCH
from refused_streams import ROWS as STREAMS
from refused_tasks import ROWS as TASKS

from launcher import (
    BitFit,
    Columns,
    CustomMethod,
    CustomTask,
    FastText,
    Freeze,
    HeadOnly,
    LabelledFiles,
    LoRA,
    NgramBag,
    Pretrained,
    Prompted,
    Table,
    TokenClassification,
    TopLayers,
    Training,
)
from launcher.errors import Problem
from launcher.host.facts import Facts
from launcher.plan import rules
from launcher.plan.placement import STRATEGIES, Placement
from launcher.recipe import (
    matrix_rules,
    method_rules,
    onward_rules,
    prompt_rules,
    recipe_rules,
    search_rules,
    stream_rules,
)
from launcher.recipe.method import STEPPED, Peft
from launcher.recipe.recipe import LoadedRecipe, resolve

ROWS = [*PLACES, *METHODS, *TASKS, *PROMPTS, *IMAGES, *STREAMS, *SEARCH, *ONWARD]
OF_THE_RECIPE = (recipe_rules, prompt_rules, method_rules, stream_rules, search_rules, matrix_rules, onward_rules)
MINE = CustomMethod(file="my.py", source=BOTH)
LIKE_TEXTS = CustomTask(file="my.py")
LIKE_TOKENS = CustomTask(file="my.py", like=TokenClassification(), metrics={"errors": "min"})

RUNS = [
    ({}, Placement(), CPU),
    ({}, Placement(processes=8), CPU),
    ({}, Placement(processes=2, strategy="ddp", device="cpu"), TWO_GPUS),
    ({}, Placement(), TWO_GPUS),
    ({"training": Training(batch_size=1)}, Placement(strategy="single"), TWO_GPUS),
    *(({}, Placement(strategy=name), TWO_GPUS) for name in STRATEGIES),
    *(({}, Placement(strategy=name, processes=2), CPU) for name in ("ddp", "fsdp2", "zero1", "zero2", "zero3")),
    *(({}, Placement(strategy=name), replace(CPU, deepspeed=False)) for name in ("auto", "ddp", "fsdp2", "single")),
    ({"training": Training(precision="bf16")}, Placement(), TWO_GPUS),
    ({"training": Training(precision="bf16")}, Placement(), Facts(cores=1, memory_bytes=1, cpu_bf16=True)),
    ({"task": TokenClassification(tokens="characters"), "data": WORDS}, Placement(), CPU),
    ({"task": TokenClassification(), "data": Columns(train="a"), "embedding": FastText()}, Placement(), CPU),
    *(
        (
            {
                "task": Prompted(template=template, words={"a": "one", "b": ("two", "three")}),
                "data": Table(train="a.csv", text_pair="b" if "pair" in template else None, shots=16),
                "embedding": Pretrained(model="a/model"),
                "training": Training(epochs=0),
            },
            Placement(),
            CPU,
        )
        for template in ("{text} {{so}} {mask}.", "{text}? {mask}, {text_pair}", "{text}\nSentiment:")
    ),
    (
        {
            "embedding": FastText(
                tokens="characters", beside=(NgramBag(longest=3),), shortest_subword=0, longest_subword=0
            )
        },
        Placement(),
        CPU,
    ),
    ({"data": LabelledFiles(train={"a": "a"}), "training": Training(select_by="loss")}, Placement(), CPU),
    ({"task": TokenClassification(), "embedding": Pretrained(model="m")}, Placement(), CPU),
    *(({"peft": peft}, Placement(), CPU) for peft in (BitFit(), TopLayers(), HeadOnly(), Freeze(pattern="a"))),
    *(({"peft": peft, "embedding": FastText()}, Placement(), CPU) for peft in (HeadOnly(), Freeze(pattern="a"))),
    ({"embedding": FastText(), "training": Training(epochs=0, from_run="a")}, Placement(), CPU),
    ({"peft": LoRA(dora=True), "embedding": FastText()}, Placement(strategy="fsdp2", processes=2), CPU),
    *(({"peft": MINE}, Placement(strategy=name, processes=2), CPU) for name in ("auto", "ddp", "fsdp2")),
    ({"peft": CustomMethod(file="my.py", source=APPLY)}, Placement(strategy="zero3", processes=2), CPU),
    ({"task": LIKE_TEXTS, "data": LabelledFiles(train={"a": "a"})}, Placement(), CPU),
    ({"task": LIKE_TOKENS, "data": Columns(train="a"), "training": Training(select_by="errors")}, Placement(), CPU),
]


class Named(LoadedRecipe):
    """A recipe whose lines are names, so that the table can be read."""

    def where(self, dotted: str) -> str:
        return f"{self.path}:{dotted}"


def named(recipe) -> Named:
    custom = isinstance(recipe.task, CustomTask) or isinstance(recipe.peft, CustomMethod)
    loaded = LoadedRecipe(recipe, Path("mine.py"), "") if custom else resolve(recipe, Path("mine.py"), "", {})
    return Named(loaded.recipe, loaded.path, "", loaded.overrides, loaded.origins)


def rules_written() -> set[str]:
    return {
        name for home in (rules, *OF_THE_RECIPE) for name, _ in inspect.getmembers(home, inspect.isgeneratorfunction)
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.rule}: {row.what}")
def test_the_combination_is_refused_for_this_reason_alone(make, row: Row) -> None:
    loaded = named(make(**row.nouns))
    expected = [Problem(row.what, row.where, row.do)]
    assert rules.judge(loaded, row.facts, row.placement) == expected
    of_the_recipe = next((getattr(home, row.rule) for home in OF_THE_RECIPE if hasattr(home, row.rule)), None)
    alone = of_the_recipe(loaded) if of_the_recipe else getattr(rules, row.rule)(loaded, row.facts, row.placement)
    assert list(alone) == expected


@pytest.mark.parametrize(("nouns", "placement", "facts"), RUNS)
def test_a_combination_that_works_is_let_through(make, nouns, placement, facts) -> None:
    assert rules.judge(named(make(**nouns)), facts, placement) == []


def test_a_custom_task_is_judged_as_what_it_is_like(make) -> None:
    recipe = make(task=LIKE_TOKENS, data=LabelledFiles(train={"a": "a"}), training=Training(select_by="accuracy"))
    told = [problem.what for problem in rules.judge(named(recipe), CPU, Placement())]
    assert told == [
        "LabelledFiles holds one label a text; TokenClassification needs one tag a token",
        "CustomTask has no metric 'accuracy'",
    ]


def test_under_auto_one_of_a_methods_strategies_must_be_for_so_many_processes(make, monkeypatch) -> None:
    for allowed, processes, do in (({"single"}, 2, "use --processes 1"), ({"ddp"}, 1, "use --strategy ddp")):
        monkeypatch.setattr(LoRA, "strategies", frozenset(allowed))
        (problem,) = rules.judge(named(make(peft=LoRA())), CPU, Placement(processes=processes))
        assert problem.what == f"LoRA works under {min(allowed)} only, and not on {processes} processes"
        assert (problem.where, problem.do) == ("mine.py:peft", do)
        assert rules.judge(named(make(peft=LoRA())), CPU, Placement(processes=3 - processes)) == []
        (problem,) = rules.judge(named(make(peft=LoRA())), CPU, Placement(processes=2, strategy="zero1"))
        assert (problem.what, problem.do) == ("LoRA does not work under zero1", f"use --strategy {min(allowed)}")


def test_methods_speak_of_strategies_that_there_are() -> None:
    named_by = [one.strategies for one in get_args(get_args(Peft)[0]) if one.strategies is not None]
    assert set(STRATEGIES) >= STEPPED and all(told <= set(STRATEGIES) for told in named_by)


def test_every_rule_has_a_row() -> None:
    assert {row.rule for row in ROWS} == rules_written()


def test_all_complaints_come_together(make) -> None:
    recipe = make(
        task=TokenClassification(tokens="words"),
        data=LabelledFiles(train={"a": "a.txt"}),
        embedding=FastText(tokens="characters", beside=(NgramBag(),), shortest_subword=4, longest_subword=1),
        training=Training(batch_size=10, precision="bf16", select_by="x"),
    )
    problems = rules.judge(named(recipe), CPU, Placement(processes=9, strategy="sngle", device="cpu"))
    assert len(problems) == 9


def test_a_problem_of_the_recipe_stands_on_its_line(loaded: LoadedRecipe) -> None:
    (problem,) = rules.judge(loaded, CPU, Placement(processes=3))
    assert problem.where == f"{loaded.path}:12"


@pytest.mark.parametrize(
    ("facts", "placement", "device", "processes"),
    [
        (CPU, Placement(), "cpu", 1),
        (TWO_GPUS, Placement(), "cuda", 2),
        (TWO_GPUS, Placement(device="cpu"), "cpu", 1),
        (TWO_GPUS, Placement(strategy="single"), "cuda", 1),
        (TWO_GPUS, Placement(processes=1), "cuda", 1),
        (CPU, Placement(processes=2), "cpu", 2),
    ],
)
def test_what_is_left_open_is_decided_by_the_machine(facts, placement, device, processes) -> None:
    assert rules.device_for(facts, placement) == device
    assert rules.processes_for(facts, placement) == processes
