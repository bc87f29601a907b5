"""A strategy's file states a strategy and nothing else; what contradicts a plan is refused with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from launcher.errors import PlanError, Problem
from launcher.host.facts import Facts
from launcher.plan import rules, strategy_file
from launcher.plan.placement import SHARDED, STRATEGIES, Placement
from launcher.shipped_files import shipped

OFF = {"offload_optimizer_device": "none", "offload_param_device": "none"}
SETTINGS = {
    "single": {},
    "ddp": {},
    "fsdp2": {"reshard_after_forward": True},
    "zero1": {"zero_stage": 1, **OFF},
    "zero2": {"zero_stage": 2, **OFF},
    "zero3": {"zero_stage": 3, **OFF},
    "zero3_offload": {"zero_stage": 3, "offload_optimizer_device": "cpu", "offload_param_device": "cpu"},
}


@pytest.fixture
def edited(tmp_path: Path):
    """`edited("zero2", {"deepspeed_config.zero_stage": 3})`: the shipped file with these values, or without a key."""

    def edit(name, changes):
        values = yaml.safe_load((shipped("accelerate_configs") / f"{name}.yaml").read_text())
        for dotted, value in changes.items():
            *sections, key = dotted.split(".")
            place = values[sections[0]] if sections else values
            if value is ...:
                del place[key]
            else:
                place[key] = value
        path = tmp_path / "edited.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return edit


def test_every_strategy_has_its_file_and_no_other_is_there() -> None:
    names = {path.stem for path in shipped("accelerate_configs").glob("**/*.yaml")}
    assert names == set(STRATEGIES) == set(SHARDED) == set(SETTINGS)
    assert len(names) == 7


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_shipped_file_is_read_as_the_strategy_it_names(name) -> None:
    assert strategy_file.read(name) == SETTINGS[name]


@pytest.mark.parametrize("name", STRATEGIES)
def test_accelerate_accepts_the_file(name) -> None:
    """Its own check of keys, copied by name: a key it does not know stops `accelerate launch`."""
    values = yaml.safe_load((shipped("accelerate_configs") / f"{name}.yaml").read_text())
    known = {"compute_environment", "distributed_type", "mixed_precision", "use_cpu", "fsdp_config", "deepspeed_config"}
    assert set(values) <= known
    assert not set(values) & set(strategy_file.ELSEWHERE)


REFUSED = [
    ("ddp", {"num_processes": 4}, "num_processes has no place in a strategy's file", "say it at launch: --processes"),
    ("zero1", {"num_machines": 2}, "num_machines has no place in a strategy's file", "say it at launch: --nodes"),
    ("ddp", {"gpu_ids": "0,1"}, "gpu_ids has no place in a strategy's file", "say it at launch: CUDA_VISIBLE_DEVICES"),
    (
        "ddp",
        {"mixed_precision": "bf16"},
        "mixed_precision is 'bf16', which contradicts the plan",
        "leave it out: it comes from training.precision",
    ),
    (
        "fsdp2",
        {"use_cpu": True},
        "use_cpu is True, which contradicts the plan",
        "leave it out: it comes from --device",
    ),
    (
        "zero2",
        {"deepspeed_config.gradient_accumulation_steps": 4},
        "gradient_accumulation_steps is 4, which contradicts the plan",
        "leave it out: it comes from training.micro_batch_size",
    ),
    (
        "zero3",
        {"deepspeed_config.gradient_clipping": 0.5},
        "gradient_clipping is 0.5, which contradicts the plan",
        "leave it out: it comes from training.clip_norm",
    ),
    (
        "zero3",
        {"deepspeed_config.zero3_init_flag": True},
        "zero3_init_flag is True, which contradicts the plan",
        "write zero3_init_flag: False",
    ),
    (
        "fsdp2",
        {"fsdp_config.fsdp_version": 1},
        "fsdp_version is 1, which contradicts the plan",
        "write fsdp_version: 2",
    ),
    (
        "fsdp2",
        {"fsdp_config.fsdp_reshard_after_forward": "FULL_SHARD"},
        "fsdp_reshard_after_forward is true or false",
        "write true",
    ),
    (
        "zero2",
        {"deepspeed_config.zero_stage": 3},
        "zero_stage is 3, but zero2 is stage 2",
        "write zero_stage: 2, or choose --strategy zero3",
    ),
    (
        "zero2",
        {"deepspeed_config.zero_stage": ...},
        "zero_stage is None, but zero2 is stage 2",
        "write zero_stage: 2",
    ),
    (
        "zero3",
        {"deepspeed_config.zero_stage": 0},
        "zero_stage is 0, but zero3 is stage 3",
        "write zero_stage: 3",
    ),
    (
        "zero3",
        {"deepspeed_config.offload_param_device": "cpu"},
        "zero3 offloads to 'none', not ['none', 'cpu']",
        "use --strategy zero3_offload or zero3",
    ),
    (
        "zero3_offload",
        {"deepspeed_config.offload_optimizer_device": "nvme"},
        "zero3_offload offloads to 'cpu', not ['nvme', 'cpu']",
        "use --strategy zero3_offload or zero3",
    ),
    (
        "zero2",
        {"deepspeed_config.zero_stagee": 2},
        "the plan does not know 'zero_stagee'",
        "did you mean 'zero_stage'?",
    ),
    ("zero2", {"deepspeed_config": ...}, "zero2 needs its section of settings", "put the shipped file back"),
    (
        "zero2",
        {"distributed_type": "MULTI_GPU"},
        "distributed_type is 'MULTI_GPU', but zero2 is DEEPSPEED",
        "choose the strategy by --strategy",
    ),
]


@pytest.mark.parametrize(("name", "changes", "what", "do"), REFUSED, ids=lambda value: str(value)[:40])
def test_an_edited_file_is_refused_for_this_reason(edited, name, changes, what, do) -> None:
    path = edited(name, changes)
    with pytest.raises(PlanError) as refused:
        strategy_file.read(name, path)
    assert Problem(what, str(path), do) in refused.value.problems
    unsaid = {"zero2 needs its section of settings", "distributed_type is 'MULTI_GPU', but zero2 is DEEPSPEED"}
    assert len(refused.value.problems) == 1 or what in unsaid


def test_all_complaints_come_together(edited) -> None:
    path = edited("zero2", {"num_processes": 2, "mixed_precision": "fp16", "deepspeed_config.zero_stage": 1})
    with pytest.raises(PlanError) as refused:
        strategy_file.read("zero2", path)
    assert len(refused.value.problems) == 3


@pytest.mark.parametrize("text", ["", "- a\n", "a: [", "just text"])
def test_a_file_that_holds_no_settings_is_refused(tmp_path, text) -> None:
    path = tmp_path / "zero2.yaml"
    path.write_text(text)
    with pytest.raises(PlanError, match="the strategy's file"):
        strategy_file.read("zero2", path)


def test_a_missing_file_is_refused(tmp_path) -> None:
    with pytest.raises(PlanError, match="cannot be read"):
        strategy_file.read("ddp", tmp_path / "ddp.yaml")


def test_a_wrong_file_is_refused_at_the_gate(edited, loaded, monkeypatch) -> None:
    path = edited("zero2", {"mixed_precision": "fp16"})
    path.rename(path.with_name("zero2.yaml"))
    monkeypatch.setattr(strategy_file, "shipped", lambda name: path.parent)
    facts = Facts(cores=2, memory_bytes=1 << 33)
    (problem,) = rules.judge(loaded, facts, Placement(strategy="zero2"))
    assert problem.what == "mixed_precision is 'fp16', which contradicts the plan"
    assert rules.judge(loaded, facts, Placement(strategy="auto")) == []
