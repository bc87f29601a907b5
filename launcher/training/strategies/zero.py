"""`zero1`, `zero2`, `zero3`: optimiser state, gradients and parameters sharded by DeepSpeed, on GPU and CPU.

Rajbhandari et al. 2020, "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", arXiv 1910.02054.
The weights are fp32 and DeepSpeed keeps its own fp32 copy of each rank's share besides.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from launcher.errors import PlanError, Problem
from launcher.plan.plan import Plan
from launcher.recipe.training import Training
from launcher.training.model_parts.outputs import Tensors
from launcher.training.optimiser import STATE_KEYS, build_optimiser
from launcher.training.strategies.base import Piece, Read, Strategy, restored, whole_shape
from launcher.training.strategies.saved_weights import SavedWeights


class ZeRO(Strategy):
    """DeepSpeed's engine around the model; its JSON is derived from the plan."""

    master_copies = 1

    def wrap(self, model: nn.Module, training: Training) -> None:
        """Hand the model and torch's own optimiser to DeepSpeed."""
        deepspeed = _deepspeed(self.world.device.type)
        self.model = model.to(self.world.device)
        self.optimiser = build_optimiser(self.model, training)
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        self.config = config(self.plan, training.clip_norm, trained)
        self.engine, self.zero, _, _ = deepspeed.initialize(
            model=self.model, optimizer=self.optimiser, config=self.config, dist_init_required=False
        )
        self.partitioned = self.plan.sharding["zero_stage"] == 3
        self.saved = SavedWeights(self.model) if self.partitioned else None

    @property
    def wrapped(self) -> nn.Module:
        """DeepSpeed's engine."""
        engine: nn.Module = self.engine
        return engine

    def micro_batch(self, last: bool) -> Any:
        """Tells DeepSpeed which one is the last."""
        self.engine.set_gradient_accumulation_boundary(last)
        return super().micro_batch(last)

    def outputs(self, inputs: Tensors, names: Sequence[str]) -> dict[str, torch.Tensor]:
        """As every strategy's; autograd is kept from holding gathered weights."""
        with self.saved.by_name() if self.saved else contextlib.nullcontext():
            return super().outputs(inputs, names)

    @property
    def synced(self) -> bool:
        """In stage 3 each layer gathers its weights from all ranks."""
        return self.partitioned and self.world.size > 1

    @contextlib.contextmanager
    def for_many_passes(self) -> Iterator[None]:
        """Where there is room for the whole model it is gathered once, and not with each token.

        DeepSpeed lets go of a parameter when no layer that computes is named in its `ds_active_sub_modules`.
        """
        keeps = self.synced and self.whole_fits()
        for parameter in self.model.parameters() if keeps else []:
            parameter.ds_active_sub_modules.add(NO_LAYER)  # type: ignore[attr-defined]  # DeepSpeed's own
        try:
            yield
        finally:
            if self.synced:
                self.zero.empty_partition_cache()  # which forgets these names, too

    def penalty(self, ask: Callable[[nn.Module], torch.Tensor | None]) -> torch.Tensor | None:
        """In stage 3 with all that trains gathered; what is made of it lasts until the backward pass."""
        if not self.partitioned:
            return super().penalty(ask)
        import deepspeed

        with deepspeed.zero.GatheredParameters([parameter for _, parameter, _ in self.trainable()]):
            return super().penalty(ask)

    def backward(self, loss: torch.Tensor, penalty: torch.Tensor | None = None) -> None:
        """DeepSpeed averages over ranks: our loss is already a part of the whole batch's mean, a penalty is whole."""
        loss = loss * self.world.size
        self.engine.backward(loss if penalty is None else loss + penalty, scale_wrt_gas=False)

    def update(
        self, tokens: Callable[[], np.ndarray], after: Callable[[nn.Module], None] | None = None
    ) -> torch.Tensor | float:
        """The engine clips, steps and clears."""
        assert after is None, "gate 2 refuses methods that act after steps here (launcher/plan/rules.py)"
        self.engine.step()
        norm: torch.Tensor | float = self.engine.get_global_grad_norm()
        return norm

    def pieces(self) -> Iterator[Piece]:
        """DeepSpeed's fp32 fragments: flat ranges already."""
        for name, parameter, shape in self.trainable():
            share = self._share(parameter)
            if share is None:
                continue
            start, flat, cut = share
            state = {"": flat.detach(), **self.optimiser.state.get(flat, {})}
            for key, values in state.items():
                full_name = f"model.{name}" if key == "" else f"optimizer.{name}.{key}"
                if not isinstance(values, torch.Tensor):
                    continue
                if key != "step":
                    yield Piece(full_name, tuple(shape), start, values[cut])
                elif start == 0:
                    yield Piece(full_name, (), 0, values.reshape(-1))

    @torch.no_grad()
    def restore(self, read: Read, optimiser: bool) -> None:
        """The fp32 fragments of this rank, and the weights that are computed with."""
        if self.partitioned:
            self.engine.empty_partition_cache()  # what the last forward pass gathered is out of date
        for name, parameter, shape in self.trainable():
            number = shape.numel()
            if not self.partitioned:
                parameter.copy_(restored(read, name, 0, number).view(shape))
            share = self._share(parameter)
            if share is None:
                continue
            start, flat, cut = share
            mine = flat.detach()[cut]
            mine.copy_(restored(read, name, start, start + len(mine)))
            if self.partitioned:
                parameter.ds_tensor[: len(mine)].copy_(mine)  # type: ignore[attr-defined]  # DeepSpeed's own
            if optimiser:
                self._restore_state(read, name, start, flat, cut)

    def gradients(self) -> Iterator[torch.Tensor]:
        """Whole in stage 1, this rank's partition in stages 2 and 3."""
        if self.partitioned:
            yield self.zero.grad_partitions_flat_buffer
            return
        held = [p.grad for p in self.model.parameters() if p.grad is not None]
        for parts in self.zero.averaged_gradients.values():
            held += [part for part in parts or [] if part is not None]
        yield from {part.data_ptr(): part for part in held}.values()

    def optimiser_tensors(self) -> Iterator[torch.Tensor]:
        """The moments, and the fp32 copy of this rank's share of the weights."""
        yield from super().optimiser_tensors()
        yield from self.zero.fp32_partitioned_groups_flat if self.partitioned else self._flat_groups()

    def about(self) -> dict[str, Any]:
        """The engine's configuration."""
        return {"deepspeed": self.config}

    def _share(self, parameter: nn.Parameter) -> tuple[int, torch.Tensor, slice] | None:
        """Where this rank's fp32 share of the parameter starts; the flat group that holds it, and where in it."""
        if self.partitioned:
            number = whole_shape(parameter).numel()
            # DeepSpeed adds `partition_numel` to each parameter
            start = min(number, self.world.rank * parameter.partition_numel())  # type: ignore[attr-defined]
            group, offset, length = self.zero.grad_position[self.zero.get_param_id(parameter)]
            offset, length = int(offset), min(int(length), number - start)
            flat = self.zero.fp32_partitioned_groups_flat[group]
        else:
            mapping = parameter._hp_mapping  # type: ignore[attr-defined]  # DeepSpeed's own
            if mapping is None:
                return None
            start, length = mapping.lp_fragment_address.start, mapping.lp_fragment_address.numel
            offset = mapping.hp_fragment_address.start
            flat = self._flat_groups()[mapping.param_group_index]
        return (start, flat, slice(offset, offset + length)) if length else None

    def _flat_groups(self) -> list[torch.Tensor]:
        """Stages 1 and 2: this rank's fp32 share of each parameter group."""
        groups: list[torch.Tensor] = self.zero.single_partition_of_fp32_groups
        return groups

    def _restore_state(self, read: Read, name: str, start: int, flat: torch.Tensor, cut: slice) -> None:
        state = self.optimiser.state[flat]
        for key in STATE_KEYS:
            stop = (0, 1) if key == "step" else (start, start + cut.stop - cut.start)
            values = read(f"optimizer.{name}.{key}", *stop)
            if values is None:
                continue
            if key == "step":
                state[key] = values.view(()).to(flat.device)
                continue
            if key not in state:
                state[key] = torch.zeros_like(flat).detach()
            state[key][cut].copy_(values)


