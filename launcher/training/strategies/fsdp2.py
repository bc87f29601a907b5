"""`fsdp2`: parameters, gradients and optimiser state sharded by torch's `fully_shard`, on GPU and CPU alike.

Called directly: Accelerate 1.15 turns FSDP on for accelerators only and on a CPU silently runs DDP
(docs/decisions/007-strategies.md).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor

from launcher.errors import PlanError, Problem
from launcher.recipe.training import Training
from launcher.training.model_parts.units import units
from launcher.training.optimiser import STATE_KEYS, build_optimiser
from launcher.training.strategies.base import Piece, Read, Strategy, restored


class FullyShardedDataParallel(Strategy):
    """Each tensor is cut along its first dimension; a unit's whole parameters exist only while it computes."""

    def wrap(self, model: nn.Module, training: Training) -> None:
        """Shard each unit (a transformer layer, a table), then what is left. Raises PlanError for a scalar."""
        scalars = [name for name, parameter in model.named_parameters() if parameter.ndim == 0]
        if scalars:
            what = "fsdp2 cannot shard a parameter without dimensions: " + ", ".join(scalars)
            raise PlanError(Problem(what, do="choose another --strategy, such as zero3"))
        mesh = init_device_mesh(self.world.device.type, (self.world.size,))
        for unit in units(model):
            fully_shard(unit, mesh=mesh, reshard_after_forward=self.plan.sharding["reshard_after_forward"])
        fully_shard(model, mesh=mesh)
        if hasattr(model, "generate"):  # searches call parts of the model besides the whole, as an encoder
            register_fsdp_forward_method(model, "generate")
        self.model = model.to(self.world.device)
        self.optimiser = build_optimiser(self.model, training)
        self.clip = training.clip_norm
        # while a unit computes other tensors stand in for these
        self.trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self.parameters = list(self.trained.values())

    @property
    def wrapped(self) -> nn.Module:
        """The model: `fully_shard` changes it in place."""
        return self.model

    @property
    def synced(self) -> bool:
        """Each unit gathers its weights from all ranks."""
        return self.world.size > 1

    @contextlib.contextmanager
    def for_many_passes(self) -> Iterator[None]:
        """Where there is room for the whole model it is gathered once, and not with each token."""
        keeps = self.synced and self.whole_fits()
        units = [part for part in self.model.modules() if isinstance(part, FSDPModule) and part is not self.model]
        for unit in units if keeps else []:
            unit.set_reshard_after_forward(False, recurse=False)
        try:
            yield
        finally:
            for unit in units if keeps else []:
                unit.set_reshard_after_forward(self.plan.sharding["reshard_after_forward"], recurse=False)
            self._reshard()

    def penalty(self, ask: Callable[[nn.Module], torch.Tensor | None]) -> torch.Tensor | None:
        """With the shards of what trains gathered; in the backward pass each rank's shards take their part again."""
        whole = {name: p.full_tensor() if isinstance(p, DTensor) else p for name, p in self.trained.items()}
        module = PenaltyModule(self.model, ask)
        value: torch.Tensor | None = torch.func.functional_call(module, {f"model.{n}": p for n, p in whole.items()}, ())
        return value

    def backward(self, loss: torch.Tensor, penalty: torch.Tensor | None = None) -> None:
        """FSDP averages; the sum is what is wanted.

        Gradients are scattered with every micro-batch: waiting for the last one would send less, and hold the
        whole gradient on every rank until then.
        """
        (loss * self.world.size).backward()
        if penalty is not None and penalty.requires_grad:  # no average here: every rank has the whole of it
            penalty.backward()

    def update(
        self, tokens: Callable[[], np.ndarray], after: Callable[[nn.Module], None] | None = None
    ) -> torch.Tensor:
        """Clip, step, clear."""
        norm = nn.utils.clip_grad_norm_(self.parameters, float("inf") if self.clip is None else self.clip)
        self.optimiser.step()
        if after is not None:
            self._reshard()
            after(self.model)
        self.optimiser.zero_grad(set_to_none=True)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def pieces(self) -> Iterator[Piece]:
        """The local shards: whole rows, so flat ranges."""
        self._reshard()
        for name, parameter, shape in self.trainable():
            start, _ = self._range(parameter)
            yield from _piece(f"model.{name}", shape, start, parameter.detach())
            for key, value in self.optimiser.state.get(parameter, {}).items():
                if isinstance(value, DTensor):
                    yield from _piece(f"optimizer.{name}.{key}", shape, start, value)
                elif isinstance(value, torch.Tensor) and self.world.leads:
                    yield Piece(f"optimizer.{name}.{key}", tuple(value.shape), 0, value.reshape(-1))

    @torch.no_grad()
    def restore(self, read: Read, optimiser: bool) -> None:
        """Each rank reads its own rows."""
        self._reshard()
        for name, parameter, _ in self.trainable():
            start, stop = self._range(parameter)
            local = _local(parameter)
            local.copy_(restored(read, name, start, stop).view(local.shape))
            if optimiser:
                self.optimiser.state[parameter] = self._state(read, name, parameter)

    def gradients(self) -> Iterator[torch.Tensor]:
        """The local shards."""
        return (_local(p.grad) for p in self.parameters if p.grad is not None)

    def about(self) -> dict[str, Any]:
        """How many modules are sharded by themselves."""
        return {"sharded_units": sum(isinstance(module, FSDPModule) for module in self.model.modules())}

    def _state(self, read: Read, name: str, parameter: nn.Parameter) -> dict[str, Any]:
        state: dict[str, Any] = {}
        start, stop = self._range(parameter)
        for key in STATE_KEYS:
            alone = key == "step"
            values = read(f"optimizer.{name}.{key}", *((0, 1) if alone else (start, stop)))
            if values is not None and alone:
                state[key] = values.view(()).to(self.world.device)
            elif values is not None:
                local = values.view(_local(parameter).shape).to(self.world.device)
                assert isinstance(parameter, DTensor)
                state[key] = DTensor.from_local(
                    local,
                    parameter.device_mesh,
                    parameter.placements,
                    run_check=False,
                    shape=parameter.shape,
                    stride=parameter.stride(),
                )
        return state

    def _range(self, parameter: torch.Tensor) -> tuple[int, int]:
        """Where this rank's rows are in the flat tensor: torch cuts as `chunk` does, into equal parts and a rest."""
        rows = parameter.shape[0]
        width = parameter.numel() // max(1, rows)
        share = -(-rows // self.world.size)
        start = min(rows, share * self.world.rank)
        return start * width, (start + _local(parameter).shape[0]) * width

    def _reshard(self) -> None:
        """After an evaluation the outermost unit still holds whole parameters: let go of them."""
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()


class PenaltyModule(nn.Module):
    """A function of a model, as a module: so that other tensors can stand in for the model's during the call."""

    def __init__(self, model: nn.Module, ask: Callable[[nn.Module], torch.Tensor | None]):
        super().__init__()
        self.model, self.ask = model, ask

    def forward(self) -> torch.Tensor | None:
        """What the function returns for the model."""
        return self.ask(self.model)


def _local(tensor: torch.Tensor) -> torch.Tensor:
    """This rank's shard."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _piece(name: str, shape: torch.Size, start: int, tensor: torch.Tensor) -> Iterator[Piece]:
    local = _local(tensor)
    if local.numel():
        yield Piece(name, tuple(shape), start, local.reshape(-1))
