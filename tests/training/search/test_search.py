"""The tasks that compare texts, by hand: losses, what is no negative, batches, metrics, rows."""

from __future__ import annotations

import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from at_work import ragged, work_of
from speaking import word_level

from launcher import Pairs, Pretrained, Reranker, Table, TextEmbedding
from launcher.errors import DataError
from launcher.recipe.task import metrics_of
from launcher.training.batches.order import MicroBatch
from launcher.training.batches.rows import Draw, Step
from launcher.training.data import Row, read_corpus, read_rows
from launcher.training.distributed.world import World
from launcher.training.model_parts.outputs import outputs_of
from launcher.training.sources.embedding_head import EmbeddingHead, settled_pooling
from launcher.training.sources.embedding_sizes import too_large
from launcher.training.steps.whole_batch import WholeBatch
from launcher.training.tasks import embedding_losses, search_scores
from launcher.training.tasks.base import Kept
from launcher.training.tasks.collate import Batches

ROWS = [
    Row("word1 word2", ("word3 word4 word5", "word6"), "a row 1"),
    Row("word7", ("word8 word9",), "a row 2"),
    Row("word1 word2", ("word10", "word11 word12 word13", "word3 word4 word5"), "a row 3"),  # the query of the first
    Row("word14", ("word8  word9 ",), "a row 4"),
    Row("word6", ("word15",), "a row 5"),  # the query is a negative of the first
]
KINDS = ("", "further_")
"""Before the names of what is computed of queries, and of passages."""


def unit(rows, width, seed=0):
    values = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(values, dim=-1)


def made(task, rows=ROWS):
    work = work_of(task, labels=("label",), tokenizer=word_level("bert"), max_length=16)
    return work, work.encode(rows).split


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


def ranks_by_hand(vectors, texts):
    """Of each pair of a query and its passage the place of the passage, where each query may have several."""
    corpus = {
        text: v for row, vs in zip(texts, vectors, strict=True) for text, v in list(zip(row, vs, strict=True))[1:]
    }
    queries = {row[0]: vs[0] for row, vs in zip(texts, vectors, strict=True)}
    right = {}
    for row in texts:
        right.setdefault(row[0], {})[row[1]] = None
    ranks = {}
    for query, vector in queries.items():
        for passage in right[query]:
            own = float(vector @ corpus[passage])
            ranks[query, passage] = 1 + sum(
                float(vector @ other) > own
                for text, other in corpus.items()
                if text != passage and (text != query or text in right[query])
            )
    return ranks


def test_metrics_are_of_each_query_among_all_passages_of_the_split(monkeypatch):
    monkeypatch.setattr(search_scores, "QUERIES", 3)
    monkeypatch.setattr(search_scores, "PASSAGES", 4)
    draw = np.random.default_rng(3)
    texts = [[f"q{n % 23}", f"p{n}", *(f"n{m}" for m in draw.integers(0, 30, n % 3))] for n in range(28)]
    texts += [["same", "p1"], ["q0", "q5"]]  # a passage of two queries, and one that is itself a query
    names = dict.fromkeys(itertools.chain.from_iterable(texts))
    known = {name: unit(1, 6, seed=number)[0].numpy() for number, name in enumerate(names)}
    vectors = [[known[name] for name in row] for row in texts]
    keys = np.array([hash(name) for row in texts for name in row])
    offsets = np.cumsum([0, *map(len, texts)])
    told = search_scores.ranked(search_scores.Ragged(np.concatenate(vectors), offsets), keys, 0.1)
    ranks = ranks_by_hand(vectors, texts)
    of_query = {}
    for (query, _), rank in ranks.items():
        of_query.setdefault(query, []).append(rank)
    gains = [sum(1 / math.log2(r + 1) for r in rs if r <= 10) for rs in of_query.values()]
    ideal = [sum(1 / math.log2(n + 2) for n in range(len(rs))) for rs in of_query.values()]
    assert told["ndcg_at_10"] == pytest.approx(np.mean([g / i for g, i in zip(gains, ideal, strict=True)]))
    assert told["mrr_at_10"] == pytest.approx(
        np.mean([1 / min(rs) if min(rs) <= 10 else 0 for rs in of_query.values()])
    )
    for cut in (1, 10):
        found = [np.mean([r <= cut for r in rs]) for rs in of_query.values()]
        assert told[f"recall_at_{cut}"] == pytest.approx(np.mean(found)) and 0 < np.mean(found) < 1
    assert (told["queries"], told["passages"]) == (24, len({name for row in texts for name in row[1:]}))


def test_one_vector_for_all_finds_nothing():
    keys = np.arange(60)
    same = search_scores.Ragged(np.tile(unit(1, 4).numpy(), (60, 1)), np.arange(0, 61, 3))
    told = search_scores.ranked(same, keys, 0.05)
    assert told["recall_at_10"] == told["mrr_at_10"] == told["ndcg_at_10"] == 0.0
    assert told["loss"] == pytest.approx(math.log(40), abs=1e-3)
    work, split = made(TextEmbedding())
    assert work.only_answer(split, Kept({"embeddings": same})) == "the same vector"


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


def saved(folder, rows, name="a.jsonl"):
    path = folder / name
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def test_rows_of_pairs(tmp_path):
    rows = [
        {"query": "a", "positive": ["b", "c"], "negatives": ["d", "e"]},
        {"query": "f", "positive": "g", "negatives": None},
        {"query": " ", "positive": ""},
    ]
    place = saved(tmp_path, rows)
    data = Pairs(train=place, negatives="negatives")
    read = [(row.text, row.label) for row in read_rows(data, TextEmbedding(), place)]
    assert read == [("a", ("b", "d", "e")), ("a", ("c", "d", "e")), ("f", ("g",))]
    (tmp_path / "b.tsv").write_text("q\tp\tn1\tn2\na\tb\tc\t\nd\te\tf\tg\n")
    table = Pairs(train=str(tmp_path / "b.tsv"), text="q", label="p", negatives=("n1", "n2"))
    read = [(row.text, row.label) for row in read_rows(table, TextEmbedding(), str(tmp_path / "b.tsv"))]
    assert read == [("a", ("b", "c")), ("d", ("e", "f", "g"))]


