"""What accelerate's launcher leaves in the environment: the strategy is taken from it, contradictions are refused."""

from __future__ import annotations

import pytest

from launcher.errors import PlanError, Problem
from launcher.plan import accelerate_env

BASE = {"RANK": "0", "WORLD_SIZE": "2", "ACCELERATE_MIXED_PRECISION": "no"}
DDP = {**BASE, "ACCELERATE_DYNAMO_BACKEND": "NO"}
FSDP2 = {**DDP, "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_RESHARD_AFTER_FORWARD": "true"}
FSDP1 = {**FSDP2, "FSDP_VERSION": "1", "FSDP_RESHARD_AFTER_FORWARD": "1"}


def zero(stage: object, optimizer: str = "none", param: str = "none", **more: str) -> dict[str, str]:
    """As accelerate 1.15 leaves it for a file with these values."""
    return {
        **BASE,
        "ACCELERATE_USE_DEEPSPEED": "true",
        "ACCELERATE_DEEPSPEED_ZERO_STAGE": str(stage),
        "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": optimizer,
        "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE": param,
        **more,
    }


TOLD = [
    ({}, "auto"),
    ({"RANK": "0", "WORLD_SIZE": "2"}, "auto"),
    ({"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_DYNAMO_BACKEND": "NO"}, "auto"),
    (DDP, "ddp"),
    (FSDP2, "fsdp2"),
    (zero(1), "zero1"),
    (zero(2), "zero2"),
    (zero(3), "zero3"),
    (zero(3, "cpu", "cpu"), "zero3_offload"),
    ({**BASE, "ACCELERATE_USE_DEEPSPEED": "true"}, "zero2"),
]


@pytest.mark.parametrize(("environment", "strategy"), TOLD)
def test_the_strategy_is_what_accelerate_was_started_for(environment, strategy) -> None:
    assert accelerate_env.strategy(environment, "auto") == strategy
    if strategy != "auto":
        assert accelerate_env.strategy(environment, strategy) == strategy


@pytest.mark.parametrize("environment", [{}, {"RANK": "0", "WORLD_SIZE": "2"}])
def test_where_nothing_is_told_the_option_decides(environment) -> None:
    assert accelerate_env.strategy(environment, "zero3") == "zero3"


@pytest.mark.parametrize(("environment", "asked"), [(DDP, "zero3"), (FSDP2, "ddp"), (zero(2), "zero3")])
def test_an_option_that_contradicts_is_refused(environment, asked) -> None:
    with pytest.raises(PlanError) as refused:
        accelerate_env.strategy(environment, asked)
    (problem,) = refused.value.problems
    assert (
        problem.what
        == f"--strategy {asked}, but accelerate was started for {accelerate_env.strategy(environment, 'auto')}"
    )
    assert problem.do.endswith(f"--config_file accelerate_configs/{asked}.yaml")


REFUSED = [
    (
        {**DDP, "ACCELERATE_MIXED_PRECISION": "bf16"},
        "mixed_precision is bf16, which contradicts the plan",
        "leave it out: it comes from training.precision",
    ),
    (
        zero(2, ACCELERATE_GRADIENT_ACCUMULATION_STEPS="4"),
        "gradient_accumulation_steps is 4, which contradicts the plan",
        "leave it out: it comes from training.micro_batch_size",
    ),
    (
        zero(2, ACCELERATE_GRADIENT_CLIPPING="0.5"),
        "gradient_clipping is 0.5, which contradicts the plan",
        "leave it out: it comes from training.clip_norm",
    ),
    (
        zero(2, ACCELERATE_DEEPSPEED_CONFIG_FILE="ds.json"),
        "deepspeed_config_file is ds.json, which contradicts the plan",
        "leave it out: DeepSpeed's JSON is derived from the plan",
    ),
    (
        {**DDP, "ACCELERATE_DYNAMO_BACKEND": "INDUCTOR"},
        "dynamo_backend is INDUCTOR, which contradicts the plan",
        "write 'no'",
    ),
    (
        {**FSDP2, "FSDP_OFFLOAD_PARAMS": "true"},
        "fsdp_offload_params is true, which contradicts the plan",
        "choose accelerate_configs/zero3_offload.yaml",
    ),
    (FSDP1, "fsdp_version is 1, but fsdp2 is version 2", "write fsdp_version: 2"),
    (
        {**FSDP2, "FSDP_RESHARD_AFTER_FORWARD": "false"},
        "fsdp_reshard_after_forward is false, but the plan says true",
        "write it into accelerate_configs/fsdp2.yaml, where the plan reads it",
    ),
    (
        zero(0),
        "zero_stage 0 with optimizer on none and parameters on none is no strategy here",
        "use stage 1, 2 or 3; ddp.yaml shards nothing",
    ),
    (
        zero(2, "cpu"),
        "zero_stage 2 with optimizer on cpu and parameters on none is no strategy here",
        "zero3_offload moves both to cpu in stage 3",
    ),
    (
        zero(3, "nvme", "nvme"),
        "zero_stage 3 with optimizer on nvme and parameters on nvme is no strategy here",
        "zero3_offload moves both to cpu in stage 3",
    ),
]


@pytest.mark.parametrize(("environment", "what", "do"), REFUSED, ids=lambda value: str(value)[:30])
def test_a_value_that_contradicts_the_plan_is_refused(environment, what, do) -> None:
    with pytest.raises(PlanError) as refused:
        accelerate_env.strategy(environment, "auto")
    assert refused.value.problems == [Problem(what, "accelerate launch", do)]


def test_values_that_agree_with_any_plan_pass() -> None:
    agree = {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "1", "ACCELERATE_GRADIENT_CLIPPING": "none"}
    assert accelerate_env.strategy(zero(2, **agree), "auto") == "zero2"


def test_all_complaints_come_together() -> None:
    wrong = {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "2", "ACCELERATE_GRADIENT_CLIPPING": "1.0"}
    with pytest.raises(PlanError) as refused:
        accelerate_env.strategy(zero(0, **wrong), "auto")
    assert len(refused.value.problems) == 3


def test_what_was_read_is_forgotten() -> None:
    environment = {**FSDP2, "PATH": "x"}
    accelerate_env.forget(environment)
    assert environment == {"RANK": "0", "WORLD_SIZE": "2", "PATH": "x"}
