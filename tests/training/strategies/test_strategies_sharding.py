"""What a rank holds is its part, and a strategy that is not what the plan promised is refused before a batch counts."""

import pytest

STRATEGIES = ("fsdp2", "zero1", "zero2", "zero3")
SHARDED = {
    "fsdp2": ("parameters", "gradients", "optimizer"),
    "zero1": ("optimizer",),
    "zero2": ("gradients", "optimizer"),
    "zero3": ("parameters", "gradients", "optimizer"),
}
"""By the papers; launcher.plan.placement.SHARDED must say the same."""
SHORT = {"max_steps": 2, "checkpoint_every": 1000, "micro_batch_size": 2}
EXPECTED = """
import os
if "RANK" in os.environ:
    from dataclasses import replace
    from launcher.training import strategies
    from launcher.training.strategies.{module} import {cls} as Other

    def build(plan, world):
        other = Other(replace(plan, strategy="{other}", sharding={sharding}), world)
        wrap = other.wrap
        def wrapped_like_that(model, training):
            wrap(model, training)
            other.plan = plan
        other.wrap = wrapped_like_that
        return other

    import launcher.training.rank
    launcher.training.rank.build = build
"""
OFF = {"offload_optimizer_device": "none", "offload_param_device": "none"}


def in_place_of(other):
    """Source for a recipe: each rank builds `other`, whatever was planned."""
    made = {
        "ddp": ("ddp", "Replicated", {}),
        "zero1": ("zero", "ZeRO", {"zero_stage": 1, **OFF}),
        "zero2": ("zero", "ZeRO", {"zero_stage": 2, **OFF}),
    }
    module, cls, sharding = made[other]
    return EXPECTED.format(module=module, cls=cls, other=other, sharding=sharding)


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_rank_holds_its_part(warm, name, processes):
    whole = warm.finished("wide", "Full", **SHORT).outcome["held_bytes"]
    held = warm.finished("wide", "Full", name, processes, **SHORT).outcome["held_bytes"]
    parameters = whole["parameters"][0]
    assert whole == {"parameters": [parameters], "gradients": [parameters], "optimizer": [whole["optimizer"][0]]}
    assert whole["optimizer"][0] == pytest.approx(2 * parameters, rel=0.001), "AdamW keeps two moments"
    # DeepSpeed keeps its own copy of a rank's weights with the moments
    copies = {"fsdp2": 2, "zero1": 3, "zero2": 3, "zero3": 3}[name]
    for kind, total in (("parameters", 1), ("gradients", 1), ("optimizer", copies)):
        parts = processes if kind in SHARDED[name] else 1
        assert len(held[kind]) == processes
        for rank, count in enumerate(held[kind]):
            assert count == pytest.approx(total * parameters / parts, rel=0.1), (kind, rank)


@pytest.mark.parametrize(("name", "wrapper"), [("fsdp2", "FSDP"), ("zero3", "DeepSpeedEngine")])
def test_every_tensor_is_sharded_where_parameters_are(warm, name, wrapper):
    about = warm.finished("wide", "Full", name, 2, **SHORT).outcome["in_force"]
    assert about["wrapper"].startswith(wrapper)
    assert about["sharded_tensors"] == about["tensors"] == 5
    assert warm.finished("wide", "Full", "zero2", 2, **SHORT).outcome["in_force"]["sharded_tensors"] == 0


@pytest.mark.parametrize(
    ("promised", "built", "kind"),
    [
        ("zero3", "ddp", "parameters"),
        ("fsdp2", "ddp", "parameters"),
        ("zero2", "ddp", "gradients"),
        ("zero1", "ddp", "optimizer"),
        ("zero2", "zero1", "gradients"),
        ("zero3", "zero2", "parameters"),
    ],
)
def test_a_broken_promise_is_refused(warm, promised, built, kind):
    run = warm.run("wide", "Full", promised, 2, before=in_place_of(built), **SHORT)
    assert set(run.status.values()) != {0}
    assert not run.losses, "no step may count"
    assert run.outcome is None
    told = run.failures()
    assert told, "a rank says why"
    for what in told.values():
        assert what.startswith(f"the plan promised {promised} on 2 processes, but this rank holds")
        assert f"bytes of {kind}, more than its part of" in what


def test_the_same_patch_with_the_promised_strategy_passes(warm):
    """What refuses above is the difference, not the patch."""
    run = warm.finished("wide", "Full", "zero2", 2, before=in_place_of("zero2"), **SHORT)
    assert len(run.losses) == 2


def test_a_bare_model_is_no_ddp(warm):
    bare = in_place_of("ddp") + "    Other.wrapped = property(lambda self: self.model)\n"
    bare += "    from launcher.training.strategies import ddp\n"
    bare += "    ddp.SharedGradients.open = lambda *about: None\n"
    run = warm.run("wide", "Full", "ddp", 2, before=bare, **SHORT)
    assert run.failures()
    for what in run.failures().values():
        assert "the plan promised ddp on 2 processes, but the model is a bare StaticVectors" in what


def test_what_is_promised_is_what_the_papers_say():
    from launcher.plan.placement import SHARDED as OURS

    assert {name: OURS[name] for name in STRATEGIES} == SHARDED
