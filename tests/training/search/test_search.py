"""The tasks that compare texts, by hand: losses, what is no negative, batches."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from compared import ROWS, made, unit

from launcher import Reranker, TextEmbedding
from launcher.errors import DataError
from launcher.recipe.task import metrics_of
from launcher.training.batches.order import MicroBatch
from launcher.training.batches.rows import Draw, Step
from launcher.training.data import Row
from launcher.training.distributed.world import World
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.steps.whole_batch import WholeBatch
from launcher.training.tasks import embedding_losses
from launcher.training.tasks.base import Kept
from launcher.training.tasks.collate import Batches

KINDS = ("", "further_")
"""Before the names of what is computed of queries, and of passages."""


def test_a_batch_has_the_first_inputs_of_all_rows_and_then_the_others():
    work, split = made(TextEmbedding(query_prefix="word50 ", passage_prefix="word51 "))
    rows = np.array([2, 0, 1])
    batch = work.collate(split, rows, None)
    queries, passages = ([work.tokenizer.decode(ids[ids > 0]) for ids in batch[which + "input_ids"]] for which in KINDS)
    assert len(queries) == 2 and len(passages) == 5, "what stands there twice is computed once"
    names = [queries[number] for number in batch["shared"]] + [passages[number] for number in batch["further_shared"]]
    assert names[:3] == [f"[CLS] word50 {text} [SEP]" for text in ("word1 word2", "word1 word2", "word7")]
    assert names[3:6] == [f"[CLS] word51 {text} [SEP]" for text in ("word10", "word3 word4 word5", "word8 word9")]
    assert names[6:] == [f"[CLS] word51 {t} [SEP]" for t in ("word11 word12 word13", "word6", "word3 word4 word5")]
    assert batch["of"].tolist() == [0, 1, 2, 0, 1, 0]
    assert batch["queries"][0] == batch["queries"][1] != batch["queries"][2]
    assert batch["passages"][1] == batch["passages"][5]
    assert split.cost.tolist() == [15, 9, 21, 9, 8]
    of, lengths = split.lengths_of_inputs
    assert of == "text" and lengths[:5].tolist() == [5, 6, 4, 4, 5], "each text is cut by itself: so is it drawn"
    assert [batch[which + "input_ids"].shape for which in KINDS] == [(2, 5), (5, 6)], "and each as wide as its kind"
    for which in KINDS:
        assert (batch[which + "attention_mask"].sum(1) == (batch[which + "input_ids"] > 0).sum(1)).all()
    assert work.outputs_among(split, rows, np.array([0, 1])).tolist() == [1, 2, 4, 5, 7]
    assert work.outputs_among(split, rows, rows).tolist() == list(range(9))


def by_hand(work, split, rows, vectors, temperature):
    """The loss as it is defined, one query after another."""
    texts = [[row.text, *row.labels] for row in (ROWS[number] for number in rows)]
    batch_row, number = work.order(split, rows)
    entries = [(int(r), int(n), texts[r][n].strip(), v) for r, n, v in zip(batch_row, number, vectors, strict=True)]
    total = 0.0
    for own, text in enumerate(texts):
        query = next(v for r, n, _, v in entries if (r, n) == (own, 0))
        sums, right = 0.0, None
        for r, n, passage, vector in entries:
            if n == 0:
                continue
            cosine = float(query @ vector) / temperature
            if (r, n) == (own, 1):
                right = cosine
            elif passage in (text[0], text[1].strip()) or (n == 1 and texts[r][0] == text[0]):
                continue
            sums += math.exp(cosine)
        total += math.log(sums) - right
    return total


@pytest.mark.parametrize("largest", [2**24, 20])
def test_the_loss_leaves_out_what_is_no_negative(monkeypatch, largest):
    """The same text as the query's passage, the query itself, the passage of another row with the same query."""
    monkeypatch.setattr(embedding_losses, "LARGEST", largest)
    work, split = made(TextEmbedding(temperature=0.2))
    rows = np.array([3, 0, 2, 4, 1])
    wanted = {name: torch.from_numpy(values) for name, values in work.wanted_of(split, rows).items()}
    vectors = unit(13, 6).requires_grad_()
    loss = work.loss({"embeddings": vectors}, wanted)["loss"]
    assert loss.item() == pytest.approx(by_hand(work, split, rows, vectors.detach(), 0.2), abs=1e-4)
    plain = torch.nn.functional.cross_entropy(
        vectors[:5] @ vectors[5:].T / 0.2, torch.arange(5), reduction="sum"
    )  # what it would be with the false negatives
    assert abs(plain.item() - loss.item()) > 0.02
    loss.backward()
    assert vectors.grad.abs().sum() > 0


def test_matryoshka_is_the_mean_over_the_sizes():
    work, split = made(TextEmbedding(sizes=(2, 4)))
    rows = np.arange(5)
    wanted = {name: torch.from_numpy(values) for name, values in work.wanted_of(split, rows).items()}
    vectors = unit(13, 6)
    each = []
    for size in (2, 4, 6):
        alone, _ = made(TextEmbedding())
        each.append(
            float(alone.loss({"embeddings": torch.nn.functional.normalize(vectors[:, :size], dim=-1)}, wanted)["loss"])
        )
    assert float(work.loss({"embeddings": vectors}, wanted)["loss"]) == pytest.approx(np.mean(each), rel=1e-5)
    assert max(each) - min(each) > 1


