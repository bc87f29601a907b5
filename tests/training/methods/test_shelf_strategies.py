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
def told(cache, tmp_path_factory):
    """Of each method its losses and its proof on one process, and on two under every strategy that it allows."""
    folder = tmp_path_factory.mktemp("spread")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECIPE_LAUNCHER_CACHE", str(cache))
        write_data(folder)
        model = make("BERT", folder / "BERT")
        made = {name: recipe_of("texts", folder, model, method) for name, method in TRAINED.items()}
        recipes = {name: (recipe, prepare(recipe)) for name, recipe in made.items()}
        orders = {f"{strategy} 2": {name: recipes[name] for name in allowed(strategy)} for strategy in STRATEGIES}
        return losses_of({"single 1": recipes, **orders}, folder)


def allowed(strategy):
    return [name for name, method in TRAINED.items() if strategy in (strategies_of(method) or STRATEGIES)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_losses_are_those_of_one_process(told, strategy) -> None:
    alone, spread = told["single 1"], told[f"{strategy} 2"]
    assert list(spread) == allowed(strategy) and len(spread) >= len(TRAINED) - 1
    for name, one in spread.items():
        assert len(set(alone[name]["losses"])) == STEPS, name
        assert one["losses"] == pytest.approx(alone[name]["losses"], abs=1e-5), name
        assert one["proof"]["largest_logit_difference"] <= 1e-5, name
