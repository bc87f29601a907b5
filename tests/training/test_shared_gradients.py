"""Gradients in shared memory: the same curve as DistributedDataParallel, which stands in where there is no room."""

from pathlib import Path

from warm import largest_difference

STEPS = 6
NO_ROOM = """
from launcher.training.strategies import shared_gradients
from pathlib import Path
shared_gradients.MEMORY = Path("/proc")
"""
OWN_WEIGHTS = """
import os
if "RANK" in os.environ:
    import torch
    from launcher.training import saving
    initial = saving.initial_model
    def of_this_rank(*about):
        model = initial(*about)
        with torch.no_grad():
            model.classifier.weight[0, 0] += float(os.environ["RANK"])
        return model
    saving.initial_model = of_this_rank
"""
UNSUMMED = """
from launcher.training.strategies import shared_gradients
shared_gradients._add = lambda parts, out: out.copy_(parts[0])
"""


def test_where_there_is_no_room_distributed_data_parallel_gives_the_same_curve(warm):
    one = warm.finished("bert", "Full", max_steps=STEPS)
    shared = warm.finished("bert", "Full", "ddp", 2, max_steps=STEPS)
    sent = warm.finished("bert", "Full", "ddp", 2, before=NO_ROOM, max_steps=STEPS)
    told = [run.outcome["in_force"] for run in (shared, sent)]
    assert [about["gradients_in_shared_memory"] for about in told] == [True, False]
    assert [about["wrapper"] for about in told] == ["BertForSequenceClassification", "DistributedDataParallel"]
    assert largest_difference(shared.losses, sent.losses, STEPS) <= 1e-6
    assert largest_difference(shared.losses, one.losses, STEPS) <= 1e-6
    assert shared.losses[-1] != shared.losses[0]


def test_every_rank_holds_all_states_and_nothing_is_left_in_memory(warm):
    shared = warm.finished("bert", "Full", "ddp", 2, max_steps=STEPS)
    sent = warm.finished("bert", "Full", "ddp", 2, before=NO_ROOM, max_steps=STEPS)
    assert shared.outcome["held_bytes"] == sent.outcome["held_bytes"]
    assert not list(Path("/dev/shm").glob("recipe-launcher-*"))


def test_a_sum_that_leaves_a_rank_out_changes_the_curve(warm):
    shared = warm.finished("bert", "Full", "ddp", 2, max_steps=STEPS)
    wrong = warm.finished("bert", "Full", "ddp", 2, before=UNSUMMED, max_steps=STEPS)
    assert largest_difference(shared.losses, wrong.losses, STEPS) > 1e-5


def test_ranks_that_start_from_different_weights_are_refused(warm):
    run = warm.run("bert", "Full", "ddp", 2, before=OWN_WEIGHTS, max_steps=STEPS)
    told = run.failures()
    assert told and not run.losses
    assert set(told.values()) == {"the ranks start from different weights: classifier.weight"}
