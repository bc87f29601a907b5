"""`accelerate_configs/NAME.yaml`: what a strategy is, read from the file that a user may also use by hand.

A file states a strategy and nothing else: topology is chosen at launch; batch size, accumulation, clipping and
precision are the recipe's. One that says otherwise is refused before anything starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from launcher.errors import PlanError, Problem, did_you_mean
from launcher.plan.placement import StrategyName
from launcher.shipped_files import shipped

KINDS: dict[StrategyName, str] = {
    "single": "NO",
    "ddp": "MULTI_GPU",
    "fsdp2": "FSDP",
    "zero1": "DEEPSPEED",
    "zero2": "DEEPSPEED",
    "zero3": "DEEPSPEED",
    "zero3_offload": "DEEPSPEED",
}
STAGES: dict[StrategyName, int] = {"zero1": 1, "zero2": 2, "zero3": 3, "zero3_offload": 3}
ELSEWHERE = {
    "num_processes": "--processes",
    "num_machines": "--nodes",
    "machine_rank": "--machine-rank",
    "main_process_ip": "--head",
    "main_process_port": "--head",
    "gpu_ids": "CUDA_VISIBLE_DEVICES",
}
NEUTRAL: dict[str, tuple[Any, str]] = {
    "mixed_precision": ("no", "training.precision"),
    "use_cpu": (False, "--device"),
    "gradient_accumulation_steps": (1, "training.micro_batch_size"),
    "gradient_clipping": (None, "training.clip_norm"),
    "fsdp_version": (2, ""),
    "fsdp_offload_params": (False, ""),
    "fsdp_auto_wrap_policy": ("TRANSFORMER_BASED_WRAP", ""),
    "fsdp_cpu_ram_efficient_loading": (False, ""),
    "fsdp_state_dict_type": ("SHARDED_STATE_DICT", ""),
    "zero3_init_flag": (False, ""),
    "zero3_save_16bit_model": (False, ""),
    "compute_environment": ("LOCAL_MACHINE", ""),
}
"""Keys that accelerate wants to see, the one value they have, and where the value really comes from."""


def read(name: StrategyName, path: Path | None = None) -> dict[str, Any]:
    """The settings of the strategy: `{}`, `{"reshard_after_forward": bool}` or DeepSpeed's stage and offload devices.

    Raises PlanError with all that is wrong with the file.
    """
    path = path or shipped("accelerate_configs") / f"{name}.yaml"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise PlanError(Problem(f"the strategy's file cannot be read: {error}", str(path))) from None
    if not isinstance(values, dict):
        raise PlanError(Problem("the strategy's file holds no settings", str(path)))
    section = {"FSDP": "fsdp_config", "DEEPSPEED": "deepspeed_config"}.get(KINDS[name])
    inner = values.pop(section, None) if section else None
    problems = list(_contradictions(name, path, values, inner))
    settings: dict[str, Any] = {}
    if KINDS[name] == "FSDP" and isinstance(inner, dict):
        settings["reshard_after_forward"] = inner.pop("fsdp_reshard_after_forward", True)
    if KINDS[name] == "DEEPSPEED" and isinstance(inner, dict):
        settings["zero_stage"] = inner.pop("zero_stage", None)
        for part in ("optimizer", "param"):
            settings[f"offload_{part}_device"] = inner.pop(f"offload_{part}_device", "none")
    problems += _unknown(path, {**values, **(inner if isinstance(inner, dict) else {})})
    problems += _wrong_settings(name, path, settings)
    if problems:
        raise PlanError(problems)
    return settings


def _contradictions(name: StrategyName, path: Path, values: dict[str, Any], inner: Any) -> Iterator[Problem]:
    kind = values.pop("distributed_type", None)
    # YAML reads a bare NO as false
    if (kind or "NO") != KINDS[name]:
        yield Problem(
            f"distributed_type is {kind!r}, but {name} is {KINDS[name]}", str(path), "choose the strategy by --strategy"
        )
    if KINDS[name] in ("FSDP", "DEEPSPEED") and not isinstance(inner, dict):
        yield Problem(f"{name} needs its section of settings", str(path), "put the shipped file back")
    for key, where in ELSEWHERE.items():
        if key in values:
            values.pop(key)
            yield Problem(f"{key} has no place in a strategy's file", str(path), f"say it at launch: {where}")


def _unknown(path: Path, values: dict[str, Any]) -> Iterator[Problem]:
    for key, value in values.items():
        if key not in NEUTRAL:
            known = [*NEUTRAL, "zero_stage", "offload_optimizer_device", "offload_param_device"]
            yield Problem(f"the plan does not know {key!r}", str(path), did_you_mean(key, known))
        elif value != NEUTRAL[key][0] and not (NEUTRAL[key][0] == "no" and value is False):
            wanted, where = NEUTRAL[key]
            do = f"leave it out: it comes from {where}" if where else f"write {key}: {wanted}"
            yield Problem(f"{key} is {value!r}, which contradicts the plan", str(path), do)


def _wrong_settings(name: StrategyName, path: Path, settings: dict[str, Any]) -> Iterator[Problem]:
    stage = settings.get("zero_stage")
    if name in STAGES and stage != STAGES[name]:
        other = f", or choose --strategy zero{stage}" if stage in STAGES.values() else ""
        do = f"write zero_stage: {STAGES[name]}{other}"
        yield Problem(f"zero_stage is {stage!r}, but {name} is stage {STAGES[name]}", str(path), do)
    offloads = [settings[key] for key in settings if key.startswith("offload_")]
    wanted = "cpu" if name == "zero3_offload" else "none"
    if any(device != wanted for device in offloads):
        yield Problem(
            f"{name} offloads to {wanted!r}, not {offloads}", str(path), "use --strategy zero3_offload or zero3"
        )
    if not isinstance(settings.get("reshard_after_forward", True), bool):
        yield Problem("fsdp_reshard_after_forward is true or false", str(path), "write true")
