"""Finding the files that a user may read, copy and use by hand: recipes, accelerate_configs, slurm.

In a checkout they lie beside the package; a wheel carries them inside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def shipped(folder: Literal["recipes", "accelerate_configs", "slurm"]) -> Path:
    """The folder of that name."""
    package = Path(__file__).resolve().parent
    inside = package / "files" / folder
    return inside if inside.is_dir() else package.parent / folder
