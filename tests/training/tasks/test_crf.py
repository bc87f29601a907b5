"""Tagging with a CRF: sums over all paths and the best of them by brute force, one curve everywhere, paths that BIO
allows, what is shown and read back.
"""

import itertools
import json

import numpy as np
import pytest
import torch
from at_work import predicted, ragged, split_of, work_of
from safetensors.numpy import load_file

from launcher import TokenClassification
from launcher.api import predict
from launcher.recipe.recipe import digest, load
from launcher.training.model_parts.crf import Chain, best_path, bio_steps, log_marginals, negative_log_likelihood
from launcher.training.report.result_figures import transitions_figure
from launcher.training.sources.crf_head import CRFHead

STEPS = 12
USUAL = {"max_steps": STEPS, "checkpoint_every": 6, "keep_checkpoints": 9, "evaluate_every": STEPS}
TAGS = ("O", "B-X", "I-X", "B-Y", "I-Y")
MASK = torch.tensor([[1, 1, 1, 1], [0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
"""A whole row, first pieces with others between them, a padded row, and one without any."""


def drawn(rows=4, width=4, seed=3):
    torch.manual_seed(seed)
    size = len(TAGS)
    return torch.randn(rows, width, size), Chain(torch.randn(size, size), torch.randn(size), torch.randn(size))


def paths(logits, mask, chain):
    """Every path of one row with its score, by the definition."""
    places = [index for index in range(len(mask)) if mask[index]]
    for path in itertools.product(range(logits.shape[-1]), repeat=len(places)):
        score = chain.start[path[0]] + chain.end[path[-1]]
        score = score + sum(logits[place, tag] for place, tag in zip(places, path, strict=True))
        yield places, path, float(score + sum(chain.transitions[a, b] for a, b in itertools.pairwise(path)))


def test_likelihood_and_marginals_are_those_of_all_paths():
    logits, chain = drawn()
    tags = torch.randint(0, 5, (4, 4))
    told = [float(negative_log_likelihood(*(v[n : n + 1] for v in (logits, tags, MASK)), chain)) for n in range(4)]
    marginals = log_marginals(logits, MASK, chain).exp()
    for row in range(3):
        scored = list(paths(logits[row], MASK[row], chain))
        scores = np.array([score for _, _, score in scored])
        shares = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        gold = [path for _, path, _ in scored].index(tuple(tags[row][MASK[row]].tolist()))
        assert told[row] == pytest.approx(-np.log(shares[gold]), rel=1e-5)
        for number, place in enumerate(scored[0][0]):
            by_hand = np.zeros(5)
            np.add.at(by_hand, [path[number] for _, path, _ in scored], shares)
            assert marginals[row, place].tolist() == pytest.approx(by_hand, abs=1e-5)
    assert told[3] == 0.0
    assert float(negative_log_likelihood(logits, tags, MASK, chain)) == pytest.approx(sum(told), rel=1e-5)


@pytest.mark.parametrize("bio", [False, True])
def test_the_best_path_is_the_best_of_all(bio):
    for seed in range(5):
        logits, chain = drawn(seed=seed)
        used = chain.only(bio_steps(TAGS, torch.device("cpu"))) if bio else chain
        found = best_path(logits, MASK, used)
        for row in range(3):
            allowed = [one for one in paths(logits[row], MASK[row], chain) if not bio or is_bio(one[1])]
            best = max(allowed, key=lambda one: one[2])
            assert tuple(found[row][MASK[row]].tolist()) == best[1]


def is_bio(path):
    tags = ["O", *(TAGS[number] for number in path)]
    return all(tag[0] != "I" or before[1:] == tag[1:] for before, tag in itertools.pairwise(tags))


def test_without_transitions_it_is_cross_entropy():
    logits, _ = drawn()
    tags = torch.randint(0, 5, (4, 4)).masked_fill(~MASK, -100)
    none = {"transitions": torch.zeros(4, 5, 5), "start": torch.zeros(4, 5), "end": torch.zeros(4, 5)}
    plain, crf = (work_of(TokenClassification(crf=crf), TAGS) for crf in (False, True))
    given, wanted = {"logits": logits, **none}, {"labels": tags}
    assert float(crf.loss(given, wanted)["loss"]) == pytest.approx(float(plain.loss(given, wanted)["loss"]), rel=1e-5)
    other = {**given, "logits": logits + torch.randn_like(logits)}
    expected = float(plain.divergence(given, other, wanted))
    assert float(crf.divergence(given, other, wanted)) == pytest.approx(expected, rel=1e-4)


def test_what_is_told_is_the_path_and_its_tags_probabilities():
    """By itself each token would be I-X; no path may begin so."""
    work = work_of(TokenClassification(crf=True, tokens="whitespace"), TAGS)
    logits = torch.tensor([[[0.0, 2, 3, 0, 0], [0, 0, 3, 0, 0]]])
    nothing = {"transitions": torch.zeros(1, 5, 5), "start": torch.zeros(1, 5), "end": torch.zeros(1, 5)}
    wanted = {"labels": torch.tensor([[0, 0]])}
    kept, detail = (ask({"logits": logits, **nothing}, wanted) for ask in (work.keep, work.detail))
    assert kept["predicted"].values.tolist() == [1, 2]
    shares = detail["probabilities"].values
    assert shares.sum(axis=1) == pytest.approx([1, 1], abs=1e-5) and shares[0, 2] == 0.0
    split = split_of([[5, 6]], targets=2, labels=[[0, 0]], gold=[[0, 0]], seen=[[1, 1]])
    told = work.tell("one two", split, np.array([0]), predicted(kept["predicted"], **detail))
    (entity,) = told["entities"]
    assert (entity["entity"], entity["text"]) == ("X", "one two")
    assert entity["probability"] == pytest.approx(min(shares[0, 1], shares[1, 2]))
    assert ragged([[1, 2]]).values.tolist() == kept["predicted"].values.tolist()


@pytest.mark.parametrize(
    ("model", "method", "strategy"),
    [("paths", "Full", "ddp"), ("paths", "Full", "fsdp2"), ("paths_bert", "LoRA", "zero3"), ("paths", "LoRA", "zero2")],
)
def test_one_curve_under_every_strategy(warm, model, method, strategy):
    alone = warm.finished(model, method, "single", 1, **USUAL)
    both = warm.finished(model, method, strategy, 2, micro_batch_size=3, **USUAL)
    assert len(alone.losses) == len(both.losses) == STEPS and max(alone.losses) - min(alone.losses) > 0.02
    assert max(abs(a - b) for a, b in zip(alone.losses, both.losses, strict=True)) < 1e-5
    assert both.norms == pytest.approx(alone.norms, rel=1e-3, abs=1e-6)
    # the head trains under every method, and is saved and read back with what trains
    files = (both.folder.path / "model").glob("*.safetensors")
    tensors = [each for path in files for each in load_file(path).items()]
    moved = [values for name, values in tensors if name.endswith(("transitions", "start", "end"))]
    assert len(moved) == 3 and all(np.abs(values).max() > 1e-3 for values in moved)
    assert both.outcome["proof"]["largest_logit_difference"] == 0.0


def test_a_run_with_it_learns_and_shows_its_transitions(warm):
    run = warm.finished("paths", "Full", "ddp", 2, max_steps=50, evaluate_every=50)
    assert run.outcome["metrics"]["test"]["entity_f1"] > 0.6 > 0.3 > run.outcome["metrics"]["before"]["entity_f1"]
    assert (run.folder.figures / "test-transitions.png").stat().st_size > 5000
    assert "not drawn" not in json.dumps(run.outcome)
    answers = predict(run.folder.path, [f"word{n} word{n + 1}" for n in range(0, 50, 10)])
    right = [[(one["entity"], one["text"]) for one in answer["entities"]] for answer in answers]
    assert sum(one == [("TEN", f"word{10 * n}")] for n, one in enumerate(right)) >= 3


def test_a_head_s_transitions_are_shown_from_row_to_column():
    head = CRFHead(type("Config", (), {"num_labels": 2})())
    with torch.no_grad():
        head.transitions.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        head.start.copy_(torch.tensor([5.0, 6.0]))
        head.end.copy_(torch.tensor([7.0, 8.0]))
    rows, columns, values = head.shown(["O", "B-X"])
    assert rows == ["(start)", "O", "B-X"] and columns == ["O", "B-X", "(end)"]
    assert np.array_equal(values, [[5, 6, np.nan], [1, 2, 7], [3, 4, 8]], equal_nan=True)
    figure = transitions_figure(rows, columns, values)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == rows
    assert np.array_equal(axes.images[0].get_array().filled(np.nan), values, equal_nan=True)
    assert axes.images[0].get_clim() == (-8.0, 8.0)
    many = [f"B-{n}" for n in range(200)]
    assert "of 200" in transitions_figure(many, many, np.zeros((200, 200))).axes[0].get_title(loc="left")


def test_without_it_a_recipe_has_the_digest_that_it_had(warm):
    plain = load(warm.recipe("ner", "Full"))
    assert digest(plain.recipe) != digest(load(warm.recipe("ner", "Full"), {"task.crf": "true"}).recipe)
