"""Tables of subwords: the official definition, words that training never saw, and one curve under every strategy."""

from dataclasses import replace

import fasttext
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from launcher.errors import DataError
from launcher.recipe.source import FastText, MeanPooling
from launcher.recipe.task import TextClassification
from launcher.training import sources
from launcher.training.fasttext.subwords import Subwords
from launcher.training.result.inference import predict
from launcher.training.result.model_folder import load_saved_model
from launcher.training.sources.static.subword_rows import SubwordRows
from launcher.training.sources.static.subword_table import SubwordTable
from launcher.training.sources.static.vocabulary import Words
from launcher.training.sources.vectors import fasttext_vectors

TEXTS = ["the film was wonderful and touching", "a dull boring movie", "我 喜欢 这 部 电影", "电影 不好 看"] * 20
OTHERS = ["wonderfully dull 🙂", "喜欢 电影院"]
SOURCE = FastText(
    dimension=16, epochs=2, buckets=2000, subword_rows=True, shortest_subword=2, encoder=MeanPooling(hidden=4)
)
TASK = TextClassification()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("subwords")
    sources.build_tokenizer(SOURCE, TASK, TEXTS, folder, OTHERS)
    return folder


def built(prepared):
    torch.manual_seed(0)
    return sources.build_model(SOURCE, TASK, ("a", "b"), prepared, 0.0).eval(), sources.load_tokenizer(prepared)


def vectors_of(model, tokenizer, words):
    return model.embeddings(torch.tensor(tokenizer.convert_tokens_to_ids(words))).detach().numpy()


def test_vectors_are_the_official_ones_and_unseen_subwords_count_as_zeros(prepared):
    model, tokenizer = built(prepared)
    library = fasttext.load_model(str(fasttext_vectors.train_vectors(SOURCE, Words(SOURCE, TASK).cut(TEXTS))))
    matrix, known = library.get_input_matrix(), model.embeddings.known()
    words = library.get_words()
    seen = {row for word in words for row in library.get_subwords(word)[1].tolist()}
    fewer = 0
    for word in ["wonderful", "film", "喜欢", "电影", "wonderfully", "电影院", "🙂"]:
        rows = library.get_subwords(word)[1]
        there = [row for row in rows.tolist() if row in seen]
        expected = matrix[there].sum(0) / max(1, len(rows)) if there else np.zeros(16)
        np.testing.assert_allclose(vectors_of(model, tokenizer, [word])[0] / known.scale, expected, atol=1e-6)
        fewer += len(there) < len(rows)
    assert fewer == 3 and known.own == len([word for word in words if word != "</s>"])
    assert model.embeddings.rows.num_embeddings == 1 + known.own + len(known.buckets) < 2000
    deviation = vectors_of(model, tokenizer, [word for word in words if word != "</s>"]).std()
    assert deviation == pytest.approx(0.1, rel=1e-3)


def test_padding_and_what_has_no_subword_are_zeros(prepared):
    model, tokenizer = built(prepared)
    assert tokenizer.convert_tokens_to_ids(["[PAD]", "[UNK]"]) == [0, 1]
    assert not vectors_of(model, tokenizer, ["[PAD]", "[UNK]"]).any()
    assert tokenizer.convert_tokens_to_ids(["wonderfully", "🙂"]) != [1, 1]


def test_new_words_are_learnt_with_the_vectors_that_prepared_ones_have(prepared, tmp_path):
    new = ["wonderfulness 电影节", "wonderfulness film"]
    model, tokenizer = built(prepared)
    before = len(tokenizer)
    sources.learn(model, tokenizer, new)
    assert len(tokenizer) == model.config.vocab_size == before + 2
    assert tokenizer.tokenize(new[0]) == ["wonderfulness", "电影节"]
    sources.build_tokenizer(SOURCE, TASK, TEXTS, tmp_path, [*OTHERS, *new])
    other, others_tokenizer = built(tmp_path)
    for word in ("wonderfulness", "电影节", "film", "wonderfully"):
        mine, theirs = vectors_of(model, tokenizer, [word]), vectors_of(other, others_tokenizer, [word])
        assert np.abs(mine).max() > 0.01 and np.array_equal(mine, theirs)
    sources.learn(model, tokenizer, new)
    assert len(tokenizer) == before + 2


