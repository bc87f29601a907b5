"""FGM: each row moved by its own gradient, the mean of both losses, and one curve on any layout."""

from types import SimpleNamespace

import pytest
import torch
import transformers
from at_work import work_of
from families import FAMILIES
from torch import nn

from launcher import Full, LoRA, TextClassification
from launcher.errors import WorkerError
from launcher.plan.memory import Setting, predict
from launcher.plan.model_facts import facts_from
from launcher.recipe.recipe import load
from launcher.recipe.training import Training
from launcher.training.memory.facts import model_facts
from launcher.training.methods import method_work
from launcher.training.prepare import prepare
from launcher.training.steps import shape_of
from launcher.training.steps.fgm import embeddings
from launcher.training.tasks.collate import Batch

STEPS = 12
USUAL = {"max_steps": STEPS, "checkpoint_every": 6, "keep_checkpoints": 9, "evaluate_every": STEPS}


class Small(nn.Module):
    """Embeds, averages what is no padding, and decides by something that bends."""

    def __init__(self, frozen=False):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(7, 4, padding_idx=0)
        self.table.weight.requires_grad_(not frozen)
        self.head = nn.Linear(4, 2)
        self.seen = []

    def get_input_embeddings(self):
        return self.table

    def forward(self, input_ids, attention_mask):
        vectors = self.table(input_ids)
        self.seen.append(vectors.detach())
        return self.after(vectors, attention_mask)

    def after(self, vectors, mask):
        weights = mask.unsqueeze(-1) / mask.sum(1)[:, None, None]
        leak = 0.01 * vectors.sum((1, 2))[:, None]  # so that what is padded has a gradient, too
        return self.head(torch.tanh((vectors * weights).sum(1)) + leak)


IDS = torch.tensor([[1, 2, 3], [4, 5, 0], [6, 1, 2]])
MASK = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 1, 1]])
LABELS = torch.tensor([0, 1, 1])


def two_turns(model, rows=slice(None), epsilon=0.7, **training):
    """Losses of both turns, divided among three targets, with their gradients summed."""
    shape = shape_of(Training(fgm=epsilon, **training), model)
    batch = Batch({"input_ids": IDS[rows], "attention_mask": MASK[rows]}, {"labels": LABELS[rows]})
    work, losses = work_of(TextClassification()), []
    for turn in range(shape.turns):
        (loss,) = shape.losses(work, lambda inputs: {"logits": model(**inputs)}, batch, turn).values()
        (loss / 3).backward()
        losses.append(float(loss.detach()))
    return losses


def test_each_row_moves_by_epsilon_along_its_own_gradient():
    model = Small()
    clean, adversarial = two_turns(model)
    before, moved = model.seen
    # by hand, from the definition
    vectors = model.table(IDS).detach().requires_grad_()
    loss = nn.functional.cross_entropy(model.after(vectors, MASK), LABELS, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, vectors)
    assert gradient[1, 2].abs().max() > 0, "the padding's gradient must be something, or nothing is shown"
    gradient = gradient * MASK.unsqueeze(-1)
    moves = 0.7 * gradient / gradient.flatten(1).norm(dim=1)[:, None, None]
    assert torch.allclose(moved - before, moves, atol=1e-6)
    assert torch.equal(moved[1, 2], before[1, 2])
    assert (moved - before).flatten(1).norm(dim=1).tolist() == pytest.approx([0.7] * 3, rel=1e-5)
    other = nn.functional.cross_entropy(model.after(vectors + moves, MASK), LABELS, reduction="sum")
    assert (clean, adversarial) == pytest.approx((float(loss.detach()) / 2, float(other.detach()) / 2), rel=1e-5)
    assert adversarial > clean
    # the gradient is that of the mean of both losses, through the table as well
    again = Small()
    vectors = again.table(IDS)
    losses = [
        nn.functional.cross_entropy(again.after(v, MASK), LABELS, reduction="sum") for v in (vectors, vectors + moves)
    ]
    (sum(losses) / 2 / 3).backward()
    for one, two in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.allclose(one.grad, two.grad, atol=1e-6) and one.grad.abs().max() > 0


def test_a_move_depends_on_its_row_alone_and_needs_no_table_that_trains():
    whole, alone, frozen = Small(), Small(), Small(frozen=True)
    two_turns(whole)
    two_turns(alone, slice(1, 2))
    two_turns(frozen)
    assert torch.allclose(whole.seen[1][1], alone.seen[1][0], atol=1e-6)
    assert torch.allclose(whole.seen[1], frozen.seen[1], atol=1e-6)
    assert frozen.table.weight.grad is None


def test_under_r_drop_both_answers_are_moved():
    model = Small()
    two_turns(model, r_drop=1.0)
    before, moved = model.seen
    assert len(moved) == 6 and torch.allclose(moved[:3], moved[3:], atol=1e-6)
    assert (moved - before).flatten(1).norm(dim=1).tolist() == pytest.approx([0.7] * 6, rel=1e-5)


