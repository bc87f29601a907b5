"""Every shipped recipe on a small slice, two processes: it learns more than whoever always says the same.

Those of language do so under a sharded strategy, and begin with the losses of one process there and under ddp.

The reviews and the People's Daily are slices of their real data, from the package that carries them. CLUENER, CoNLL,
GLUE, AG News and GloVe are in no package: the sentences of the People's Daily, or sentences of numbered words, take the
form of those files, and a tiny BERT stands for MiniLM.
"""

from pathlib import Path

import numpy as np
import pytest
import slices_of_chinese
import slices_of_images
import slices_of_language
import slices_of_search
import slices_of_words
from safetensors.numpy import load_file
from trivial import beats, trivial

from launcher.launch.request import Request
from launcher.plan.placement import Placement

ROOT = Path(__file__).parents[3]
NAMES = sorted(path.stem for path in (ROOT / "recipes").glob("*.py"))
KINDS = (slices_of_chinese, slices_of_images, slices_of_language, slices_of_search, slices_of_words)
SLICES = {name: slice_of for kind in KINDS for name, slice_of in kind.SLICES.items()}
SHARDED = {
    "causal_zh": "zero3",
    "causal_zh_streamed": "fsdp2",
    "dialogue_7b": "fsdp2",
    "dialogue_en": "zero3",
    "dialogue_zh": "fsdp2",
    "masked_zh": "zero3",
    "titles_zh": "fsdp2",
    "translation_en_de": "zero3",
    "translation_en_zh": "fsdp2",
}
"""What the recipes of language are trained under."""
STEPS = 4
ALIKE = {"training.schedule": "constant", "training.warmup": 0, "training.dropout": 0, "training.log_every": 1}
"""So that a run of a few steps is the beginning of a longer one."""


def test_no_recipe_is_left_out():
    assert sorted(SLICES) == NAMES and len(NAMES) > 12
    assert set(SHARDED) == set(slices_of_language.SLICES)


@pytest.fixture
def trained(warm, tmp_path):
    """`trained(name, sets, strategy, processes)`: the run of a recipe, which must have finished."""

    def train(name, sets, strategy, processes):
        said = {key: str(value) for key, value in sets.items()}
        placement = Placement(processes, strategy)
        run = warm.carry_out(Request(ROOT / f"recipes/{name}.py", said, placement, strategy, tmp_path / "runs"))
        assert run.status == dict.fromkeys(range(processes), 0), run.failures()
        assert run.outcome["world_size"] == processes
        return run

    return train


def assert_it_learnt(run):
    """More than whoever always says the same, and only by training."""
    before, after = (run.outcome["metrics"][when] for when in ("before", "test"))
    bar = trivial(load_file(f"{run.plan['prepared']}/test.safetensors"), after)
    assert after["examples"] >= 150
    assert beats(after, bar), (bar, after)
    assert not beats(before, bar), (bar, before)


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(SHARDED)))
def test_a_recipe_beats_the_trivial_predictor(warm, trained, tmp_path, name):
    assert_it_learnt(trained(name, SLICES[name](tmp_path, warm.bert), "ddp", 2))


@pytest.mark.parametrize("name", SHARDED)
def test_a_recipe_of_language_does_so_sharded_too_with_the_losses_of_one_process(warm, trained, tmp_path, name):
    sets = {**SLICES[name](tmp_path, warm.bert), **ALIKE}
    alone = trained(name, {**sets, "training.max_steps": STEPS}, "single", 1).losses
    assert len(set(alone)) == len(alone) == STEPS
    together = trained(name, {**sets, "training.max_steps": STEPS}, "ddp", 2).losses
    sharded = trained(name, sets, SHARDED[name], 2)
    assert_it_learnt(sharded)
    for strategy, losses in {"ddp": together, SHARDED[name]: sharded.losses[:STEPS]}.items():
        assert np.abs(np.array(losses) - alone).max() < 1e-5, strategy
