"""Every method under every strategy that its rules allow: the losses of one process on two, saved and proven."""

from __future__ import annotations

import pytest
from families import make
from matrix import recipe_of, write_data
from spread import STEPS, losses_of
from test_shelf_tasks import METHODS

from launcher.recipe.method import QLoRA, strategies_of
from launcher.training.prepare import prepare

STRATEGIES = ("ddp", "fsdp2", "zero2", "zero3")
"""Stage 1 of the engine does less with a method than stage 2."""
TRAINED = {name: method for name, method in METHODS.items() if not isinstance(method, QLoRA)}
"""QLoRA is for GPUs."""


@pytest.fixture(scope="module")
def prepared(cache, tmp_path_factory):
    """Each method's recipe over the same texts, and the losses of one process."""
    folder = tmp_path_factory.mktemp("spread")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECIPE_LAUNCHER_CACHE", str(cache))
        write_data(folder)
        model = make("BERT", folder / "BERT")
        recipes = {name: recipe_of("texts", folder, model, method) for name, method in TRAINED.items()}
        made = {f"{number} of the shelf": (recipe, prepare(recipe)) for number, recipe in enumerate(recipes.values())}
        yield dict(zip(recipes, made.items(), strict=True)), losses_of(made, "single", 1, folder / "single")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_losses_are_those_of_one_process(prepared, strategy, tmp_path) -> None:
    recipes, alone = prepared
    allowed = [name for name, method in TRAINED.items() if strategy in (strategies_of(method) or STRATEGIES)]
    assert len(allowed) >= len(TRAINED) - 1
    spread = losses_of(dict(recipes[name] for name in allowed), strategy, 2, tmp_path / strategy)
    for name in allowed:
        (key, _) = recipes[name]
        assert len(set(alone[key]["losses"])) == STEPS, name
        assert spread[key]["losses"] == pytest.approx(alone[key]["losses"], abs=1e-5), name
        assert spread[key]["proof"]["largest_logit_difference"] <= 1e-5, name