@pytest.mark.parametrize(("family", "method"), [("XLNet", Full()), ("CTRL", LoRA())])
def test_families_that_turn_or_scale_what_they_embed(family, method):
    """XLNet embeds [tokens, rows]; CTRL multiplies in place what a frozen table gives."""
    name, settings, _ = FAMILIES[family]
    config = getattr(transformers, name + "Config")(vocab_size=30, **{**settings, "pad_token_id": 0}, dropout=0.0)
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    model = method_work(method).apply(model, [n for n, _ in model.named_children() if n != "transformer"])
    seen, ids = [], torch.arange(6, 30).view(4, 6)[:3]
    scale = 1 if family == "XLNet" else 4  # the square root of its width
    for rows in (slice(0, 3), slice(1, 2)):
        shape = shape_of(Training(fgm=0.7), model)
        (layer,) = embeddings(model)
        layer.register_forward_hook(lambda _, given, output: seen.append(output.detach()))
        batch = Batch({"input_ids": ids[rows], "attention_mask": torch.ones_like(ids[rows])}, {"labels": LABELS[rows]})
        for turn in range(2):
            losses = shape.losses(work_of(TextClassification()), lambda x: {"logits": model(**x).logits}, batch, turn)
            losses["loss"].backward()
        layer._forward_hooks.clear()
    rows_first = [one.transpose(0, 1) if family == "XLNet" else one for one in seen]
    moves, alone = (rows_first[n + 1] - rows_first[n] for n in (0, 2))
    assert moves.flatten(1).norm(dim=1).tolist() == pytest.approx([0.7 * scale] * 3, rel=1e-5)
    assert torch.allclose(moves[1], alone[0], atol=1e-5)


def test_a_model_whose_input_cannot_be_moved_is_refused():
    with pytest.raises(WorkerError, match="SimpleNamespace names no input embedding layer"):
        shape_of(Training(fgm=1.0), SimpleNamespace(get_input_embeddings=lambda: None))

    class Idle(Small):
        def forward(self, input_ids, attention_mask):
            return self.after(nn.functional.embedding(input_ids, self.table.weight), attention_mask)

    with pytest.raises(WorkerError, match="does not call its input embedding layer"):
        two_turns(Idle())

    class Turned(Small):
        def forward(self, input_ids, attention_mask):
            return self.after(self.table(input_ids.T).transpose(0, 1), attention_mask)

    with pytest.raises(WorkerError, match=r"embeds 2 rows as a tensor \[3, 2, 4\]"):
        two_turns(Turned(), slice(0, 2))


@pytest.mark.parametrize("model", ["mean", "ner"])
def test_one_curve_on_one_process_and_two_in_uneven_parts(warm, model):
    plain = warm.finished(model, "Full", "single", 1, **USUAL)
    alone = warm.finished(model, "Full", "single", 1, fgm=0.5, **USUAL)
    both = warm.finished(model, "Full", "ddp", 2, fgm=0.5, micro_batch_size=3, **USUAL)
    assert len(alone.losses) == len(both.losses) == STEPS
    assert max(abs(a - b) for a, b in zip(alone.losses, both.losses, strict=True)) < 1e-5
    assert both.norms == pytest.approx(alone.norms, rel=1e-3, abs=1e-6)
    assert alone.losses[0] > plain.losses[0] + 1e-3, "the adversarial loss is the larger one"


@pytest.mark.parametrize(("strategy", "method"), [("ddp", "Full"), ("fsdp2", "Full"), ("zero3", "LoRA")])
def test_under_sharding_too(warm, strategy, method):
    alone = warm.finished("bert", method, "single", 1, fgm=0.5, **USUAL)
    both = warm.finished("bert", method, strategy, 2, fgm=0.5, micro_batch_size=3, **USUAL)
    assert len(alone.losses) == len(both.losses) == STEPS
    assert max(abs(a - b) for a, b in zip(alone.losses, both.losses, strict=True)) < 1e-5


def test_without_dropout_r_drop_adds_nothing_to_it(warm):
    alone = warm.finished("bert", "LoRA", "single", 1, fgm=0.5, **USUAL)
    with_it = warm.finished("bert", "LoRA", "single", 1, fgm=0.5, r_drop=1.0, **USUAL)
    assert max(abs(a - b) for a, b in zip(alone.losses, with_it.losses, strict=True)) < 1e-5


def test_a_resumed_run_goes_on_bit_by_bit(warm):
    whole = warm.finished("bert", "Full", "ddp", 2, dropout=0.3, fgm=0.5, **USUAL)
    resumed = warm.resume(whole, 6, "ddp", 2)
    assert set(resumed.status.values()) == {0}, resumed.failures()
    later = {step: loss.hex() for step, loss in whole.steps.items() if step > 6}
    assert {step: loss.hex() for step, loss in resumed.steps.items() if step > 6} == later and len(later) == 6


def test_the_plan_counts_what_it_holds(warm):
    """Under HeadOnly the body keeps nothing for a backward pass, unless its input wants a gradient."""
    activations = {}
    for method in ("HeadOnly()", "Full"):
        for more in ({}, {"fgm": 0.5}):
            loaded = load(warm.recipe("bert", method, **more))
            facts = facts_from(model_facts(loaded.recipe, prepare(loaded.recipe)))
            activations[method, bool(more)] = predict(facts, Setting("single", 1, 16, 1, facts.longest)).activations
    vectors = 16 * facts.longest * 32 * 4  # rows, tokens, width, bytes
    assert activations["HeadOnly()", True] > 2 * activations["HeadOnly()", False]
    assert vectors <= activations["Full", True] - activations["Full", False] <= 3 * vectors
