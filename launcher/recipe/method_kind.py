"""What every method says of itself, and the learning rates that suit their kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

FINE: Mapping[str, float] = {"adamw": 5e-5, "sgd": 0.01, "adafactor": 1e-3}
"""Learning rates, by optimizer, of pretrained weights that train themselves."""
NEW: Mapping[str, float] = {"adamw": 1e-3, "sgd": 0.1, "adafactor": 0.1}
"""Of few weights, most of them new. Adafactor changes a weight by a part of its size: these begin small or at zero."""
SCALES: Mapping[str, float] = {"adamw": 3e-3, "sgd": 0.1, "adafactor": 0.01}
"""Of vectors that scale what layers put out: a few hundred numbers a layer, each with much to move."""
PROMPTS: Mapping[str, float] = {"adamw": 1e-2, "sgd": 0.3, "adafactor": 0.3}
"""Of vectors that a frozen model reads: they have far to go."""

STEPPED = frozenset({"single", "ddp", "fsdp2"})
"""The strategies whose step the launcher makes itself: a method may add to the loss and act after the step."""


class Method:
    """What every method says of itself, whatever its values."""

    usual_learning_rates: ClassVar[Mapping[str, float]]
    strategies: ClassVar[frozenset[str] | None] = None
    """Those under which it works; None where it works under all."""
    of_pretrained: ClassVar[str] = ""
    """What it does to parts of a pretrained model that static vectors do not have; empty where it suits these too."""

    merges: ClassVar[bool] = True
    """Whether what it adds, if anything, can be put into the model's own weights."""
    in_four_bits: ClassVar[bool] = False
    """Whether it keeps the base in 4 bits."""

    @property
    def positions(self) -> int:
        """How many more tokens than a text has the model is given."""
        return 0
