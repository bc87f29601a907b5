"""The learning-rate schedules are those of transformers, to the bit."""

import pytest
import torch
from transformers.optimization import get_scheduler

from launcher import Training
from launcher.training.optimiser import build_schedule

STEPS = 50


def rates(schedule, optimiser):
    told = []
    for _ in range(STEPS + 3):
        told.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    return told


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.9])
@pytest.mark.parametrize(
    ("ours", "theirs"), [("linear", "linear"), ("cosine", "cosine"), ("constant", "constant_with_warmup")]
)
def test_a_schedule_is_that_of_transformers(ours, theirs, warmup):
    def optimiser():
        return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=3e-4)

    mine, reference = optimiser(), optimiser()
    expected = get_scheduler(theirs, reference, num_warmup_steps=round(warmup * STEPS), num_training_steps=STEPS)
    got = rates(build_schedule(mine, Training(schedule=ours, warmup=warmup), STEPS), mine)
    assert got == rates(expected, reference)
    assert max(got) == 3e-4