def config(plan: Plan, clip_norm: float | None, trained: int) -> dict[str, Any]:
    """DeepSpeed's JSON. Buffers are no larger than the gradient: its defaults take 2 GB whatever the model."""
    sharding = plan.sharding
    bucket = max(2, min(trained + trained % 2, LARGEST_BUCKET))  # an odd one is refused
    zero: dict[str, Any] = {"stage": sharding["zero_stage"], "reduce_bucket_size": bucket}
    if sharding["zero_stage"] == 3:
        zero |= {
            "stage3_param_persistence_threshold": 0,
            "stage3_prefetch_bucket_size": bucket,
            "stage3_max_live_parameters": bucket,
            "stage3_max_reuse_distance": 0,
            "memory_efficient_linear": False,  # its linear layers keep the inputs of frozen weights too
        }
    else:
        zero["allgather_bucket_size"] = bucket
    for part in ("optimizer", "param"):
        if sharding[f"offload_{part}_device"] == "cpu":
            zero[f"offload_{part}"] = {"device": "cpu", "pin_memory": True}
    return {
        "train_micro_batch_size_per_gpu": plan.micro_batch_size,
        "gradient_accumulation_steps": 1,  # the loop says which micro-batch is the last
        "gradient_clipping": clip_norm or 0.0,
        "zero_optimization": zero,
        # the engine turns an autocast around it off on a GPU unless it is its own; weights still travel in fp32
        "torch_autocast": {
            "enabled": plan.precision == "bf16",
            "dtype": "bfloat16",
            "lower_precision_safe_modules": [],
        },
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "steps_per_print": 1 << 62,
    }


NO_LAYER = -1
"""A number that no layer has."""
LARGEST_BUCKET = 50_000_000
"""Elements of gradient that DeepSpeed collects before it sends them (200 MB)."""


def _deepspeed(device: str) -> Any:
    """The library, set to use this device and not to compile (no compiler is needed, ever).

    Left alone it would take a GPU that the plan does not want, and on a CPU spend a minute of g++ on its
    shared-memory collective at the first start.
    """
    os.environ["DS_ACCELERATOR"] = device
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    try:
        import deepspeed
        import deepspeed.ops
    except Exception as error:  # a broken installation breaks in any way
        do = "repair it (`python -c 'import deepspeed'` shows where it breaks), or use --strategy fsdp2"
        raise PlanError(Problem(f"DeepSpeed cannot start: {type(error).__name__}: {error}", do=do)) from None
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    return deepspeed