def test_a_given_model_gives_its_rows_and_a_quantised_one_is_refused(tmp_path):
    text = tmp_path / "lines.txt"
    text.write_text("".join(f"__label__{n % 2} {line}\n" for n, line in enumerate(TEXTS)), encoding="utf-8")
    model = fasttext.train_supervised(str(text), dim=8, bucket=300, minn=2, maxn=3, epoch=1, thread=1, verbose=0)
    model.save_model(str(tmp_path / "given.bin"))
    given = replace(SOURCE, model=str(tmp_path / "given.bin"))
    sources.build_tokenizer(given, TASK, [*TEXTS, "brandnew word"], tmp_path / "made")
    built, matrix = sources.build_model(given, TASK, ("a", "b"), tmp_path / "made", 0.0), model.get_input_matrix()
    known, tokenizer = built.embeddings.known(), sources.load_tokenizer(tmp_path / "made")
    assert known.own == len([word for word in model.get_words() if word != "</s>"])  # `brandnew` has only subwords
    for word in ("film", "brandnew"):
        mean = matrix[model.get_subwords(word)[1]].mean(0)
        np.testing.assert_allclose(vectors_of(built, tokenizer, [word])[0] / known.scale, mean, atol=1e-6)
    model.quantize(input=str(text), cutoff=0)
    model.save_model(str(tmp_path / "given.ftz"))
    with pytest.raises(DataError, match=r"given\.ftz is quantised: its rows are codes, which cannot train"):
        sources.build_tokenizer(replace(given, model=str(tmp_path / "given.ftz")), TASK, TEXTS, tmp_path / "none")


def test_sums_of_rows_by_hand():
    subwords = Subwords(0, 0, 0)
    rows = SubwordRows.of(subwords, ["a", "b", "c"], ["c", "a"])
    assert rows.rows.values.tolist() == [2, 1] and rows.counts.tolist() == [0, 0, 1, 0, 1]
    table = SubwordTable(rows.size, 2, 0, 2, 5)
    table.take(rows)
    with torch.no_grad():
        table.rows.weight.copy_(torch.tensor([[0.0, 0], [1, 2], [3, 4]]))
    ids = torch.tensor([[2, 3], [4, 0]])
    assert table(ids).tolist() == [[[3, 4], [0, 0]], [[1, 2], [0, 0]]]
    table(ids).sum().backward()
    assert table.rows.weight.grad.tolist() == [[0, 0], [1, 1], [1, 1]]


CASES = [
    ("subwords", "Full", "fsdp2"),
    ("subwords", "LoRA", "zero3"),
    ("subwords", "Adapter", "ddp"),
    ("votes", "Full", "ddp"),
]


@pytest.mark.parametrize(("model", "method", "strategy"), CASES)
def test_one_curve_under_every_strategy(warm, model, method, strategy):
    usual = {"max_steps": 8, "evaluate_every": 8, "dropout": 0}
    alone = warm.finished(model, method, "single", 1, **usual)
    both = warm.finished(model, method, strategy, 2, micro_batch_size=3, **usual)
    assert len(alone.losses) == len(both.losses) == 8 and max(alone.losses) - min(alone.losses) > 1e-3
    assert max(abs(a - b) for a, b in zip(alone.losses, both.losses, strict=True)) < 1e-5
    assert both.outcome["proof"]["largest_logit_difference"] == 0.0


def test_a_saved_model_answers_for_words_that_it_never_saw(warm):
    run = warm.finished("votes", "Full", "single", 1, max_steps=40, evaluate_every=40)
    saved = load_saved_model(run.folder.path / "model")
    (buckets,) = (len(t) for n, t in load_file(run.folder.path / "model/model.safetensors").items() if "buckets" in n)
    assert 0 < buckets <= 500
    first = predict(saved, ["word1 word3 unheardofword"])
    again = predict(load_saved_model(run.folder.path / "model"), ["never seen either", "word1 word3 unheardofword"])[1:]
    assert first == again
    assert predict(saved, ["unheardofword"]) != predict(saved, ["otherword9"])
