"""Where LoRA's update starts, other than from zero; what is saved always fits the model as it was.

PiSSA (Meng et al. 2024, arXiv 2404.02948) starts from the principal components of a weight W: A and B are A0 and B0,
`s B0 A0` the nearest matrix to W of that rank, and what is frozen is `W - s B0 A0`. That matrix is never made: the
frozen layer keeps W, and `Residual` takes `s B0 A0 x` from what it puts out. So an update of twice the rank, of A above
A0 and of B beside -B0, is the trained model over the very base, and peft alone can load it.

LoftQ (Li et al. 2023, arXiv 2310.08659) starts from what a weight lost when it was packed in 4 bits, Q: `s B A` is the
nearest matrix to W - Q. That is one of the paper's steps; more of them would pack another matrix than W.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

ADAPTER = "default"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
OVERSAMPLED, ITERATIONS = 8, 16
"""Of the randomised decomposition (Halko et al. 2011); the paper took as many iterations for its fast start."""


class Residual(nn.Module):
    """A frozen layer without what its update starts with."""

    def __init__(self, layer: nn.Module, a: Tensor, b: Tensor, scaling: float) -> None:
        """`a` is of shape (rank, in), `b` of (out, rank)."""
        super().__init__()
        self.layer, self.scaling = layer, scaling
        self.a, self.b = _linear(a), _linear(b)

    @property
    def weight(self) -> Tensor:
        """That of the layer: peft looks for its device and dtype."""
        weight: Tensor = self.layer.weight  # type: ignore[assignment]  # nn.Module types it as Tensor | Module
        return weight

    def forward(self, states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(…, in) to (…, out)."""
        whole: Tensor = self.layer(states, *args, **kwargs)
        taken: Tensor = self.b(self.a(states)) * self.scaling
        return whole - taken


def from_components(model: nn.Module) -> None:
    """Let each update start from the principal components of its weight."""
    for _, layer in updated(model):
        scaling, weight = layer.scaling[ADAPTER], layer.base_layer.weight.detach()
        weight = weight.T if layer.fan_in_fan_out else weight
        a, b = nearest(weight, layer.r[ADAPTER], scaling)
        _put_in(layer, a, b, Residual(layer.base_layer, a, b, scaling))


def from_packing(model: nn.Module, before: Mapping[str, Tensor]) -> None:
    """Let each update start from what its weight lost in 4 bits; `before` has the weights by the layers' names."""
    from bitsandbytes.functional import dequantize_4bit

    for name, layer in updated(model):
        packed = layer.base_layer.weight
        if name in before and getattr(packed, "quant_state", None) is not None:
            lost = before[name] - dequantize_4bit(packed.data, packed.quant_state)
            a, b = nearest(lost, layer.r[ADAPTER], layer.scaling[ADAPTER])
            _put_in(layer, a, b, layer.base_layer)


@torch.no_grad()
def nearest(matrix: Tensor, rank: int, scaling: float) -> tuple[Tensor, Tensor]:
    """`a` (rank, in) and `b` (out, rank) with `scaling * b @ a` nearest to a matrix (out, in), their sizes alike.

    In double precision, so that the bits do not hang on how many threads compute it.
    """
    rows, columns = matrix.shape
    if matrix.device.type == "meta":
        return matrix.new_empty(rank, columns), matrix.new_empty(rows, rank)
    u, s, v = torch.svd_lowrank(matrix.double(), min(rank + OVERSAMPLED, rows, columns), ITERATIONS)
    root = (s[:rank] / scaling).sqrt()
    a, b = s.new_zeros(rank, columns), s.new_zeros(rows, rank)  # more than the matrix has components stays zero
    a[: len(root)], b[:, : len(root)] = root[:, None] * v[:, :rank].T, u[:, :rank] * root
    return a.to(matrix.dtype), b.to(matrix.dtype)


def double(folder: Path, model: nn.Module) -> None:
    """Let a saved adapter hold the components as well: twice the rank, over the base as it was."""
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / WEIGHTS)
    for name, layer in updated(model):
        a, b = f"{PREFIX}{name}.lora_A.weight", f"{PREFIX}{name}.lora_B.weight"
        start = layer.base_layer
        tensors[a] = torch.cat([tensors[a], start.a.weight.detach().cpu()])
        tensors[b] = torch.cat([tensors[b], -start.b.weight.detach().cpu()], dim=1)
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    values["r"], values["lora_alpha"] = doubled(values["r"], values["lora_alpha"], values["use_rslora"])
    (folder / CONFIG).write_text(json.dumps(values, indent=2, sort_keys=True), encoding="utf-8")


def doubled(rank: int, alpha: float, rslora: bool) -> tuple[int, float]:
    """Twice the rank, and the alpha with which the update counts as before."""
    return 2 * rank, alpha * (math.sqrt(2) if rslora else 2)


def halve(model: nn.Module) -> None:
    """Undo `double` in a model that was loaded: the update that trained, and the components in the base."""
    for _, layer in updated(model):
        rank, scaling = layer.r[ADAPTER] // 2, layer.scaling[ADAPTER]
        a, b = (part[ADAPTER].weight.detach() for part in (layer.lora_A, layer.lora_B))
        layer.r[ADAPTER] = rank
        base = Residual(layer.base_layer, a[rank:], -b[:, rank:], scaling)
        _put_in(layer, a[:rank], b[:, :rank], base, trains=False)


PREFIX = "base_model.model."


def updated(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """The layers with an update, by their names in the base."""
    for name, module in model.named_modules():
        if ADAPTER in getattr(module, "lora_A", {}):
            yield name.removeprefix(PREFIX), module


def _put_in(layer: Any, a: Tensor, b: Tensor, base: nn.Module, trains: bool = True) -> None:
    layer.lora_A[ADAPTER], layer.lora_B[ADAPTER] = _linear(a, trains), _linear(b, trains)
    layer.base_layer = base


def _linear(weight: Tensor, trains: bool = False) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone().contiguous(), requires_grad=trains)
    return layer
