"""Stop and go on: bit by bit under the same strategy, the same curve under another or on more processes.

A run is stopped in effigy: a copy of it that has nothing after step 10 is resumed by new processes. (Real
signals at real times are tests/faults'.)
"""

import pytest

STEPS, STOP = 20, 10
USUAL = {"max_steps": STEPS, "checkpoint_every": 5, "keep_checkpoints": 9, "evaluate_every": 20}
SGD = {"optimizer": "sgd", "momentum": 0.9}


def rest(run):
    return {step: loss.hex() for step, loss in run.steps.items() if step > STOP}


def note(run, text):
    return any(text in path.read_text() for path in run.folder.path.rglob("*") if path.suffix in (".log", ".jsonl"))


CASES = [
    ("fsdp2", "ner", "Full", {}),
    ("zero1", "ner", "Full", {}),
    ("zero2", "bert", "LoRA", {}),
    ("zero3", "bert", "Full", {}),
    ("ddp", "ner", "Full", SGD),
    ("fsdp2", "mean", "LoRA", SGD),
    ("zero2", "mean", "Full", SGD),
    ("zero3", "mean", "Adapter", SGD),
]


@pytest.mark.parametrize(("name", "kind", "method", "optimiser"), CASES)
def test_the_same_layout_goes_on_bit_by_bit(warm, name, kind, method, optimiser):
    twin = warm.finished(kind, method, name, 2, dropout=0.2, **USUAL, **optimiser)
    resumed = warm.resume(twin, STOP, name, 2)
    assert set(resumed.status.values()) == {0}, resumed.failures()
    assert len(rest(twin)) == STEPS - STOP
    assert rest(resumed) == rest(twin)
    assert note(resumed, f"resumed at step {STOP} of {STEPS}")
    assert resumed.outcome["metrics"]["test"] == twin.outcome["metrics"]["test"]


OTHERS = [
    ("ddp", 2, "zero3", 2),
    ("zero2", 2, "fsdp2", 2),
    ("fsdp2", 2, "zero1", 4),
    ("zero3", 2, "single", 1),
    ("zero3", 2, "zero3", 4),
    ("zero1", 2, "ddp", 4),
]


@pytest.mark.parametrize("optimiser", [{}, SGD], ids=["adamw", "sgd"])
@pytest.mark.parametrize(("first", "before", "then", "after"), OTHERS)
def test_another_layout_goes_on_along_the_same_curve(warm, first, before, then, after, optimiser):
    twin = warm.finished("mean", "Full", first, before, dropout=0.0, **USUAL, **optimiser)
    resumed = warm.resume(twin, STOP, then, after)
    assert set(resumed.status.values()) == {0}, resumed.failures()
    assert resumed.outcome["strategy"] == then and resumed.outcome["world_size"] == after
    differences = [abs(twin.steps[step] - loss) for step, loss in resumed.steps.items()]
    assert len(differences) == STEPS and max(differences) <= 1e-5
    assert note(resumed, f"resumed at step {STOP} of {STEPS}")


def test_losing_the_moments_would_be_seen(warm):
    """The curve depends on the optimiser's state, or the tests above prove little."""
    twin = warm.finished("mean", "Full", "ddp", 2, dropout=0.0, **USUAL)
    forget = """
import os
if "RANK" in os.environ:
    from launcher.training.checkpoints.reader import SavedState
    read = SavedState.read
    SavedState.read = lambda self, name, a, b: None if name.startswith("optimizer.") else read(self, name, a, b)
"""
    from pathlib import Path

    recipe = Path(twin.plan["recipe"])
    source = recipe.read_text()
    recipe.write_text(forget + source)
    try:
        resumed = warm.resume(twin, STOP, "ddp", 2)
    finally:
        recipe.write_text(source)
    assert max(abs(twin.steps[step] - loss) for step, loss in resumed.steps.items()) > 1e-4
