"""Static sources before there is a model: ids and offsets into the raw text, the official vectors."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from at_work import same
from safetensors.numpy import load_file
from transformers import AutoTokenizer

from launcher import Columns, Full, MultiLabelClassification, Recipe, Table, Training
from launcher.errors import DataError
from launcher.recipe.source import FastText, RandomVectors
from launcher.recipe.task import TextClassification, TokenClassification
from launcher.training import prepare
from launcher.training.data import read_corpus
from launcher.training.fasttext.model_file import FastTextFile
from launcher.training.sources import build_model, build_tokenizer, load_tokenizer
from launcher.training.sources.vectors import fasttext_vectors
from launcher.training.tasks import base, work_for
from launcher.training.tasks.blocks import encoded_to

TEXT, TOKEN = TextClassification(), TokenClassification(tokens="characters")
TRAIN = ["今天 天气好", "天气不好", "好 好 A"]
OTHER = ["明天好", "𠮷"]
SMALL = {"dimension": 8, "buckets": 50, "epochs": 2}
WORDS = ["the film was good", "the plot was bad", "good good film"]

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class TestTokenizer:
    def test_characters_by_count_then_code_point_with_offsets_into_the_raw_text(self, tmp_path):
        embedding = RandomVectors(tokens="characters", lowercase=True, max_length=17)
        assert build_tokenizer(embedding, TEXT, TRAIN, tmp_path) == 17
        tokenizer = load_tokenizer(tmp_path)
        # 好 4, 天 3, 气 2, then once each: a (lowered), 不, 今
        expected = {"[PAD]": 0, "[UNK]": 1, "好": 2, "天": 3, "气": 4, "a": 5, "不": 6, "今": 7}
        assert tokenizer.get_vocab() == expected
        encoded = tokenizer(["今天 𠮷\u3000A", "好"], return_offsets_mapping=True, padding=True)
        assert encoded["input_ids"] == [[7, 3, 1, 5], [2, 0, 0, 0]]
        assert encoded["attention_mask"] == [[1, 1, 1, 1], [1, 0, 0, 0]]
        assert encoded["offset_mapping"][0] == [(0, 1), (1, 2), (3, 4), (5, 6)]
        assert tokenizer.model_max_length == 17
        again = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
        assert again(["今天 𠮷\u3000A"])["input_ids"] == [[7, 3, 1, 5]]

    def test_words_above_the_minimum_count(self, tmp_path):
        build_tokenizer(RandomVectors(minimum_count=2), TEXT, WORDS, tmp_path)
        tokenizer = load_tokenizer(tmp_path)
        assert tokenizer.get_vocab() == {"[PAD]": 0, "[UNK]": 1, "good": 2, "film": 3, "the": 4, "was": 5}
        encoded = tokenizer("good  plot", return_offsets_mapping=True)
        assert (encoded["input_ids"], encoded["offset_mapping"]) == ([2, 1], [(0, 4), (6, 10)])

    def test_a_row_of_tokens_keeps_the_number_of_each(self, tmp_path):
        rows = [("今", "天", "好"), ("天", "A1")]
        build_tokenizer(RandomVectors(), TOKEN, rows, tmp_path)
        tokenizer = load_tokenizer(tmp_path)
        encoded = tokenizer([["天", "A1", "好"]], is_split_into_words=True)
        assert encoded.word_ids() == [0, 1, 1, 2]
        assert encoded["input_ids"][0] == [2, 4, 3, 6]  # 天 2; then once each: 1, A, 今, 好

    def test_special_tokens_in_the_text_do_not_take_an_id(self, tmp_path):
        build_tokenizer(RandomVectors(tokens="whitespace"), TEXT, ["[UNK] a [PAD] [UNK]"], tmp_path)
        assert load_tokenizer(tmp_path).get_vocab() == {"[PAD]": 0, "[UNK]": 1, "a": 2}

    def test_an_empty_text_has_no_token_which_the_caller_mends(self, tmp_path):
        build_tokenizer(RandomVectors(), TEXT, WORDS, tmp_path)
        assert load_tokenizer(tmp_path)(["", " \u3000\n"])["input_ids"] == [[], []]

    @pytest.mark.parametrize("noun", ["FastText(dimension=4, buckets=10)", "RandomVectors()"])
    def test_prepare_needs_no_torch(self, noun, tmp_path):
        code = (
            "import sys; from pathlib import Path; from launcher.recipe.task import *\n"
            "from launcher.recipe.source import *; from launcher.training import sources as embeddings\n"
            "assert not {'transformers', 'tokenizers', 'fasttext', 'numpy'} & set(sys.modules)\n"
            f"folder = Path({str(tmp_path)!r})\n"
            f"embeddings.build_tokenizer({noun}, TextClassification(), ['a b'], folder)\n"
            "assert embeddings.load_tokenizer(folder)('a')['input_ids'] == [2]\n"
            "assert 'torch' not in sys.modules\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


class TestFastText:
    def test_vectors_are_the_official_definition(self, tmp_path, cache):
        embedding = FastText(**SMALL, minimum_count=2)
        build_tokenizer(embedding, TEXT, WORDS, tmp_path)
        vocabulary = load_tokenizer(tmp_path).get_vocab()
        # `bad` stands in the training split, but too rarely: it shares [UNK]
        assert set(vocabulary) == {*("[PAD]", "[UNK]", "good", "film", "the", "was")}
        vectors = load_file(tmp_path / "vectors.safetensors")["vectors"]
        assert vectors.shape == (6, 8) and vectors.dtype == np.float32
        (path,) = (cache / "fasttext").glob("*.bin")
        import fasttext

        official = fasttext.load_model(str(path))
        for word in ("good", "film"):
            rows = [official.get_subword_id(piece) for piece in official.get_subwords(word)[0]]
            if official.get_word_id(word) >= 0:
                rows[0] = official.get_word_id(word)
            expected = official.get_input_matrix()[rows].astype(np.float64).mean(0)
            np.testing.assert_allclose(vectors[vocabulary[word]], expected, atol=1e-6)
            unit = official.get_word_vector(word)  # this build's is normalised
            np.testing.assert_allclose(expected / np.linalg.norm(expected), unit, atol=1e-6)
        assert np.abs(vectors[vocabulary["good"]]).max() > 1e-3
        np.testing.assert_allclose(vectors[1], vectors[2:].mean(0), atol=1e-7)
        assert not vectors[0].any()

    def test_a_word_without_any_row_is_zeros(self):
        source = FastText(dimension=4, shortest_subword=0, longest_subword=0)
        vectors = FastTextFile.open(fasttext_vectors.train_vectors(source, [["a", "b"]])).vectors(["zzz", "a"])
        assert vectors[0].tolist() == [0, 0, 0, 0] and np.abs(vectors[1]).max() > 0

    def test_training_twice_gives_the_same_bytes_and_the_cache_spares_it(self, cache, monkeypatch):
        lines = [text.split() for text in WORDS] * 20
        first = fasttext_vectors.train_vectors(FastText(**SMALL), lines)
        content = first.read_bytes()
        first.unlink()
        assert fasttext_vectors.train_vectors(FastText(**SMALL), lines).read_bytes() == content
        monkeypatch.setattr(fasttext_vectors, "_train", None)
        assert fasttext_vectors.train_vectors(FastText(**SMALL), iter(lines)) == first
        assert {path.name for path in (cache / "fasttext").iterdir()} == {first.name, f"{first.stem}.json"}
        with pytest.raises(TypeError):  # other settings: it would train
            fasttext_vectors.train_vectors(FastText(**{**SMALL, "window": 2}), lines)

    def test_a_damaged_cache_file_is_trained_again(self):
        path = fasttext_vectors.train_vectors(FastText(**SMALL), [["a", "b"]] * 9)
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        assert fasttext_vectors.train_vectors(FastText(**SMALL), [["a", "b"]] * 9) == path
        assert path.read_bytes() == content

    def test_end_of_line_and_label_words_are_words_like_others(self):
        path = fasttext_vectors.train_vectors(FastText(**SMALL), [["a", "</s>", "__label__x", "b"]] * 9)
        assert set(FastTextFile.open(path).words) == {"a", "b", "</s>", "__label__x"}

    def test_training_that_cannot_work_says_so(self):
        with pytest.raises(DataError, match="minimum_count"):
            fasttext_vectors.train_vectors(FastText(minimum_count=9), [["a"]])

    @pytest.mark.parametrize("name", ["skipgram.bin", "supervised.bin", "quantised.ftz"])
    def test_a_given_model_sets_the_dimension(self, tmp_path, name):
        import fasttext

        text, path = tmp_path / "text", tmp_path / name
        text.write_text("__label__x good film\n__label__y bad film\n" * 20)
        train = fasttext.train_unsupervised if name == "skipgram.bin" else fasttext.train_supervised
        given = train(str(text), dim=6, bucket=300, minn=2, maxn=3, thread=1, verbose=0, minCount=1)
        if name == "quantised.ftz":
            given.quantize(input=str(text), thread=1, verbose=0, qnorm=True)
        given.save_model(str(path))
        build_tokenizer(FastText(model=str(path)), TEXT, WORDS, tmp_path)
        model = build_model(FastText(model=str(path)), TEXT, ("a", "b", "c"), tmp_path, None)
        assert model.embeddings.weight.shape == (8, 6)
        table = load_file(tmp_path / "vectors.safetensors")["vectors"]
        assert np.array_equal(model.embeddings.weight.detach().numpy(), table)
        rows = [given.get_input_vector(row) for row in given.get_subwords("film")[1]]
        film = table[load_tokenizer(tmp_path).get_vocab()["film"]]
        np.testing.assert_allclose(film, np.mean(rows, 0), atol=1e-7)
        assert np.abs(film).max() > 1e-3

    def test_text_vectors_are_not_a_model(self, tmp_path):
        (tmp_path / "a.vec").write_bytes(b"x")
        with pytest.raises(DataError, match=r"write WordVectors\(file="):
            build_tokenizer(FastText(model=str(tmp_path / "a.vec")), TEXT, WORDS, tmp_path)


def test_blocks_of_rows_are_one_split(bert, data, monkeypatch, tmp_path):
    import shutil

    shutil.copytree(bert, tmp_path / "tokenizer", ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    nouns = {"embedding": RandomVectors(), "peft": Full(), "training": Training()}
    recipes = [
        Recipe(task=TextClassification(), data=Table(train=str(data / "pairs.tsv"), text_pair="other"), **nouns),
        Recipe(task=MultiLabelClassification(), data=Table(train=str(data / "several.tsv")), **nouns),
        Recipe(task=TokenClassification(), data=Columns(train=str(data / "entities.conll")), **nouns),
    ]
    for recipe in recipes:
        corpus = read_corpus(recipe.data, recipe.task)
        rows = corpus.splits["train"]
        found = []
        work = work_for(recipe.task, prepare.reader_of(corpus.labels, 7, tmp_path))
        for block in (4096, 50, 1):
            monkeypatch.setattr(base, "BLOCK", block)
            found.append(encoded_to(tmp_path / f"{block}.safetensors", work, rows))
        whole = found[0]
        assert whole.split.rows == len(rows) and whole.truncated.sum() > 0
        for other in found[1:]:
            assert other.lost == whole.lost and same(other.truncated, whole.truncated)
            assert other.split.columns.keys() == whole.split.columns.keys()
            for name, values in whole.split.columns.items():
                assert same(other.split.columns[name], values), name
            assert same(other.split.example, np.arange(len(rows))) and same(other.split.cost, whole.split.cost)
    assert encoded_to(tmp_path / "none.safetensors", work, []).split.rows == 0
