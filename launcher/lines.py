"""The plain lines that a rank's log and the command line both print."""

from __future__ import annotations

from typing import Any


def step_line(event: dict[str, Any], steps: int) -> str:
    """The line of one logged step."""
    rate = f"{event['examples_per_second']:.1f} examples/s"
    return f"step {event['step']}/{steps}  loss {event['loss']:.4f}  learning rate {event['learning_rate']:.2e}  {rate}"


def evaluation_line(step: int, steps: int, metrics: dict[str, Any]) -> str:
    """The line of one evaluation on the validation split."""
    return f"step {step}/{steps}  validation  {numbers(metrics)}"


def numbers(metrics: dict[str, Any]) -> str:
    """`accuracy 0.8611  loss 0.3402`."""
    return "  ".join(f"{name} {value:.4f}" for name, value in metrics.items() if isinstance(value, float))
