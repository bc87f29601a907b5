"""The source files that the architecture tests look at."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    *("accelerate", "datasets", "deepspeed", "fasttext", "matplotlib", "numpy", "optuna", "pandas", "peft", "pyarrow"),
    *("safetensors", "scipy", "sklearn", "tensorboard", "tokenizers", "torch", "transformers", "fastapi", "uvicorn"),
)
LIGHT = (
    "ancestor",
    "api",
    "child",
    "cli",
    "cluster",
    "errors",
    "host",
    "in_transformers",
    "jobs",
    "json_files",
    "json_lines",
    "launch",
)
LIGHT += ("model", "multinode", "plan", "printing", "recipe", "runs", "secret", "shipped_files", "streams")


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