def test_all_that_is_wrong_with_pairs_is_told_at_once(tmp_path):
    rows = [
        {"query": "a", "positive": "b", "negatives": ["c"]},
        {"query": "a", "negatives": ["c"]},
        {"query": "", "positive": "b", "negatives": ["c"]},
        {"query": "a", "positive": "b", "negatives": ["c", " "]},
        {"query": "a", "positive": "b", "negatives": ["b "]},
        {"query": 5, "positive": "b"},
        {"query": "a", "positive": "b"},
    ]
    data = Pairs(train=saved(tmp_path, rows), negatives="negatives")
    with pytest.raises(DataError) as caught:
        read_corpus(data, Reranker())
    told = {problem.where: problem.what for problem in caught.value.problems}
    assert told == {
        "a.jsonl row 2": "the row has a query and no positive",
        "a.jsonl row 3": "the row has a positive and no query",
        "a.jsonl row 4": "a negative is an empty text",
        "a.jsonl row 5": "a negative is the passage that belongs to the query",
        "a.jsonl row 6": "the query is a number, not a string",
        "a.jsonl row 7": "the row has no passage that does not belong to its query",
    }
    one = Pairs(train=saved(tmp_path, [{"query": "a", "positive": "b"}] * 4), duplicates="keep")
    with pytest.raises(DataError, match="all 4 rows of train have the same passage"):
        read_corpus(one, TextEmbedding())
    alone = Pairs(train=saved(tmp_path, [{"query": "a", "positive": "b"}]))
    with pytest.raises(DataError, match="train has one row: there is no other passage to tell its own from"):
        read_corpus(alone, TextEmbedding())


@pytest.mark.parametrize(
    ("columns", "done"),
    [
        ("question passage", ("text='question'", "label='passage'")),
        ("queri positives", ("did you mean 'queri'?", "did you mean 'positives'?")),
    ],
)
def test_a_column_of_another_name_is_named_by_its_own_field(tmp_path, columns, done):
    place = saved(tmp_path, [dict.fromkeys(columns.split(), "a")])
    with pytest.raises(DataError) as caught:
        read_rows(Pairs(train=place), TextEmbedding(), place)
    assert all(part in problem.do for part, problem in zip(done, caught.value.problems, strict=True))


def test_a_table_of_texts_is_told_that_passages_are_sought(tmp_path):
    """Without the recipe's rules, as `launcher data` reads; it holds tags, too, and these are not the point."""
    place = saved(tmp_path, [{"text": "a", "label": "b"}])
    with pytest.raises(DataError, match=r"Table holds labels, not passages[^$]*use Pairs"):
        read_rows(Table(train=place), TextEmbedding(), place)


def test_pooling(tmp_path):
    states = torch.arange(24.0).reshape(2, 3, 4)
    mask = torch.tensor([[1, 1, 0], [0, 1, 1]])
    pooled = {"mean": [(states[0, 0] + states[0, 1]) / 2, (states[1, 1] + states[1, 2]) / 2]}
    pooled |= {"first": [states[0, 0], states[1, 1]], "last": [states[0, 1], states[1, 2]]}
    for name, expected in pooled.items():
        head = EmbeddingHead(SimpleNamespace(sentence_pooling=name))
        given = head(states, {"attention_mask": mask})["embeddings"]
        assert torch.allclose(given, torch.nn.functional.normalize(torch.stack(expected), dim=-1))
    from transformers import BertConfig, LlamaConfig

    assert settled_pooling(None, tmp_path, BertConfig()) == "mean"
    assert settled_pooling(None, tmp_path, LlamaConfig()) == "last"
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    assert settled_pooling(None, tmp_path, LlamaConfig()) == "first"
    assert settled_pooling("mean", tmp_path, LlamaConfig()) == "mean"


def test_sizes_are_smaller_than_the_model_s_vectors(bert):
    told = [problem.what for problem in too_large(Pretrained(model=str(bert)), TextEmbedding(sizes=(8, 32, 64)))]
    assert told == [f"vectors of {bert} have 32 numbers, and task.sizes names 32, 64"]
    assert list(too_large(Pretrained(model=str(bert)), TextEmbedding(sizes=(16,)))) == []


def test_what_is_told_of_texts():
    work, split = made(TextEmbedding(), [Row("word1", (), ""), Row("word2", ("word3",), "")])
    kept = Kept({"embeddings": search_scores.Ragged(np.eye(3, 3, dtype=np.float32), np.array([0, 1, 3]))})
    answer = work.tell("word1", split, np.array([0]), kept)
    assert answer == {"vector": [1.0, 0.0, 0.0]}
    assert work.printed("word1", answer, None).startswith("[1.0000, 0.0000, 0.0000, …] (3 numbers")
    assert work.tell(("word2", "word3"), split, np.array([1]), kept) == {"similarity": 0.0}
    other, _ = made(TextEmbedding(passage_prefix="word9 "))
    seen = other.as_seen(ROWS[0])
    assert [token["label"] for token in seen["tokens"] if token["label"]] == ["query", "passage", "negative"]
    assert [token["token"] for token in seen["tokens"][:4]] == ["[CLS]", "word1", "word2", "[SEP]"]
    assert other.example("word1").labels == ("word1",) and work.example("word1").labels == ()
    assert ragged([[1]]).lengths.tolist() == [1]
