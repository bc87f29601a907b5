"""What `accelerate launch` left in the environment: a strategy, and values that are not its business.

The environment is read once, by a rank that another launcher started, and then forgotten: libraries read it too
(transformers would load weights on rank 0 only), and the plan is the only source.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping

from launcher.errors import PlanError, Problem
from launcher.plan.placement import StrategyName
from launcher.plan.strategy_file import NEUTRAL, STAGES, read

WHERE = "accelerate launch"
OTHERS: dict[str, tuple[str, str, str]] = {
    "ACCELERATE_MIXED_PRECISION": ("mixed_precision", "no", "leave it out: it comes from training.precision"),
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": (
        "gradient_accumulation_steps",
        "1",
        f"leave it out: it comes from {NEUTRAL['gradient_accumulation_steps'][1]}",
    ),
    "ACCELERATE_GRADIENT_CLIPPING": (
        "gradient_clipping",
        "none",
        f"leave it out: it comes from {NEUTRAL['gradient_clipping'][1]}",
    ),
    "ACCELERATE_DEEPSPEED_CONFIG_FILE": (
        "deepspeed_config_file",
        "none",
        "leave it out: DeepSpeed's JSON is derived from the plan",
    ),
    "ACCELERATE_DYNAMO_BACKEND": ("dynamo_backend", "no", "write 'no'"),
    "ACCELERATE_USE_MEGATRON_LM": ("use_megatron_lm", "false", "use one of accelerate_configs/*.yaml"),
    "ACCELERATE_USE_PARALLELISM_CONFIG": ("use_parallelism_config", "false", "use one of accelerate_configs/*.yaml"),
    "FSDP_OFFLOAD_PARAMS": ("fsdp_offload_params", "false", "choose accelerate_configs/zero3_offload.yaml"),
    "FSDP_ACTIVATION_CHECKPOINTING": ("fsdp_activation_checkpointing", "false", "leave it out"),
}
"""Variables beside the strategy: their name in the file, the one value that agrees with any plan, what to do."""


def strategy(environment: Mapping[str, str], requested: str) -> str:
    """The strategy that the environment and `--strategy` name together; `auto` where neither does.

    Raises PlanError with all that contradicts a plan.
    """
    problems = list(_contradictions(environment))
    started_for, about = _started_for(environment)
    problems += about
    if started_for is not None and requested not in ("auto", started_for) and not problems:
        problems.append(
            Problem(
                f"--strategy {requested}, but accelerate was started for {started_for}",
                "--strategy",
                f"leave it out, or give accelerate the file of {requested}: "
                f"--config_file accelerate_configs/{requested}.yaml",
            )
        )
    if problems:
        raise PlanError(problems)
    return started_for or requested


def forget(environment: MutableMapping[str, str]) -> None:
    """Take away what steers accelerate and transformers behind the plan's back."""
    for name in [name for name in environment if name.startswith(("ACCELERATE_", "FSDP_"))]:
        del environment[name]


def _contradictions(environment: Mapping[str, str]) -> Iterator[Problem]:
    for variable, (name, agrees, do) in OTHERS.items():
        value = environment.get(variable, agrees)
        if value.lower() != agrees:
            yield Problem(f"{name} is {value}, which contradicts the plan", WHERE, do)


def _started_for(environment: Mapping[str, str]) -> tuple[StrategyName | None, list[Problem]]:
    """What accelerate was started for; None where it was not accelerate (torchrun says nothing) or for one process."""
    if _is_true(environment, "ACCELERATE_USE_DEEPSPEED"):
        return _zero(environment)
    if _is_true(environment, "ACCELERATE_USE_FSDP"):
        return "fsdp2", list(_fsdp(environment))
    by_accelerate = "ACCELERATE_DYNAMO_BACKEND" in environment and "RANK" in environment
    return ("ddp" if by_accelerate else None), []


def _zero(environment: Mapping[str, str]) -> tuple[StrategyName | None, list[Problem]]:
    stage = environment.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")  # accelerate's default
    devices = [
        environment.get(f"ACCELERATE_DEEPSPEED_OFFLOAD_{part}_DEVICE", "none") for part in ("OPTIMIZER", "PARAM")
    ]
    wanted: dict[tuple[str, tuple[str, ...]], StrategyName] = {
        (str(number), ("cpu", "cpu") if name == "zero3_offload" else ("none", "none")): name
        for name, number in STAGES.items()
    }
    match = wanted.get((stage, tuple(devices)))
    if match is not None:
        return match, []
    what = f"zero_stage {stage} with optimizer on {devices[0]} and parameters on {devices[1]} is no strategy here"
    offload = "cpu" in devices or "nvme" in devices
    do = "zero3_offload moves both to cpu in stage 3" if offload else "use stage 1, 2 or 3; ddp.yaml shards nothing"
    return None, [Problem(what, WHERE, do)]


def _fsdp(environment: Mapping[str, str]) -> Iterator[Problem]:
    version = environment.get("FSDP_VERSION", "1")
    if version != "2":
        yield Problem(f"fsdp_version is {version}, but fsdp2 is version 2", WHERE, "write fsdp_version: 2")
    settings = read("fsdp2")
    reshard = environment.get("FSDP_RESHARD_AFTER_FORWARD", "")
    planned = str(settings["reshard_after_forward"]).lower()
    # version 1 writes a number of its own there
    if version == "2" and reshard not in ("", planned):
        what = f"fsdp_reshard_after_forward is {reshard}, but the plan says {planned}"
        yield Problem(what, WHERE, "write it into accelerate_configs/fsdp2.yaml, where the plan reads it")


def _is_true(environment: Mapping[str, str], name: str) -> bool:
    return environment.get(name, "").lower() in ("1", "true", "yes", "on")
