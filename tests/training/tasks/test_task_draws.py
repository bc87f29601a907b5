"""A task that draws tokens when a batch is made: one curve on any layout, another draw in each epoch."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.launch.request import Request
from launcher.plan.placement import Placement


def trained(warm: Any, model: str, placement: Placement, name: str, **training: Any) -> Any:
    plain = warm.recipe(model, "Full", max_steps=12, **training)
    path = plain.with_name("masking_recipe.py")
    path.write_text(plain.read_text().replace("TextClassification()", "CustomTask(file='masking.py')"))
    ended = warm.carry_out(Request(path, {}, placement, name, warm.folder / "masking"))
    assert set(ended.status.values()) == {0}, ended.failures()
    return ended


@pytest.mark.parametrize("model", ["mean", "bert"])
def test_its_curve_does_not_hang_on_the_number_of_processes(warm: Any, model: str) -> None:
    """The token that is drawn stands in no row of the training split: its row of the table trains all the same."""
    alone = trained(warm, model, Placement(1, "single"), f"{model}-alone")
    both = trained(warm, model, Placement(2, "ddp"), f"{model}-both")
    sharded = trained(warm, model, Placement(2, "fsdp2"), f"{model}-sharded")
    plain = warm.finished(model, "Full", "single", 1, max_steps=12)
    assert len(alone.losses) == 12 and max(abs(a - b) for a, b in zip(alone.losses, plain.losses, strict=True)) > 1e-3
    for other in (both, sharded):
        assert max(abs(a - b) for a, b in zip(alone.losses, other.losses, strict=True)) < 1e-5
    assert not alone.outcome["in_force"]["embedding_rows_by_themselves"]
