"""The layers of a model that are alike and in one list."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from launcher.training.model_parts.sparse_table import is_table
from launcher.training.model_parts.units import units


@dataclass(frozen=True)
class Series:
    """Where a model's layers stand: the names of its layer modules, bottom first."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, model: nn.Module) -> Series:
        """The layers that are sharded by themselves, if all of them are of one class and one list."""
        layers = [unit for unit in units(model) if not is_table(unit)]
        name_of = {id(module): name for name, module in model.named_modules()}
        names = tuple(name_of[id(unit)] for unit in layers)
        stems = {name.rpartition(".")[0] for name in names}
        numbered = [name.rpartition(".")[2] for name in names] == [str(n) for n in range(len(names))]
        return cls(names if len(stems) == 1 and numbered else ())

    @property
    def layers(self) -> int:
        """How many."""
        return len(self.names)

    def layer_of(self, parameter: str) -> tuple[int | None, str]:
        """The layer that holds this parameter (None: outside of them), and its name within."""
        for number, name in enumerate(self.names):
            if parameter.startswith(name + "."):
                return number, parameter[len(name) + 1 :]
        return None, parameter
