"""Gradients in shared memory: the curve of DistributedDataParallel, which stands in where there is no room, and to the
bit that of one process which computes the ranks' shares one after the other.
"""

from pathlib import Path

import pytest
import torch
from warm import largest_difference

from launcher.training.strategies.shared_gradients import BLOCK, sum_of_squares

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
    from launcher.training import rank
    initial = rank.initial_model
    def of_this_rank(*about):
        model = initial(*about)
        with torch.no_grad():
            model.classifier.weight[0, 0] += float(os.environ["RANK"])
        return model
    rank.initial_model = of_this_rank
"""
ONE_THREAD = """
import os
if "RANK" in os.environ:
    import torch
    torch.set_num_threads(1)  # the last bits of some matrix products hang on how many there are
    torch.set_num_threads = lambda number: None
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


@pytest.mark.parametrize(("model", "method"), [("wide", "Full"), ("ner", "Full"), ("mean", "HeadOnly()")])
def test_one_process_in_two_micro_batches_is_two_processes_to_the_bit(warm, model, method):
    # every step is clipped; the first batches of an epoch are full
    settings = {"max_steps": 4, "clip_norm": 0.05, "before": ONE_THREAD}
    one = warm.finished(model, method, micro_batch_size=8, **settings)
    two = warm.finished(model, method, "ddp", 2, **settings)
    assert (one.plan["accumulation"], two.plan["micro_batch_size"]) == (2, 8)
    assert two.outcome["in_force"]["gradients_in_shared_memory"]
    assert [loss.hex() for loss in one.losses] == [loss.hex() for loss in two.losses]
    assert one.norms == two.norms and min(one.norms) > 0.05 and len(one.norms) == 4
    if method == "Full":
        whole = warm.finished(model, method, **settings)
        assert whole.losses != one.losses, "parted otherwise, some bit differs: or equality says nothing"


def test_the_norm_is_that_of_torch_whoever_has_which_blocks():
    torch.manual_seed(0)
    gradients = [torch.randn(shape) for shape in ((50, 100), (7,), (BLOCK,), (99, BLOCK))]
    cut = [part for gradient in gradients for part in gradient.reshape(-1).split(2 * BLOCK)]
    assert sum_of_squares(gradients).sqrt().float() == sum_of_squares(cut[::-1]).sqrt().float()
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    with_three = sum_of_squares(gradients)
    torch.set_num_threads(1)
    alone = sum_of_squares(gradients)
    torch.set_num_threads(threads)
    assert with_three == alone
    expected = torch.nn.utils.get_total_norm([gradient.double() for gradient in gradients]).float()
    torch.testing.assert_close(sum_of_squares(gradients).sqrt().float(), expected, rtol=1e-6, atol=0)
    assert float(sum_of_squares([])) == 0.0


def test_ranks_that_start_from_different_weights_are_refused(warm):
    run = warm.run("bert", "Full", "ddp", 2, before=OWN_WEIGHTS, max_steps=STEPS)
    told = run.failures()
    assert told and not run.losses
    assert set(told.values()) == {"the ranks start from different weights: classifier.weight"}
