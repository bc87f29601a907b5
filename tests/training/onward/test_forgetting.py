"""Against forgetting: replay, elastic weight consolidation and learning without forgetting, on any number of ranks."""

import pytest
import torch
from numbered import sentences

from launcher import Training
from launcher.errors import LauncherError
from launcher.launch.request import Request
from launcher.launch.run_request import gates
from launcher.plan.placement import Placement
from launcher.training.methods.base import MethodWork
from launcher.training.onward.consolidation import Consolidated, remembering

STEPS = 6
USUAL = {"max_steps": STEPS, "evaluate_every": STEPS}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """Other texts with one label of the first data and a new one."""
    path = tmp_path_factory.mktemp("fresh") / "fresh.tsv"
    rows = (f"{' '.join(words)}\t{'good' if len(words) % 2 else 'odd'}" for words in sentences(120, 22))
    path.write_text("text\tlabel\n" + "\n".join(rows) + "\n")
    return path


def gone_on(warm, model, fresh, place, **training):
    before = warm.finished(model, "Full", **USUAL)
    sets = {"training.from_run": str(before.folder.path), "data.train": str(fresh)}
    sets |= {"training.learning_rate": "2e-3"} if model == "bert" else {}
    sets |= {f"training.{name}": str(value) for name, value in training.items()}
    run = warm.carry_out(Request(warm.recipe(model, "Full", **USUAL), sets, place, None, warm.folder / "runs"))
    assert set(run.status.values()) == {0}, run.failures()
    return run


@pytest.mark.parametrize(
    ("model", "strategy", "how"),
    [
        ("bert", "fsdp2", {"ewc": 100, "lwf": 1, "replay": 0.2}),
        ("mean", "ddp", {"ewc": 100}),
        ("mean", "zero2", {"lwf": 10}),
        *(("bert", name, {"ewc": 1000, "lwf": 1, "replay": 0.2}) for name in ("ddp", "zero1", "zero2", "zero3")),
        *(("mean", name, {"ewc": 100}) for name in ("fsdp2", "zero1", "zero3")),
    ],
)
def test_the_curve_is_the_same_on_two_ranks(warm, fresh, model, strategy, how):
    alone = gone_on(warm, model, fresh, Placement(1, "single"), **how)
    both = gone_on(warm, model, fresh, Placement(2, strategy), **how)
    assert len(alone.losses) == len(both.losses) == STEPS
    assert max(abs(a - b) for a, b in zip(alone.losses, both.losses, strict=True)) < 1e-5
    after = [run.outcome["onward"]["test"]["after"]["loss"] for run in (alone, both)]
    assert after[0] == pytest.approx(after[1], abs=1e-5)
    plain = gone_on(warm, model, fresh, Placement(1, "single"))
    assert plain.outcome["onward"]["test"]["after"]["loss"] > after[0] + 1e-4  # it forgets more
    assert plain.losses != alone.losses


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([2.0, 3.0]))


def test_the_penalty_is_half_the_weight_times_what_was_moved_by_its_fisher_information():
    class Nothing(MethodWork):
        apply = save = load_saved = None

    Nothing.__abstractmethods__ = frozenset()
    method, model = remembering(Nothing(), 10.0), Line()
    method.before = {"weight": torch.tensor([1.0, 1.0])}
    method.fisher = {"weight": torch.tensor([0.5, 2.0])}
    assert isinstance(method, Consolidated) and method.lives
    value = method.penalty(model)
    assert value.item() == pytest.approx(5 * (0.5 * 1 + 2 * 4))
    value.backward()
    assert model.weight.grad.tolist() == pytest.approx([10 * 0.5 * 1, 10 * 2 * 2])
    assert type(remembering(Nothing(), 0.0)) is Nothing


def test_each_field_says_what_it_lacks(warm, fresh):
    before = warm.finished("mean", "Full", **USUAL)
    recipe = warm.recipe("mean", "Full", **USUAL)

    def refused(**training):
        sets = {f"training.{name}": str(value) for name, value in training.items()}
        with pytest.raises(LauncherError) as told:
            gates(Request(recipe, sets, Placement(1, "single")))
        return str(told.value)

    told = refused(replay=0.1, ewc=1, lwf=1)
    assert told.count("is about the run that this one begins with, and there is none") == 3
    assert "there is no run 'gone'" in refused(from_run="gone")
    run = str(before.folder.path)
    assert "has the same rows as before" in refused(from_run=run, with_optimiser="true", replay=0.1)
    assert "has not been built for training.r_drop" in refused(from_run=run, lwf=1, r_drop=1)
    assert Training().replay == Training().ewc == Training().lwf == 0
