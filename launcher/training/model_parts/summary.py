"""A model as a table: its tensors with their shapes, how many numbers each holds, and which of them train."""

from __future__ import annotations

import re

import torch
from torch import nn

NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def model_summary(model: nn.Module) -> str:
    """Markdown, a row a tensor; tensors that only a layer's number tells apart share one."""
    rows: dict[tuple[str, str, bool], list[int]] = {}
    for name, parameter in model.named_parameters():
        shape = " x ".join(map(str, parameter.shape)) or "1"
        rows.setdefault((NUMBER.sub("*", name), shape, parameter.requires_grad), []).append(parameter.numel())
    lines = ["| tensor | how many | shape | numbers | trains |", "|---|---:|---|---:|---|"]
    for (name, shape, trains), sizes in rows.items():
        lines.append(f"| `{name}` | {len(sizes)} | {shape} | {sum(sizes):,} | {'yes' if trains else 'no'} |")
    total = sum(sum(sizes) for sizes in rows.values())
    training = sum(sum(sizes) for (_, _, trains), sizes in rows.items() if trains)
    tensors = sum(map(len, rows.values()))
    lines.append(f"| all | {tensors} | | {total:,} | {training:,} |")
    return "\n".join(lines)


def count(model: nn.Module) -> dict[str, int]:
    """Parameters in all, and how many train."""
    parameters = list(model.parameters())
    return {
        # bitsandbytes packs two weights into a byte
        "total": sum(p.numel() * (2 if p.dtype == torch.uint8 else 1) for p in parameters),
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
    }
