"""Predicted memory by hand: what each strategy holds, what fits, what `auto` takes, and what a refusal says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from launcher import Training
from launcher.cli.plan import parse_size
from launcher.errors import PlanError
from launcher.host.facts import Facts
from launcher.plan import fit, plan
from launcher.plan.fit import Batch, Room
from launcher.plan.memory import Setting, communication, held_parameters, predict
from launcher.plan.model_facts import Curve, Interval, ModelFacts, Tensor, facts_from
from launcher.plan.placement import STRATEGIES, Placement
from launcher.recipe.recipe import resolve

# a table of 10 x 10 that trains, two layers of 10 x 10, a head of 3 x 10 outside of every unit
TENSORS = (Tensor(10, 100, True, 0), Tensor(10, 100, True, 1), Tensor(10, 100, True, 2), Tensor(3, 30, True, -1))
A_TOKEN, NOTHING = (Curve((1, 4), (one, 4 * one)) for one in (8.0 * 50, 0.0))
FACTS = ModelFacts(
    tensors=TENSORS,
    idle=frozenset(),
    table=0,
    buffers=16,
    total=330,
    trainable=330,
    backward=tuple(Interval(number, A_TOKEN, NOTHING) for number in (3, 2, 1, 0)),
    evaluation=NOTHING,
    longest=50,
    layers="all",
)
FROZEN = replace(
    FACTS, tensors=(*(replace(t, trains=False) for t in TENSORS[:3]), TENSORS[3]), trainable=30, table=None
)
FROZEN = replace(FROZEN, backward=(Interval(3, A_TOKEN, NOTHING),))
GRADIENT = 4 * 330


def setting(strategy, world_size=1, rows=4, accumulation=1, **more) -> Setting:
    return Setting(strategy, world_size, rows, accumulation, FACTS.longest, **more)


def test_a_curve_goes_through_what_was_traced_and_straight_on() -> None:
    curve = Curve((2, 4, 16), (100.0, 110.0, 230.0))
    assert [curve.at(rows) for rows in (2, 3, 4, 10, 16, 18, 1)] == [100, 105, 110, 170, 230, 250, 95]
    assert curve.at(0) == 0  # no rows, and not what a line says of none
    assert Curve((2, 4), (10.0, 40.0)).at(1) == 0


@pytest.mark.parametrize(("micro", "accumulation", "rows"), [(8, 1, 64), (1, 8, 2), (100, 2, 64)])
def test_where_the_batch_is_divided_few_rows_are_evaluated_at_a_time(micro, accumulation, rows) -> None:
    assert fit.rows_at_a_time(micro, accumulation) == rows
    facts = replace(FACTS, backward=(Interval(0, NOTHING, NOTHING),), evaluation=A_TOKEN)
    (one,) = fit.candidates(facts, Batch(micro * accumulation, micro, "adamw"), room(10**9, 1), ["single"])
    assert (one.micro_batch_size, one.accumulation) == (micro, accumulation)
    assert one.memory.activations == rows * 50 * 8


def test_one_process_holds_everything_and_gradients_fill_up_while_activations_shrink() -> None:
    told = predict(FACTS, setting("single"))
    assert (told.parameters, told.optimizer, told.buffers) == (GRADIENT, 2 * GRADIENT, 16)
    # the fullest moment: before the table's gradient, when the other three are whole
    assert (told.gradients, told.activations) == (GRADIENT - 400, 4 * 50 * 8)
    assert told.total == 3 * GRADIENT + GRADIENT - 400 + 1600 + 16
    assert (told.host, told.communication) == (0, 0)


def test_with_accumulation_the_gradients_of_the_micro_batch_before_are_there() -> None:
    assert predict(FACTS, setting("single", rows=2, accumulation=2)).gradients == GRADIENT


def test_sgd_keeps_one_number_a_weight() -> None:
    assert predict(FACTS, setting("single", optimizer="sgd")).optimizer == GRADIENT


def test_ddp_keeps_its_buckets_and_sends_of_the_table_only_what_the_batch_names() -> None:
    told = predict(FACTS, setting("ddp", 2))
    assert told.gradients == GRADIENT - 400  # the table's own gradient comes last, when nothing else is left
    assert told.communication == 2 * GRADIENT // 2
    one_token = replace(setting("ddp", 2, rows=1), length=1)
    assert communication(FACTS, one_token) == 2 * (GRADIENT - 4 * 80) // 2


def test_in_shared_memory_each_rank_has_a_box_and_its_part_of_the_sums() -> None:
    told, alone = predict(FACTS, replace(setting("ddp", 2), shared_memory=True)), predict(FACTS, setting("single"))
    assert told.gradients == alone.gradients  # they come and go, as in a process alone
    assert told.buffers == alone.buffers + (GRADIENT - 400) * 3 // 2  # the table's rows are summed by themselves
    single = predict(FACTS, replace(setting("single"), shared_memory=True))
    assert single == alone


@pytest.mark.parametrize(("world_size", "rows"), [(2, (5, 5, 5, 2)), (4, (3, 3, 3, 1)), (16, (1, 1, 1, 1))])
def test_fsdp2_holds_rows_rounded_up(world_size: int, rows: tuple[int, ...]) -> None:
    held = 4 * 10 * sum(rows)
    assert held_parameters(FACTS, "fsdp2", world_size) == held
    told = predict(FACTS, setting("fsdp2", world_size))
    assert (told.parameters, told.optimizer) == (held, 2 * held)


def test_fsdp2_gathers_the_outermost_unit_the_one_at_work_and_the_next() -> None:
    told = predict(FACTS, setting("fsdp2", 2))
    # in the lower layer: it, the table gathered ahead, the upper layer's gradient on its way, and the head
    assert told.buffers == 16 + 4 * (30 + 100 + 100 + 100)
    assert told.communication == (2 * GRADIENT - 120 + GRADIENT) // 2
    whole = predict(FACTS, setting("fsdp2", 2, rows=2, accumulation=2))
    assert whole.gradients > told.gradients  # what the first micro-batch left is there, as shards
    gathered, sharded = 2 * GRADIENT - 120, GRADIENT
    assert whole.communication == 2 * (gathered + sharded) // 2


@pytest.mark.parametrize(("strategy", "accumulation", "sent"), [("zero1", 2, 2), ("zero2", 2, 3), ("zero2", 1, 2)])
def test_zero_1_and_2_hold_whole_weights_and_a_share_of_the_rest(strategy, accumulation, sent) -> None:
    told = predict(FACTS, setting(strategy, 2, accumulation=accumulation))
    assert told.parameters == GRADIENT
    assert told.optimizer == 3 * 4 * 166  # two moments and the master copy of half of 330, evened
    assert told.buffers == 16 + GRADIENT
    assert told.communication == sent * GRADIENT // 2
    kept = {("zero1", 2): GRADIENT, ("zero2", 2): 4 * 166, ("zero2", 1): 0}
    assert told.gradients == kept[strategy, accumulation]


def test_zero_3_partitions_everything_and_offload_moves_it_to_the_host() -> None:
    here, there = (predict(FACTS, setting(name, 4)) for name in ("zero3", "zero3_offload"))
    assert here.parameters == 4 * (25 + 25 + 25 + 8)
    assert here.gradients == 4 * 84
    assert (there.parameters, there.gradients, there.optimizer) == (0, 0, 0)
    assert there.host == here.parameters + here.optimizer + here.gradients
    assert there.total < here.total


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_frozen_has_no_gradient_and_no_moments(strategy) -> None:
    size = 1 if strategy == "single" else 2
    told, whole = (predict(facts, setting(strategy, size)) for facts in (FROZEN, FACTS))
    assert told.gradients + told.optimizer + told.host < (whole.gradients + whole.optimizer + whole.host)
    assert told.parameters == whole.parameters


def test_only_training_gathers_and_never_the_frozen_rest_of_a_table() -> None:
    idle = replace(FACTS, tensors=(*TENSORS, Tensor(1000, 10_000, False, 3)), idle=frozenset({3}))
    assert predict(idle, setting("fsdp2", 2)).buffers == predict(FACTS, setting("fsdp2", 2)).buffers
    assert predict(idle, setting("zero3", 2)).buffers == predict(FACTS, setting("zero3", 2)).buffers
    assert predict(idle, setting("zero3", 2)).parameters > predict(FACTS, setting("zero3", 2)).parameters


def test_the_rows_that_are_evaluated_at_a_time_may_be_the_peak() -> None:
    facts = replace(FACTS, evaluation=A_TOKEN)
    assert predict(facts, setting("single", rows=1, evaluated_rows=64)).activations == 64 * 50 * 8


def room(limit: int, processes: int = 2, nodes: int = 1) -> Room:
    return Room("cuda", nodes, processes, -(-limit * 100 // 92))


def found(limit: int, rows: int = 8, most: int | None = None) -> list[fit.Candidate]:
    place = room(limit)
    return fit.candidates(FACTS, Batch(rows, most, "adamw"), place, fit.possible(place, deepspeed=True))


def test_rows_that_go_through_the_model_twice_take_the_room_of_two() -> None:
    twice = Batch(8, None, "adamw", passes=2)
    (ample,) = fit.candidates(FACTS, twice, room(10**9), ["ddp"])
    assert (ample.micro_batch_size, ample.accumulation) == (4, 1)
    assert ample.memory == predict(FACTS, Setting("ddp", 2, 8, 1, FACTS.longest, "adamw", fit.EVALUATED_ROWS))
    (once,) = fit.candidates(FACTS, Batch(8, None, "adamw"), room(10**9), ["ddp"])
    (tight,) = fit.candidates(FACTS, twice, room(ample.memory.total - 1), ["ddp"])
    assert once.memory.total < ample.memory.total and (tight.micro_batch_size, tight.accumulation) == (2, 2)


def test_gradients_stay_where_a_micro_batch_goes_forward_and_backward_twice() -> None:
    (one,) = fit.candidates(FACTS, Batch(8, None, "adamw", turns=2), room(10**9), ["ddp"])
    assert (one.micro_batch_size, one.accumulation) == (4, 1)
    assert one.memory == predict(FACTS, Setting("ddp", 2, 4, 2, FACTS.longest, "adamw", fit.EVALUATED_ROWS))


@pytest.mark.parametrize(("spare", "micro", "accumulation"), [(2800, 8, 1), (2799, 6, 2), (400, 1, 8), (1300, 3, 3)])
def test_the_largest_micro_batch_that_fits_evenly_filled(spare: int, micro: int, accumulation: int) -> None:
    place = room(4 * GRADIENT + 16 + spare, processes=1)
    facts = replace(FACTS, table=None, backward=tuple(Interval(n, A_TOKEN, NOTHING) for n in (3, 2, 1, 0)))
    (one,) = fit.candidates(facts, Batch(8, None, "adamw"), place, ["single"])
    assert one.fits
    expected = -(-8 // -(-8 // micro))
    assert (one.micro_batch_size, one.accumulation) == (expected, accumulation)
    more = Setting("single", 1, one.micro_batch_size + 1, 2, FACTS.longest)
    assert accumulation == 1 or predict(facts, replace(more, rows=micro + 1)).total > place.limit


def test_the_recipes_own_limit_is_kept() -> None:
    assert [one.micro_batch_size for one in found(10**9, rows=16, most=3)] == [3] * 6


@pytest.mark.parametrize("spare", [0, 1])
def test_the_limit_is_exact(spare: int) -> None:
    needed = predict(FACTS, setting("single", rows=1, evaluated_rows=64)).total
    place = Room("cuda", 1, 1, 0)
    candidate = fit.candidates(
        FACTS, Batch(1, None, "adamw"), replace(place, memory=round(needed / 0.92) + spare), ["single"]
    )
    assert candidate[0].fits is (candidate[0].limit >= needed)


def test_auto_takes_what_sends_least_of_all_that_fit() -> None:
    best, why = fit.cheapest(found(10**6))
    assert best.strategy == "ddp" and "sends least" in why
    least = {
        one.strategy: predict(FACTS, setting(one.strategy, 2, rows=1, accumulation=4)).total for one in found(10**6)
    }
    tight = found(least["ddp"] - 1, rows=8)
    chosen, why = fit.cheapest(tight)
    assert chosen.strategy in ("zero1", "zero2", "fsdp2")
    assert "would send less but do" in why and "ddp" in why


def test_offload_is_the_last_resort() -> None:
    names = ["zero3_offload", "zero3", "ddp"]
    ranked = sorted(found(10**6), key=fit._cost)
    assert ranked[-1].strategy == names[0] and ranked[0].strategy == names[2]


def test_auto_never_takes_what_is_not_installed_or_what_a_cpu_cannot_do() -> None:
    assert fit.possible(room(1), deepspeed=False) == ["ddp", "fsdp2"]
    assert "zero3_offload" not in fit.possible(Room("cpu", 1, 2, 1 << 34), deepspeed=True)
    assert fit.possible(Room("cpu", 1, 1, 1 << 34), deepspeed=True) == ["single"]


def test_a_refusal_says_what_is_missing_and_what_would_help() -> None:
    with pytest.raises(PlanError) as caught:
        fit.cheapest(found(3000))
    (problem,) = caught.value.problems
    assert "a rank for one row at a time" in problem.what and "more than may be planned" in problem.what
    assert problem.do


def test_a_machine_is_shared_by_its_processes() -> None:
    two, four = (Room("cpu", 1, n, 10**10).limit for n in (2, 4))
    assert two > 2 * four > 0
    assert Room("cpu", 8, 2, 10**10).limit == two  # other nodes have their own


@pytest.mark.parametrize(
    ("text", "size"), [("80GB", 80 * 10**9), ("24GiB", 24 << 30), ("1.5g", 1_500_000_000), ("9", 9)]
)
def test_a_size_of_memory(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-3GB", "0GB", "80 potatoes", "8e3"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(PlanError):
        parse_size(text)


def planned(make, model, bound=None, **place) -> plan.Plan:
    loaded = resolve(make(training=Training(batch_size=8)), Path("mine.py"), "", {})
    prepared = {"folder": "/p", "rows": {"train": 100}, "model": model, "bound": bound}
    return plan.make(loaded, Facts(cores=8, memory_bytes=1 << 34, gpus=("a", "b"), **place), Placement(), prepared, {})


DOCUMENT = {
    "tensors": [[t.rows, t.numel, int(t.trains), t.unit] for t in TENSORS],
    "idle_units": [],
    "table": 0,
    "buffers": 16,
    "parameters": {"total": 330, "trainable": 330},
    "rows": [1, 4],
    "backward": [[n, *A_TOKEN.values, *NOTHING.values] for n in (3, 2, 1, 0)],
    "evaluation": list(NOTHING.values),
    "traced": {"longest": 50, "layers": "all"},
}


def test_facts_come_back_from_their_document() -> None:
    assert facts_from(DOCUMENT) == FACTS


def test_the_plan_divides_the_batch_so_that_it_fits_and_says_why(make) -> None:
    free = planned(make, DOCUMENT, gpu_memory_bytes=(10**6, 10**6))
    assert (free.strategy, free.micro_batch_size, free.accumulation) == ("ddp", 4, 1)
    least = predict(FACTS, setting("ddp", 2, rows=1, accumulation=4)).total
    tight = planned(make, DOCUMENT, gpu_memory_bytes=(10**6, round((least + 500) / 0.92)))
    assert (tight.strategy, tight.micro_batch_size, tight.accumulation) == ("ddp", 2, 2) or tight.strategy != "ddp"
    assert tight.memory is not None and tight.memory["total"] <= least + 500
    assert tight.why
    with pytest.raises(PlanError, match="one row at a time"):
        planned(make, DOCUMENT, gpu_memory_bytes=(10**6, 100))


def test_a_model_is_looked_at_only_where_memory_is_a_question(make) -> None:
    loaded = resolve(make(training=Training(batch_size=8)), Path("mine.py"), "", {})
    machine = Facts(cores=8, memory_bytes=1 << 34)
    ask = lambda **prepared: plan.wants_model_facts(loaded, machine, Placement(), prepared)  # noqa: E731
    assert not ask(bound={"weights": 10**6, "row_bytes": 10**6})
    assert ask(bound={"weights": 10**9, "row_bytes": 10**6})
    assert ask(bound={"weights": 10**6, "row_bytes": 10**9})
    assert ask(bound=None)
    assert not ask(bound=None, model=DOCUMENT)
