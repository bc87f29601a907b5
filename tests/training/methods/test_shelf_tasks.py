"""Every method with every task of the matrix: three steps, saved, read back and proven."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from drawn_images import VIT, save_body
from families import make
from matrix import TASKS, outcome, recipe_of, write_data

from launcher.recipe.method import (
    IA3,
    OFT,
    AdaLoRA,
    Adapter,
    BitFit,
    Freeze,
    Full,
    HeadOnly,
    LoRA,
    NewTokens,
    Peft,
    PrefixTuning,
    PromptTuning,
    QLoRA,
    TopLayers,
    VeRA,
)
from launcher.recipe.user_file import Custom

torch.set_num_threads(1)

METHODS: dict[str, Peft] = {
    "Full": Full(),
    "LoRA": LoRA(rank=2),
    "LoRA(start='pissa')": LoRA(rank=2, start="pissa"),
    "QLoRA": QLoRA(rank=2),
    "AdaLoRA": AdaLoRA(rank=1, start_rank=2),
    "VeRA": VeRA(rank=4),
    "IA3": IA3(),
    "OFT": OFT(block_size=4),
    "Adapter": Adapter(bottleneck=4),
    "Adapter(placement='parallel')": Adapter(bottleneck=4, placement="parallel"),
    "PromptTuning": PromptTuning(tokens=2),
    "PromptTuning(hidden=…)": PromptTuning(tokens=2, hidden=4),
    "PrefixTuning": PrefixTuning(tokens=2),
    "NewTokens": NewTokens(),
    "BitFit": BitFit(),
    "TopLayers": TopLayers(layers=1),
    "HeadOnly": HeadOnly(),
    "Freeze": Freeze(pattern="embed*"),
}
"""Each method at its smallest, by what the table in docs/shelf.md calls it."""

REFUSED: dict[tuple[str, str], str] = {
    **{
        (name, "translated"): f"{name.partition('(')[0]} is for models of one stack; this 'bart' has two"
        for name in ("PromptTuning", "PromptTuning(hidden=…)", "PrefixTuning")
    },
    ("NewTokens", "translated"): "models of type 'bart' have a token table of a kind that takes no new tokens",
    ("HeadOnly", "translated"): "HeadOnly trains the head, and that of this 'bart' model is its table of tokens",
}
"""Pairs that are refused once the model is known, and what is said."""


def test_no_method_is_left_out() -> None:
    closed = {one for one in get_args(get_args(Peft)[0]) if not issubclass(one, Custom)}
    assert {type(method) for method in METHODS.values()} == closed


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    write_data(folder)
    make("BERT", folder / "BERT")
    save_body(VIT, folder / "ViT")
    make("BART", folder / "BART", speaking=True)
    make("Qwen2", folder / "Qwen2", speaking=True)  # goes on with texts, and knows punctuation
    return folder


OF_TEXTS = ("PromptTuning", "PrefixTuning", "NewTokens")
"""Methods that the rules refuse for images: they put tokens before a text, or train those of texts."""


def refused(name: str, task: str) -> bool:
    """What the rules refuse: see above, and a head alone where nothing with weights is put on the model."""
    return (task == "images" and name.startswith(OF_TEXTS)) or (name, task) == ("HeadOnly", "embedded")


@pytest.mark.parametrize(
    ("name", "task"),
    [(name, task) for name in METHODS for task in TASKS if not refused(name, task)],
)
def test_a_method_trains_a_task_and_is_proven(name: str, task: str, data: Path, tmp_path: Path, cache) -> None:
    if name == "QLoRA":
        pytest.importorskip("bitsandbytes")
    own = {"translated": "BART", "images": "ViT", **dict.fromkeys(("prompted", "relations", "talks"), "Qwen2")}
    model = own.get(task, "BERT")
    recipe = recipe_of(task, data, str(data / model), METHODS[name])
    if task != "images":
        room = replace(recipe.embedding, max_length=48)  # virtual tokens take places of the model's 64
        recipe = replace(recipe, embedding=room)
    told = outcome(recipe, tmp_path / "model")
    assert told == "trains" or told == REFUSED.get((name, task))
