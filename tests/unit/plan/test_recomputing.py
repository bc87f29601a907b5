"""Recomputed activations and Adafactor as the plan sees them: when they are taken, and what they take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from test_memory import DOCUMENT, FACTS, TENSORS, setting

from launcher import RandomVectors, Training
from launcher.host.facts import Facts
from launcher.plan import fit, plan
from launcher.plan.fit import Batch, Room
from launcher.plan.memory import WORD, predict
from launcher.plan.model_facts import facts_from
from launcher.plan.placement import Placement
from launcher.recipe.recipe import resolve

HEAVY = {
    **DOCUMENT,
    "backward": [
        [n, *[8 * part for part in peak], *rest]
        for n, peak, rest in ((row[0], row[1:3], row[3:]) for row in DOCUMENT["backward"])
    ],
}
"""The same model with eight times the activations: as it is when nothing is recomputed."""


def asked(make, recompute, memory, **prepared):
    training = Training(batch_size=8, recompute=recompute)
    loaded = resolve(make(training=training), Path("mine.py"), "", {})
    machine = Facts(cores=8, memory_bytes=1 << 34, gpus=("a",), gpu_memory_bytes=(memory,), deepspeed=False)
    known = {"folder": "/p", "rows": {"train": 100}, "model": HEAVY, **prepared}
    return loaded, machine, Placement(), known


def room_between() -> int:
    """Memory in which one row fits only where activations are recomputed."""
    heavy = facts_from(HEAVY)
    place = Room("cuda", 1, 1, 10**9)
    kept, again = (
        fit.candidates(facts, Batch(1, None, "adamw"), place, ["single"])[0].memory.total for facts in (heavy, FACTS)
    )
    assert again < kept
    return round((again + kept) / 2 / 0.92)


def test_the_model_is_looked_at_again_only_where_nothing_fits(make) -> None:
    tight = room_between()
    assert plan.wants_recomputed_facts(*asked(make, None, tight))
    assert not plan.wants_recomputed_facts(*asked(make, None, 10**9))
    assert not plan.wants_recomputed_facts(*asked(make, False, tight))
    assert not plan.wants_recomputed_facts(*asked(make, True, tight))
    assert not plan.wants_recomputed_facts(*asked(make, None, tight, recomputed=DOCUMENT))
    loaded, *others = asked(make, None, tight)
    static = replace(loaded, recipe=make(embedding=RandomVectors(), training=loaded.recipe.training))
    assert not plan.wants_recomputed_facts(static, *others)


def test_the_plan_recomputes_where_only_that_fits_and_says_so(make) -> None:
    chosen = plan.make(*asked(make, None, room_between(), recomputed=DOCUMENT), {})
    assert chosen.recompute and "activations are computed again" in chosen.why
    roomy = plan.make(*asked(make, None, 10**9, recomputed=DOCUMENT), {})
    assert not roomy.recompute and "again" not in roomy.why
    fixed = plan.make(*asked(make, True, 10**9), {})
    assert fixed.recompute


def test_recomputing_is_dearer_than_sending_and_cheaper_than_offloading() -> None:
    kept = fit.candidates(FACTS, Batch(8, None, "adamw"), Room("cuda", 1, 2, 10**9), ["ddp", "zero3", "zero3_offload"])
    again = [replace(one, recompute=True) for one in kept]
    ddp, zero3, offload = kept
    assert fit.cheapest([*again, zero3])[0] == zero3
    assert fit.cheapest([*again, offload])[0] == again[0]
    assert ddp.memory.communication <= zero3.memory.communication


def test_adafactor_keeps_rows_and_columns() -> None:
    told = predict(FACTS, setting("single", optimizer="adafactor"))
    expected = sum(t.rows + t.numel // t.rows if t.rows != t.numel else t.numel for t in TENSORS)
    assert told.optimizer == WORD * expected < predict(FACTS, setting("single", optimizer="sgd")).optimizer
    still = replace(FACTS, backward=tuple(replace(i, peak=i.rest) for i in FACTS.backward))
    step = predict(still, setting("single", optimizer="adafactor"))
    assert step.buffers == FACTS.buffers + WORD * max(t.numel for t in TENSORS)
