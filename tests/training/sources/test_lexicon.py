"""Lexicons: what files say, which words a text can hold, and by hand what each token's vector gets."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from launcher.errors import DataError, RecipeError
from launcher.recipe.beside import Lexicon, NgramBag
from launcher.recipe.source import BiLSTM, MeanPooling, RandomVectors
from launcher.recipe.task import TextClassification, TokenClassification
from launcher.training.batches.split import Ragged, Split
from launcher.training.prepare import prepare
from launcher.training.sources import build_model, build_tokenizer, load_model, load_tokenizer, new_modules, save_beside
from launcher.training.sources.static.lexicon import LexiconVectors
from launcher.training.sources.static.lexicon_files import FARTHEST, LONGEST
from launcher.training.sources.static.ngrams import Numbering

TRAIN = ["房间很干净", "服务不干净", "不好", "很好"]
SPLIT = Split(
    {"input_ids": Ragged.of([[2, 3], [2, 3]], np.int32), "labels": np.array([0, 1])}, {}, np.array([2, 2]), np.arange(2)
)
GOOD = {"positive": ["好", "干净", "很干净"], "negative": ["不好", "肮脏"]}


def source(folder, *lexicons, tokens="characters", task=None, texts=TRAIN, **values):
    """The embedding, once its tokenizer and its lexicon are built in `folder`, and what was counted of the lexicon."""
    files = {"encoder": MeanPooling(hidden=4), "dimension": 6, "tokens": tokens, **values}
    embedding = RandomVectors(beside=(Lexicon(files=tuple(map(str, lexicons))),), **files)
    build_tokenizer(embedding, task or TextClassification(), texts, folder)
    return embedding, save_beside(embedding, SPLIT, folder)


def written(folder, name, content):
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def said(folder, *lexicons, **values):
    """What the lexicon in `folder` says, by the text of each word that can be found."""
    source(folder, *lexicons, **values)
    tables, tokenizer = load_file(folder / "lexicon.safetensors"), load_tokenizer(folder)
    by_key = dict(zip(tables["keys"].tolist(), tables["values"].tolist(), strict=True))
    assert sorted(by_key) == tables["keys"].tolist() and tables["values"].dtype == "float32"
    found = {}
    for word in ["好", "干净", "很干净", "不好", "不", "no", "很好", "服务"]:
        ids = torch.tensor(tokenizer(word)["input_ids"])
        *_, key = Numbering(max(1, len(ids))).numbers(ids)
        if len(ids) and int(key[0]) in by_key:
            found[word] = by_key.pop(int(key[0]))
    assert not by_key
    return found


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.json", GOOD),
        ("l.json", {"Name": "lists", "Year": 2024, "Dictionary": GOOD}),
        ("l.yaml", "positive:\n- 好\n- 干净\n- 很干净\nnegative: [不好, 肮脏]\n"),
        (
            "l.yml",
            "Name: lists\nDictionary:\n  positive: [好, 干净, ' 很干净 ', '']\n  negative: [不好, 肮脏]\n",
        ),
    ],
)
def test_a_category_is_a_column_of_its_words(tmp_path, name, content):
    lists = written(tmp_path, name, content)
    assert said(tmp_path, lists) == {"好": [1, 0], "干净": [1, 0], "很干净": [1, 0], "不好": [0, 1]}
    # no training text has the characters of 肮脏
    assert source(tmp_path, lists)[1] == {"lexicon_words": 5, "lexicon_words_that_no_text_can_hold": 1}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_text_is_one_list_in_whatever_encoding_the_recipes_data_may_have(tmp_path, encoding):
    words = "好\r\n\r\n  干净 \r\n服务\r\n不\r\n"
    assert said(tmp_path, written(tmp_path, "l.txt", words.encode(encoding))) == {
        "好": [1],
        "干净": [1],
        "服务": [1],
        "不": [1],
    }


def test_ratings_have_mean_0_and_deviation_1_over_the_words_that_have_them(tmp_path):
    # 肮脏 counts for mean and deviation: ratings mean what they mean in their file
    rated = {"好": {"valence": 8, "arousal": 1}, "不好": {"valence": 2}, "肮脏": {"valence": 2}}
    found = said(tmp_path, written(tmp_path, "l.json", {"Dictionary": rated}))
    mean, deviation = 4, 8**0.5
    assert found["好"] == pytest.approx([(8 - mean) / deviation, 1])
    assert found["不好"] == pytest.approx([(2 - mean) / deviation, 0])


@pytest.mark.parametrize("name", ["l.txt", "l.yaml"])
def test_one_rating_a_word_and_none_farther_than_allowed(tmp_path, name):
    words = {"好": 100.0, **{f"字{number}": 0.0 for number in range(200)}, "不": 0.5}
    text = "".join(f"{word}{': ' if name == 'l.yaml' else chr(9)}{value}\n" for word, value in words.items())
    found = said(tmp_path, written(tmp_path, name, text))
    assert found["好"] == [FARTHEST] and -0.1 < found["不"][0] < 0.1


def test_a_category_may_be_called_as_a_rating_is(tmp_path):
    mixed = {"valence": ["好"], "不好": {"valence": 2}, "肮脏": {"valence": 4}}
    assert said(tmp_path, written(tmp_path, "l.json", mixed)) == {"好": [1, 0], "不好": [0, -1]}


def test_several_files_are_side_by_side_and_each_word_has_its_row(tmp_path):
    one, two = written(tmp_path, "a.json", GOOD), written(tmp_path, "b.txt", "好 2\n不 4\n")
    found = said(tmp_path, one, two)
    assert found["好"] == [1, 0, -1] and found["不"] == [0, 0, 1] and found["干净"] == [1, 0, 0]


def test_a_word_that_yaml_takes_for_a_truth_value_stays_a_word(tmp_path):
    texts = ["no good", "yes good"]
    found = said(tmp_path, written(tmp_path, "l.yaml", "negative: [no, n, off]\n"), texts=texts, tokens="words")
    assert found == {"no": [1]}


def test_lower_casing_holds_for_the_lexicon_too(tmp_path):
    lists = written(tmp_path, "l.txt", "NO\n")
    assert said(tmp_path, lists, texts=["No good"], tokens="words", lowercase=True) == {"no": [1]}


@pytest.mark.parametrize(
    ("name", "content", "what", "where"),
    [
        ("l.json", "{", "it cannot be read", "l.json"),
        ("l.yaml", "a: [b", "it cannot be read", "l.yaml"),
        ("l.yaml", "!!python/object/apply:os.system [exit 1]\n", "it holds no categories", "l.yaml"),
        ("l.yaml", "[" * 100, "more than 16 deep", "l.yaml"),
        ("l.yaml", "[" * 100_000, "it cannot be read", "l.yaml"),  # newer releases of libyaml stop by themselves
        ("l.json", "[" * 100_000, "it cannot be read", "l.json"),
        ("l.yaml", "- 好\n- 不好\n", "it holds no categories and no rated words", "l.yaml"),
        ("l.json", {}, "there is no word in it", "l.json"),
        ("l.json", {"positive": []}, "there is no word in it", "l.json"),
        ("l.txt", "\n \n", "there is no word in it", "l.txt"),
        ("l.json", {"好": "gut"}, "'好' has neither words nor ratings", "l.json"),
        ("l.json", {"好": {"valence": None}}, "'好' has neither words nor ratings", "l.json"),
        ("l.json", {"好": {}}, "'好' has neither words nor ratings", "l.json"),
        ("l.json", {"positive": ["好", 3]}, "'positive' has neither words nor ratings", "l.json"),
        ("l.yaml", "好: .nan\n", "'好' has neither words nor ratings", "l.yaml"),
        ("l.txt", "好 1.5\n不好\n", "not a word and 1 number, as on the first line", "l.txt, line 2"),
        ("l.txt", "好 1 2\n不好 1 x\n", "not a word and 2 numbers, as on the first line", "l.txt, line 2"),
        ("l.vec", "1 2\n好 0.5 0.5\n", "not a word and 1 number, as on the first line", "l.vec, line 2"),
        ("l.txt", "好 1\n不好 inf\n", "not a word and 1 number, as on the first line", "l.txt, line 2"),
        ("l.txt", "肮脏\n", "none of the 1 words can stand in a text of the training split", "l.txt"),
        ("l.json", {"好": {str(n): n for n in range(1001)}}, "more categories and ratings than 1,000", "l.json"),
        ("l.txt", b"\xb0\xff\xfe\xff", "neither UTF-8 nor Chinese in GB18030", "l.txt line 1, byte 0"),
    ],
)
def test_what_is_no_lexicon_is_refused_with_its_place(tmp_path, name, content, what, where):
    with pytest.raises(DataError) as told:
        source(tmp_path, written(tmp_path, name, content))
    (problem,) = told.value.problems
    assert what in problem.what and problem.where.endswith(where) and problem.do


def test_words_of_the_greatest_length_can_be_found_and_longer_ones_are_counted(tmp_path):
    text = "房间很干净服务不好了"
    words = {"longest": [text[:LONGEST]], "longer": [text[: LONGEST + 1], text[: LONGEST + 2]]}
    _, counted = source(tmp_path, written(tmp_path, "l.json", words), texts=[text])
    assert counted == {"lexicon_words": 3, "lexicon_words_that_no_text_can_hold": 2}
    assert load_file(tmp_path / "lexicon.safetensors")["values"].tolist() == [[1, 0]]


def test_of_many_bad_words_the_first_five_are_told(tmp_path):
    with pytest.raises(DataError) as told:
        source(tmp_path, written(tmp_path, "l.json", {f"字{number}": None for number in range(9)}))
    assert [problem.what[:4] for problem in told.value.problems] == [f"'字{number}'" for number in range(5)]


def test_a_missing_file_is_told_with_its_neighbour(tmp_path):
    written(tmp_path, "lists.json", GOOD)
    with pytest.raises(RecipeError, match=r"lists\.json"):
        source(tmp_path, tmp_path / "list.json")


def module(words, columns=2, dimension=3):
    """A lexicon of these words (tuples of ids), whose rows and weights are random; and its rows times its weights."""
    generator = torch.Generator().manual_seed(0)
    made = LexiconVectors(len(words), columns, dimension)
    keys = [list(Numbering(len(word)).numbers(torch.tensor([word])))[-1].item() for word in words]
    order = sorted(range(len(words)), key=keys.__getitem__)
    made.keys.copy_(torch.tensor([keys[place] for place in order]))
    values = torch.randn(len(words), columns, generator=generator)
    made.values[1:] = values[order]
    made.weights.data = torch.randn(columns, dimension, generator=generator)
    return made, values @ made.weights.data


def test_each_token_gets_what_is_said_of_the_longest_word_that_covers_it():
    words = [(2,), (2, 3), (3, 4), (4, 5, 6), (7, 7)]
    lexicon, gets = module(words)
    nothing = torch.zeros(3)
    ids = torch.tensor([[2, 3, 4, 8, 2, 4, 5, 6, 2, 0], [7, 7, 7, 3, 8, 8, 2, 3, 4, 0]])
    # 2 3 and 3 4 are equally long: the later has 3. Of 7 7 7 the second word has the middle one
    first = [gets[1], gets[2], gets[2], nothing, gets[0], gets[3], gets[3], gets[3], gets[0], nothing]
    second = [gets[4], gets[4], gets[4], nothing, nothing, nothing, gets[1], gets[2], gets[2], nothing]
    torch.testing.assert_close(lexicon(ids, ids.ne(0)), torch.stack([torch.stack(first), torch.stack(second)]))


def test_a_longer_word_counts_wherever_it_begins():
    lexicon, gets = module([(2, 3, 4), (4, 5), (1, 2)])
    torch.testing.assert_close(lexicon(torch.tensor([[1, 2, 3, 4, 5]]), torch.ones(1, 5))[0], gets[[2, 0, 0, 0, 1]])


def test_texts_shorter_than_the_longest_word_and_words_of_that_length():
    word = tuple(range(2, 2 + LONGEST))
    lexicon, gets = module([word, (3,)])
    torch.testing.assert_close(lexicon(torch.tensor([word]), torch.ones(1, LONGEST))[0], gets[[0] * LONGEST])
    for length in range(1, LONGEST):
        expected = [gets[1] if place == 1 else torch.zeros(3) for place in range(length)]
        torch.testing.assert_close(
            lexicon(torch.tensor([word[:length]]), torch.ones(1, length))[0], torch.stack(expected)
        )


def test_no_word_reaches_from_one_text_of_a_pair_into_the_other():
    lexicon, gets = module([(2, 3), (3,)])
    ids, types = torch.tensor([[2, 3, 2, 3]]), torch.tensor([[0, 1, 1, 1]])
    told = lexicon(ids, ids.ne(0), types)[0]
    torch.testing.assert_close(told, torch.stack([torch.zeros(3), gets[1], gets[0], gets[0]]))


def built(folder, task=None, labels=("a", "b"), **values):
    embedding, _ = source(folder, written(folder, "l.json", GOOD), task=task, **values)
    torch.manual_seed(0)
    return build_model(embedding, task or TextClassification(), labels, folder, 0.0).eval()


@pytest.mark.parametrize("encoder", [MeanPooling(hidden=4), BiLSTM(hidden=4)])
def test_a_model_starts_as_without_and_learns_what_the_words_have_in_common(tmp_path, encoder):
    model, task = built(tmp_path, encoder=encoder), TextClassification()
    tokenizer = load_tokenizer(tmp_path)
    batch = tokenizer(["很干净", "不好", "服务"], padding=True, return_tensors="pt")
    logits = model(**batch).logits
    alone = tmp_path / "alone"
    torch.manual_seed(0)
    plain = RandomVectors(encoder=encoder, dimension=6, tokens="characters")
    build_tokenizer(plain, task, TRAIN, alone)
    torch.manual_seed(0)
    assert torch.equal(build_model(plain, task, ("a", "b"), alone, 0.0).eval()(**batch).logits, logits)

    torch.nn.functional.cross_entropy(logits[:2], torch.tensor([0, 1])).backward()
    step = model.lexicon.weights.grad
    assert step.shape == (2, 6) and (step.abs().sum(dim=1) > 0).all()
    model.lexicon.weights.data -= 100 * step
    told = model(**batch).logits
    assert not torch.allclose(told[:2], logits[:2], atol=1e-3) and torch.equal(told[2], logits[2])
    assert new_modules(model) == ["encoder", "classifier", "lexicon"]

    model.save_pretrained(tmp_path / "saved")
    assert torch.equal(load_model(tmp_path / "saved", task).eval()(**batch).logits, told)


def test_a_tag_of_a_token_is_found_by_its_word(tmp_path):
    task = TokenClassification(tokens="characters")
    texts = [tuple(text) for text in TRAIN]
    model = built(tmp_path, task, ("O", "B-x", "I-x"), texts=texts)
    model.lexicon.weights.data = torch.arange(12.0).view(2, 6)
    batch = load_tokenizer(tmp_path)(
        [["很", "干", "净"], ["净", "很", "干"]], is_split_into_words=True, return_tensors="pt"
    )
    vectors = model.lexicon(batch["input_ids"], batch["attention_mask"])
    assert torch.equal(vectors[0], model.lexicon.weights[:1].expand(3, 6)) and vectors[1].count_nonzero() == 0
    model.embeddings.weight.data.zero_()
    of_words, of_none = model(**batch).logits
    assert of_words.shape == (3, 3) and torch.equal(of_words[0], of_words[2])
    assert not torch.allclose(of_words[0], of_none[0]) and torch.equal(of_none[0], of_none[2])


def test_another_content_of_the_file_is_another_preparation(tmp_path, write_recipe, monkeypatch):
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    from launcher.recipe.recipe import load

    lists = written(tmp_path, "l.json", {"low": ["word1", "word2"]})
    told = f"RandomVectors(dimension=8, tokens='words', beside=(Lexicon(files={str(lists)!r}),))"
    recipe = load(write_recipe(told)).recipe
    first, again = prepare(recipe), prepare(recipe)
    assert first["source"] == {"lexicon_words": 2, "lexicon_words_that_no_text_can_hold": 0}
    written(tmp_path, "l.json", {"low": ["word1"], "none": ["word999"]})
    second = prepare(recipe)
    assert again["folder"] == first["folder"] != second["folder"]
    assert second["source"] == {"lexicon_words": 2, "lexicon_words_that_no_text_can_hold": 1}


def test_beside_a_bag_of_ngrams_and_under_the_names_of_saved_models(tmp_path):
    """Whichever is named first; what saved models call them is what they called them before both stood in one field."""
    embedding, _ = source(tmp_path, written(tmp_path, "l.json", GOOD))
    models = []
    for beside in ((*embedding.beside, NgramBag(longest=3)), (NgramBag(longest=3), *embedding.beside)):
        both = replace(embedding, beside=beside)
        assert save_beside(both, SPLIT, tmp_path) == {"lexicon_words": 5, "lexicon_words_that_no_text_can_hold": 1}
        torch.manual_seed(0)
        models.append(build_model(both, TextClassification(), ("a", "b"), tmp_path, 0.0).eval())
    one, other = (model.state_dict() for model in models)
    assert list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)
    told = models[0].config.to_dict()
    assert [told[name] for name in ("ngrams", "known_ngrams", "ngram_buckets", "lexicon")] == [3, 3, None, [4, 2]]
    assert list(one) == [
        "embeddings.weight",
        *("lexicon.weights", "lexicon.keys", "lexicon.values"),
        *("encoder.hidden.weight", "encoder.hidden.bias", "classifier.weight", "classifier.bias"),
        *("ngrams.votes", "ngrams.keys", "ngrams.weights"),
    ]
    assert new_modules(models[0]) == ["encoder", "classifier", "lexicon", "ngrams"]
