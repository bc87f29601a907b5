"""Pairs of texts on static vectors: each is encoded by itself, wherever it lies in the row."""

import pytest
import torch
from at_work import work_of

from launcher.recipe.source import BiLSTM, FastText, MeanPooling, RandomVectors, TextCNN, Transformer
from launcher.recipe.task import MultiLabelClassification, TextClassification
from launcher.training.data import Row
from launcher.training.report.data_view import as_seen
from launcher.training.sources import build_model, build_tokenizer, load_model, load_tokenizer
from launcher.training.sources.static import vocabulary

TASK, LABELS = TextClassification(), ["no", "yes"]
PAIRS = [("one two three", "two four"), ("four", "one one one two three"), ("五 six", "六 seven")]
ENCODERS = [MeanPooling(hidden=8), BiLSTM(hidden=8), TextCNN(filters=8), Transformer(hidden=8, heads=2)]


def built(folder, pairs=PAIRS, task=TASK, **values):
    embedding = RandomVectors(dimension=6, **values)
    build_tokenizer(embedding, task, pairs, folder)
    torch.manual_seed(0)
    return load_tokenizer(folder), build_model(embedding, task, LABELS, folder, None).eval()


def logits(tokenizer, model, pairs, **options):
    batch = tokenizer([one for one, _ in pairs], [other for _, other in pairs], return_tensors="pt", **options)
    return model(**batch).logits.detach()


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.kind)
def test_the_classifier_sees_what_each_text_is_by_itself(tmp_path, encoder):
    tokenizer, model = built(tmp_path, encoder=encoder)
    told = logits(tokenizer, model, PAIRS, padding=True)

    def alone(text):
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        return model.encoder(model.embeddings(ids), torch.ones_like(ids))[0]

    for row, (first, second) in zip(told, PAIRS, strict=True):
        u, v = alone(first), alone(second)
        joined = torch.cat([u, v, (u - v).abs(), u * v])
        assert torch.allclose(row, model.classifier(joined), atol=1e-6)
    wider = logits(tokenizer, model, PAIRS, padding="max_length", max_length=17)
    assert torch.allclose(told, wider, atol=1e-6)
    turned = logits(tokenizer, model, [pair[::-1] for pair in PAIRS], padding=True)
    assert not torch.allclose(told, turned, atol=1e-3)


def test_the_vocabulary_is_that_of_both_texts_and_the_longer_is_cut_first(tmp_path):
    tokenizer, _ = built(tmp_path, max_length=4, tokens="words")
    assert {"three", "four", "seven"} <= set(tokenizer.get_vocab())
    work = work_of(TASK, LABELS, tokenizer, 4)
    encoded = work.encode([work.example(("a b c d e f", "four"))])
    assert encoded.split.ragged("token_type_ids").values.tolist() == [0, 0, 0, 1] and encoded.truncated.tolist() == [
        True
    ]


def test_a_pair_is_shown_with_a_mark_between_its_texts(tmp_path):
    tokenizer, _ = built(tmp_path)
    shown = as_seen(Row("one two", "yes", "x", "four one"), tokenizer, 8)["tokens"]
    assert [token["token"] for token in shown] == ["one", "two", "|", "four", "one"]
    assert [token["special"] for token in shown] == [False, False, True, False, False]


def test_a_text_without_tokens_is_nothing_and_no_error(tmp_path):
    tokenizer, model = built(tmp_path, encoder=BiLSTM(hidden=8), stop_words=("one",))
    told = logits(tokenizer, model, [("four", "one"), ("one", "four"), ("four", "four")], padding=True)
    assert told.isfinite().all() and len({round(float(row[0]), 6) for row in told}) == 3
    batch = tokenizer(["four"], return_tensors="pt")
    del batch["token_type_ids"]
    assert torch.allclose(model(**batch).logits[0], told[0], atol=1e-6)


def test_the_saved_model_still_takes_pairs_and_one_of_single_texts_does_not(tmp_path):
    tokenizer, model = built(tmp_path, task=MultiLabelClassification())
    model.save_pretrained(tmp_path / "saved")
    again = load_model(tmp_path / "saved", MultiLabelClassification()).eval()
    assert torch.equal(logits(tokenizer, model, PAIRS, padding=True), logits(tokenizer, again, PAIRS, padding=True))
    (tmp_path / "single").mkdir()
    tokenizer, model = built(tmp_path / "single", pairs=["one two", "four"])
    assert "token_type_ids" not in tokenizer("one") and not model.config.pairs
    assert model.classifier.in_features == model.encoder.width


def test_fasttext_learns_from_both_texts(tmp_path):
    embedding = FastText(dimension=6, epochs=1, buckets=100)
    build_tokenizer(embedding, TASK, PAIRS * 5, tmp_path)
    assert vocabulary.of_pairs(tmp_path) and "seven" in load_tokenizer(tmp_path).get_vocab()