def test_scored_pairs():
    rows = [Row("word1", label, f"a row {n}", "word2") for n, label in enumerate(("0.5", "1", "0", "0.5"), 1)]
    vectors, gold = unit(8, 5), [0.5, 1.0, 0.0, 0.5]
    cosines = (vectors[:4] * vectors[4:]).sum(-1).tolist()
    for loss in ("cosine", "cosent"):
        work, split = made(TextEmbedding(loss=loss, temperature=0.1), rows)
        wanted = {name: torch.from_numpy(values) for name, values in work.wanted_of(split, np.arange(4)).items()}
        if loss == "cosine":
            expected = sum((one - right) ** 2 for one, right in zip(cosines, gold, strict=True))
        else:
            pairs = [
                (cosines[j] - cosines[i]) / 0.1 for i, j in itertools.product(range(4), repeat=2) if gold[i] > gold[j]
            ]
            expected = 4 * math.log(1 + sum(map(math.exp, pairs)))
        assert float(work.loss({"embeddings": vectors}, wanted)["loss"]) == pytest.approx(expected, rel=1e-5)
        kept = Kept(work.keep({"embeddings": vectors}, wanted))
        scores = work.score(split, kept)
        assert scores["loss"] == pytest.approx(expected / 4, rel=1e-5) and -1 <= scores["spearman"] <= 1
        assert work.couples == (loss == "cosent") and next(iter(metrics_of(TextEmbedding(loss=loss)))) == "spearman"
    with pytest.raises(DataError, match=r"a cosine is from -1 to 1, and the numbers are from .* to 5.*\n.*a row 1, 2"):
        made(TextEmbedding(loss="cosine"), [Row("a", "5", "a row 1", "b"), Row("c", "5", "a row 2", "d")])


class Toy(torch.nn.Module):
    """Vectors of texts from a table, with dropout."""

    def __init__(self, tokens):
        super().__init__()
        self.table = torch.nn.Embedding(tokens, 8)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, inputs):
        return outputs_of(self._vectors, inputs, ("embeddings",))

    def _vectors(self, input_ids, attention_mask=None):
        states = self.dropout(self.table(input_ids)).sum(1)
        return SimpleNamespace(embeddings=torch.nn.functional.normalize(states, dim=-1))


@pytest.mark.parametrize("parts", [1, 3])
def test_cached_gradients_are_those_of_the_whole_with_the_same_dropout(parts):
    """Each part twice: the second time the same neurons are dropped, and the generator goes on as after the first."""
    work, split = made(TextEmbedding(temperature=0.3))
    torch.manual_seed(0)
    model, rows, device = Toy(len(work.tokenizer)), np.arange(5), torch.device("cpu")
    cut = [MicroBatch(rows[number::parts]) for number in range(parts)]
    batches, step = Batches(work, device), Step(split, Draw(0, 0), cut, {"loss": 5}, 5, rows)
    shape, total = WholeBatch(World(0, 0, 1, device)), 0.0
    torch.manual_seed(1)
    shape.begin(work, model, step, lambda part: batches(split, part.rows))
    for part in cut:
        loss = shape.losses(work, model, batches(split, part.rows))["loss"]
        loss.backward()
        total += float(loss)
    cached, after = model.table.weight.grad.clone(), torch.get_rng_state()
    model.zero_grad()
    torch.manual_seed(1)
    outputs = [model(batches(split, part.rows).inputs)["embeddings"] for part in cut]
    places = np.concatenate([work.outputs_among(split, rows, part.rows) for part in cut])
    whole = torch.cat(outputs)[np.argsort(places)]
    wanted = {name: torch.from_numpy(values) for name, values in work.wanted_of(split, rows).items()}
    direct = work.loss({"embeddings": whole}, wanted)["loss"]
    direct.backward()
    assert total == pytest.approx(float(direct.detach()), rel=1e-5) and cached.abs().max() > 0.01
    assert torch.allclose(cached, model.table.weight.grad, atol=1e-5)
    assert torch.equal(after, torch.get_rng_state())


def test_a_reranker_learns_from_the_passages_of_a_row():
    rows = [Row("word1", ("word2", "word3", "word4"), ""), Row("word5", ("word6", "word7"), "")]
    scores = torch.tensor([0.5, 2.0, 1.0, 3.0, -1.0])  # right ones first, then the others
    for loss in ("listwise", "binary"):
        work, split = made(Reranker(loss=loss), rows)
        batch = work.collate(split, np.arange(2), None)
        names = [work.tokenizer.decode(ids[ids > 0]) for ids in batch["input_ids"]]
        assert names[0] == "[CLS] word1 [SEP] word2 [SEP]" and names[2] == "[CLS] word1 [SEP] word3 [SEP]"
        assert batch["of"].tolist() == [0, 1, 0, 1, 0] and batch["token_type_ids"][0].tolist() == [0, 0, 0, 1, 1]
        assert split.targets["loss"].tolist() == ([1, 1] if loss == "listwise" else [3, 2])
        wanted = {name: torch.from_numpy(batch[name]) for name in work.wanted}
        logits = scores[:, None].clone().requires_grad_()
        found = work.loss({"logits": logits}, wanted)["loss"]
        if loss == "listwise":
            lists = (torch.tensor([0.5, 1.0, -1.0]), torch.tensor([2.0, 3.0]))
            expected = -sum(torch.log_softmax(one, 0)[0] for one in lists)
        else:
            right = torch.tensor([1.0, 1, 0, 0, 0])
            expected = torch.nn.functional.binary_cross_entropy_with_logits(scores, right, reduction="sum")
        assert float(found) == pytest.approx(float(expected), rel=1e-6)
        found.backward()
        assert torch.isfinite(logits.grad).all()
        told = work.score(split, Kept(work.keep({"logits": logits.detach()}, wanted)))
        assert told["accuracy"] == 0.0 and told["mrr_at_10"] == 0.5
        (view,) = work.views(split, Kept(work.keep({"logits": logits.detach()}, wanted)))
        assert [(bar.name, bar.mean, bar.support) for bar in view.bars] == [("1", 0.0, 2), ("2", 1.0, 2)]
