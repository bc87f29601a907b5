"""Whole runs of encoder-decoders: one curve and the same texts under every strategy, and a task that is solved."""

import numpy as np
import pytest
import two_stacks

import launcher
from launcher.launch.request import Request
from launcher.plan.placement import Placement

RECIPE = """from launcher import *

recipe = Recipe(
    task={task},
    data=Table(train={data!r}, validation_size=16, test_size=16),
    embedding={embedding},
    peft={method},
    training=Training(dropout=0, log_every=1, {training}),
)
"""
SHORT = "max_steps=5, batch_size=8, learning_rate=1e-3"
TASK = "Translation(generation=Generation(max_new_tokens=7{more}))"


@pytest.fixture(scope="module")
def runs(warm, tmp_path_factory):
    """A run of these sets, made once."""
    folder = tmp_path_factory.mktemp("two-stacks")
    data, made = two_stacks.write_reversed(folder, 72, 1), {}

    def of(kind, strategy="single", processes=1, method="Full()", more=""):
        key = (kind, strategy, processes, method, more)
        if not (folder / kind).exists():
            two_stacks.make(kind, folder / kind)
        if key not in made:
            embedding, task = f"Pretrained(model={str(folder / kind)!r})", TASK.format(more=more)
            path = folder / f"recipe{len(made)}.py"
            path.write_text(RECIPE.format(task=task, data=data, embedding=embedding, method=method, training=SHORT))
            run = Request(path, {}, Placement(processes, strategy), f"two{len(made)}", folder / "runs")
            made[key] = warm.carry_out(run)
            assert set(made[key].status.values()) == {0}, made[key].failures()
        return made[key]

    return of


CASES = [("bart", "ddp", "Full()"), ("bart", "fsdp2", "Full()"), ("t5", "fsdp2", "Full()"), ("t5", "zero3", "Full()")]


@pytest.mark.parametrize(("kind", "strategy", "method"), CASES)
def test_one_curve_and_the_same_texts_under_every_strategy(runs, kind, strategy, method):
    alone, both = runs(kind, method=method), runs(kind, strategy, 2, method)
    assert np.abs(np.array(alone.losses) - both.losses).max() < 1e-5 and len(set(alone.losses)) == 5
    one, other = (run.outcome["metrics"]["test"] for run in (alone, both))
    for name in ("loss", "token_accuracy"):
        assert one[name] == pytest.approx(other[name], abs=1e-5)
    assert [one["bleu"], one["chrf"], one["texts"]] == [other["bleu"], other["chrf"], other["texts"]]
    assert both.outcome["proof"]["largest_logit_difference"] <= 1e-5


def test_a_saved_model_writes_what_was_scored(runs):
    run = runs("bart")
    shown = run.outcome["metrics"]["test"]["texts"]
    answers = launcher.predict(run.folder.path, [one["prompt"] for one in shown])
    assert [answer["text"] for answer in answers] == [one["text"] for one in shown]


def test_reversing_is_learnt_exactly(warm, tmp_path):
    """Texts that it has not seen are reversed to the last word."""
    data = two_stacks.write_reversed(tmp_path, 1500, 3, words=8, shortest=4, longest=4)
    sizes = {"d_model": 64, "init_std": 0.1}
    sizes |= {f"{stack}_{n}": v for stack in ("encoder", "decoder") for n, v in (("layers", 1), ("ffn_dim", 128))}
    sizes |= {f"{stack}_attention_heads": 4 for stack in ("encoder", "decoder")}
    model = two_stacks.make("bart", tmp_path / "bart", **sizes)
    training = "max_steps=700, batch_size=32, learning_rate=3e-3, evaluate_every=700"
    names = {"task": TASK.format(more=""), "data": data, "method": "Full()", "training": training}
    path = tmp_path / "recipe.py"
    path.write_text(RECIPE.format(embedding=f"Pretrained(model={model!r})", **names).replace("=16", "=64"))
    sets = {"data.duplicates": "drop"}
    run = warm.carry_out(Request(path, sets, Placement(1, "single"), "reversing", tmp_path / "runs"))
    after, before = (run.outcome["metrics"][when] for when in ("test", "before"))
    assert after["token_accuracy"] == 1.0 and after["chrf"] == 100.0 and after["written"] == 64
    assert before["chrf"] < 50
    assert all(one["text"] == one["reference"] for one in after["texts"])
    assert after["bleu_signature"].startswith("nrefs:1|case:mixed")
