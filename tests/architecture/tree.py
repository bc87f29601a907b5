"""The source files that the architecture tests look at."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    *("accelerate", "datasets", "deepspeed", "fasttext", "matplotlib", "numpy", "optuna", "pandas", "peft", "pyarrow"),
    *("safetensors", "scipy", "sklearn", "tensorboard", "tokenizers", "torch", "transformers"),
)
LIGHT = ("attempts", "backends", "cli", "entry", "errors", "inherited", "lines", "node", "plan", "recipe", "rules")
LIGHT += ("in_transformers", "recipe_file", "recipe_rules", "recipe_text")
LIGHT += ("driving", "failure", "json_files", "network", "profile", "rundir", "shipped")
LIGHT += ("custom_files", "spec", "strategy_file", "uncaught", "verify", "this_user")
LIGHT += ("array_submission", "cgroups", "cleaning", "fit", "memory", "memory_facts", "metrics", "model")
LIGHT += ("allocation", "cluster_rules", "job", "job_array", "machine", "queueing", "stopping", "submission")
LIGHT += ("channel", "child", "doctor", "gathering", "joining", "machines", "preflight", "reach", "scheduler")
LIGHT += ("attempt_folder", "lineage", "living", "publishing", "repair", "root_cause", "seals", "stillness")
LIGHT += ("run_files", "run_folder")
LIGHT += ("json_lines", "news", "opening", "pace", "request", "secret", "streams", "turns")
LIGHT += ("fork_server", "pulse", "room", "vital_signs")


def python_files(*folders: str) -> list[Path]:
    """Every Python file below these folders of the repository, at any depth."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def light_modules() -> list[str]:
    """Every module of the light wing, by its dotted name."""
    names = []
    for path in python_files("launcher"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if len(parts) > 1 and parts[1] in LIGHT:
            names.append(".".join(part for part in parts if part != "__init__"))
    return names
