"""What `launcher plan` prints: in the width of the terminal, and true to what was asked."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from launcher.cli import plan as screen
from launcher.cli.columns import cells_of
from launcher.plan.fit import cheapest
from launcher.plan.placement import STRATEGIES, Placement

PARTS = (
    "parameters",
    "gradients",
    "optimizer",
    "activations",
    "buffers",
    "remembered",
    "total",
    "host",
    "communication",
)


def candidate(strategy: str) -> Any:
    sizes = {name: 123_400_000_000 + place for place, name in enumerate(PARTS)}
    memory = SimpleNamespace(document=lambda: sizes, **sizes)
    about = {"micro_batch_size": 1024, "accumulation": 128, "limit": 10**12, "fits": True, "recompute": True}
    return SimpleNamespace(strategy=strategy, memory=memory, **about)


def printed(strategy: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    candidates = [candidate(name) for name in STRATEGIES if strategy in ("auto", name)]
    chosen, why = cheapest(candidates)
    told: Any = SimpleNamespace(
        loaded=SimpleNamespace(path="实验/" + "long/" * 20 + "recipe.py"),
        facts=SimpleNamespace(total=109_482_240, trainable=1_000, longest=512, remembered=10**9),
        room=SimpleNamespace(
            nodes=2, processes_per_node=8, device="cuda", memory=80 * 10**9, limit=74 * 10**9, world_size=16
        ),
        candidates=candidates,
        refused={"single": "strategy single is one process, not 16"},
        chosen=chosen,
        why=why,
    )
    screen._print(told, Placement(strategy=strategy))
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_a_plan_fits_the_terminal_and_shows_every_figure(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = printed("auto", capsys)
    assert max(map(cells_of, lines)) <= columns
    told = "\n".join(lines)
    table = told.partition("auto takes")[0]
    assert table.count("123 GB") == len(STRATEGIES) * len(PARTS)
    assert "16 x 1024 x 128" in told and "zero3_offload*" in told and "* activations are computed again" in told
    assert sum("weights" in line for line in lines) == 1 and "…" not in told


def test_only_auto_is_said_to_choose(capsys: pytest.CaptureFixture[str]) -> None:
    assert "\n".join(printed("auto", capsys)).count("auto takes ") == 1
    told = " ".join(printed("zero2", capsys))
    assert "auto" not in told and "zero2, as requested: it needs 123 GB" in told
