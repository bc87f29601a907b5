"""The precision that a model computes in: autocast around fp32 weights, and the scaled loss that fp16 needs."""

from __future__ import annotations

from typing import Any

import torch

DIVERGED = "lower training.learning_rate, set training.clip_norm, or use precision fp32"
"""What to do where training left the range of finite numbers."""
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def computing_in(precision: str, device: str) -> Any:
    """Around a forward pass: autocast to the precision; nothing for fp32."""
    return torch.autocast(device, AUTOCAST.get(precision, torch.bfloat16), enabled=precision in AUTOCAST)


class LossScale:
    """Multiplies the loss so that small gradients do not vanish in fp16; does nothing under any other precision.

    The scale is halved, and the step left out, where the gradient overflowed (torch.amp.GradScaler). What overflowed is
    counted where it is, on the device.
    """

    def __init__(self, precision: str, device: torch.device):
        self.on = precision == "fp16"
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.on)
        self.skipped = torch.zeros((), device=device)

    def backward(self, loss: torch.Tensor) -> None:
        """Of the scaled loss."""
        (self.scaler.scale(loss) if self.on else loss).backward()

    def unscale(self, optimiser: torch.optim.Optimizer) -> None:
        """Divide the gradients by the scale again; they must be the same on every rank by now."""
        if self.on:
            self.scaler.unscale_(optimiser)

    def step(self, optimiser: torch.optim.Optimizer, norm: torch.Tensor) -> None:
        """Step, unless the gradient of this norm overflowed; then make the scale fit."""
        if not self.on:
            optimiser.step()
            return
        self.skipped += ~torch.isfinite(norm)
        self.scaler.step(optimiser)
        self.scaler.update()

    def document(self) -> dict[str, Any]:
        """For the checkpoint, as JSON values; empty where nothing is scaled."""
        return {**self.scaler.state_dict(), "skipped": float(self.skipped)} if self.on else {}

    def restore(self, values: dict[str, Any]) -> None:
        """What `document` returned."""
        if self.on and values:
            self.skipped.fill_(values["skipped"])
            self.scaler.load_state_dict({name: value for name, value in values.items() if name != "skipped"})
