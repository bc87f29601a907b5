"""What is saved under any strategy is what one process saves, whole; what cannot be saved is noticed at step 1."""

import pytest
from safetensors.torch import load_file
from test_strategies_curve import FOUR, PARTS, TWO

SHORT = {"max_steps": 2}
HEAVY = """
import os
if "RANK" in os.environ:
    rank = int(os.environ.get("RANK", "0"))
"""
ONE_RANK_SILENT = (
    HEAVY
    + """
    from launcher.training.strategies.{module} import {cls} as Mine
    pieces = Mine.pieces
    Mine.pieces = lambda self: iter(()) if rank == 1 else pieces(self)
"""
)
OVERLAP = (
    HEAVY
    + """
    from dataclasses import replace
    from launcher.training.strategies.ddp import Replicated
    pieces = Replicated.pieces
    def all_of_it(self):
        for piece in pieces(self):
            whole = dict(self.model.named_parameters()).get(piece.name.removeprefix("model."))
            mine = rank == 1 and whole is not None
            yield replace(piece, start=0, values=whole.detach().reshape(-1)) if mine else piece
    Replicated.pieces = all_of_it
"""
)
SAME_HALF_TWICE = (
    HEAVY
    + """
    from dataclasses import replace
    from launcher.training.strategies.ddp import Replicated
    pieces = Replicated.pieces
    Replicated.pieces = lambda self: (replace(piece, start=0) for piece in pieces(self))
"""
)
STALE = (
    HEAVY
    + """
    from launcher.training.result import result
    gather = result.gather
    result.gather = lambda strategy: {name: value * 1.01 for name, value in gather(strategy).items()}
"""
)
NOT_WRITTEN = (
    HEAVY
    + """
    import peft
    def save_nothing(self, folder, **options):
        from safetensors.torch import save_file
        self.peft_config["default"].save_pretrained(folder)
        save_file({}, folder / "adapter_model.safetensors")
    peft.PeftModel.save_pretrained = save_nothing
"""
)


def weights(run):
    """Every tensor below `model/`, by file and name."""
    folder = run.folder.model
    found = {}
    for path in sorted(folder.rglob("*.safetensors")):
        found |= {f"{path.relative_to(folder)}:{name}": value for name, value in load_file(path).items()}
    return found


@pytest.mark.parametrize(("kind", "method", "name", "processes"), TWO + FOUR)
def test_the_saved_model_is_that_of_one_process(warm, kind, method, name, processes):
    one = weights(warm.finished(kind, method))
    many = weights(warm.finished(kind, method, name, processes, **PARTS))
    assert one.keys() == many.keys() and len(one) >= 4
    initial = "base/" if method != "Full" else "\0"
    for key, value in one.items():
        assert value.shape == many[key].shape and value.dtype == many[key].dtype
        # fifty steps of AdamW at a high rate: the last bits of a gradient near zero become 1e-4 of a weight
        assert (value - many[key]).abs().max() <= (0.0 if key.startswith(initial) else 2e-3), key


@pytest.mark.parametrize(
    ("name", "kind", "method"),
    [("fsdp2", "ner", "Full"), ("fsdp2", "mean", "LoRA"), ("zero3", "mean", "Adapter"), ("zero2", "mean", "Full")],
)
def test_after_two_steps_they_are_equal_to_rounding(warm, kind, method, name):
    one = weights(warm.finished(kind, method, **SHORT))
    many = weights(warm.finished(kind, method, name, 2, **SHORT))
    assert one.keys() == many.keys()
    assert all((one[key] - many[key]).abs().max() <= 1e-5 for key in one)
    proof = warm.finished(kind, method, name, 2, **SHORT).outcome["proof"]
    assert proof["trained_tensors"] > 1
    assert proof["largest_logit_difference_from_training"] <= 1e-5


@pytest.mark.parametrize(
    ("name", "method", "module", "cls"),
    [
        ("fsdp2", "LoRA", "fsdp2", "FullyShardedDataParallel"),
        ("zero3", "LoRA", "zero", "ZeRO"),
        ("zero2", "Adapter", "zero", "ZeRO"),
        ("ddp", "Full", "ddp", "Replicated"),
    ],
)
def test_a_part_of_an_adapter_cannot_be_saved(warm, name, method, module, cls):
    run = warm.run("mean", method, name, 2, before=ONE_RANK_SILENT.format(module=module, cls=cls), **SHORT)
    told = run.failures()
    assert told and all(what.startswith("the ranks do not hold the whole model once: ") for what in told.values())
    assert not run.folder.model.exists()
    assert len(run.losses) == 1, "refused after the first step, not at the end"


def test_an_element_that_two_ranks_claim_cannot_be_saved(warm):
    run = warm.run("mean", "Full", "ddp", 2, before=OVERLAP, **SHORT)
    assert any("the ranks do not hold the whole model once" in what for what in run.failures().values())
    assert len(run.losses) == 1


def test_a_hole_that_an_overlap_makes_up_for_in_number_is_seen(warm):
    run = warm.run("mean", "Full", "ddp", 2, before=SAME_HALF_TWICE, **SHORT)
    told = run.failures()
    assert told and all("1,488 of 1,488 elements, in 0-744, 0-744" in what for what in told.values())


@pytest.mark.parametrize("name", ["ddp", "zero3"])
def test_weights_that_are_not_the_trained_ones_are_refused_after_the_first_step(warm, name):
    run = warm.run("mean", "Full", name, 2, before=STALE, **SHORT)
    assert any("differs from the trained one" in what for what in run.failures().values())
    assert len(run.losses) == 1 and not run.folder.model.exists()


def test_an_empty_adapter_is_refused_after_the_first_step(warm):
    run = warm.run("mean", "LoRA", "fsdp2", 2, before=NOT_WRITTEN, **SHORT)
    assert any("the saved weights cannot be put into this" in what for what in run.failures().values())
    assert len(run.losses) == 1 and not run.folder.model.exists()


def test_the_rehearsal_leaves_nothing_behind(warm):
    run = warm.finished("mean", "LoRA", "fsdp2", 2, **SHORT)
    assert not list(run.folder.path.glob("**/.rehearsal*"))
