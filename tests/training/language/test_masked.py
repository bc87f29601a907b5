"""Masked language models: what is hidden, of which words, what follows what; one curve when it is sharded."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import transformers
from small_bert import make_bert
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

import launcher
from launcher import CausalLanguageModel, DataError, FromConfig, MaskedLanguageModel, TrainedTokenizer
from launcher.training import suitable
from launcher.training.batches.split import Split
from launcher.training.data import Row
from launcher.training.sources import load_tokenizer
from launcher.training.sources.tokenizer_for_config import save
from launcher.training.tasks import masking
from launcher.training.tasks.base import Draw, Reader
from launcher.training.tasks.causal_language_model import Work as Causal
from launcher.training.tasks.masked_language_model import Work, around
from launcher.training.tasks.next_sentence import Work as Pairs
from launcher.training.tasks.next_sentence import pairs
from launcher.training.tasks.words_said import added_text

HAN = list("今天气很好我们去公园吃饭了")
WORDS = [f"word{n}" for n in range(30)]
TEXT = "今天天气很好。我们去公园吃饭了。word1 word2"


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """As BERT reads Chinese: each character is a token of its own."""
    folder = make_bert(tmp_path_factory.mktemp("bert"), [*WORDS, *HAN, "。", "[MASK]"])
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.mask_token = "[MASK]"
    tokenizer.save_pretrained(folder)
    return folder


def _work(folder, kind=Work, **values):
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    noun = MaskedLanguageModel(next_sentence=kind is Pairs, **values)
    return kind(noun, Reader((), tokenizer, 24))


def test_a_word_is_hidden_as_a_whole_or_not_at_all():
    word = np.repeat(np.arange(10), [1, 2, 3, 1, 2, 3, 1, 2, 3, 2])
    tokens = np.arange(100, 100 + len(word))
    counts = np.zeros(10)
    for epoch in range(200):
        at = masking.places(tokens, word, 0.3, Draw(1, epoch))
        assert 1 <= len(at) <= round(0.3 * len(word))
        whole = np.isin(word, word[at])
        assert np.array_equal(np.flatnonzero(whole), at)
        counts[np.unique(word[at])] += 1
    assert counts.min() > 20  # every word is hidden sometimes


def test_of_the_hidden_tokens_most_become_the_mask():
    tokens = np.arange(1000, 1400)
    hidden = masking.hidden(tokens, np.arange(400), 0.5, Draw(0, 0), 4, np.arange(5, 50))
    share = np.mean(hidden.shown == 4), np.mean(hidden.shown == tokens[hidden.places])
    assert len(hidden.places) == 200
    assert share[0] == pytest.approx(0.8, abs=0.08) and share[1] == pytest.approx(0.1, abs=0.06)
    assert ((hidden.shown == 4) | (hidden.shown == tokens[hidden.places]) | (hidden.shown < 50)).all()
    again = masking.hidden(tokens, np.arange(400), 0.5, Draw(0, 0), 4, np.arange(5, 50))
    assert np.array_equal(hidden.places, again.places) and np.array_equal(hidden.shown, again.shown)
    other = masking.hidden(tokens, np.arange(400), 0.5, Draw(0, 1), 4, np.arange(5, 50))
    assert not np.array_equal(hidden.places, other.places)


def test_chinese_words_are_those_of_jieba(bert):
    work = _work(bert, whole_words=True)
    ((ids, word),) = work.tokenised([Row(TEXT, "", "")])
    by_word = {}
    for token, number in zip(work.tokenizer.convert_ids_to_tokens(ids), word, strict=True):
        by_word.setdefault(number, []).append(token)
    assert ["天", "气"] in by_word.values() or ["今", "天", "天", "气"] in by_word.values()
    assert ["公", "园"] in by_word.values() and ["word1"] in by_word.values() and ["word2"] in by_word.values()
    ((_, alone),) = _work(bert).tokenised([Row(TEXT, "", "")])
    assert alone == list(range(len(ids)))


@pytest.mark.parametrize("pieces", ["bytes", "unigram"])
def test_chinese_words_behind_a_space_are_whole(pieces, tmp_path):
    """Pieces of these tokenizers begin with the space."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
    source = FromConfig(
        config={"model_type": "roberta", **sizes}, tokenizer=TrainedTokenizer(tokens=300, pieces=pieces)
    )
    save(source, MaskedLanguageModel(), iter(["the cat 公园 word", "a 公 园 dog"] * 20), tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    work = Work(MaskedLanguageModel(whole_words=True), Reader((), tokenizer, 64))
    ((ids, word),) = work.tokenised([Row("the 公园 word", "", "")])
    words = [
        tokenizer.decode([i for i, n in zip(ids, word, strict=True) if n == number]) for number in sorted(set(word))
    ]
    assert "公园" in [one.strip() for one in words], words


def test_a_batch_asks_for_what_it_hides(bert):
    work = _work(bert)
    split = work.encode([Row(TEXT, "", ""), Row("word3 word4", "", "")]).split
    rows = np.arange(split.rows)
    batch = work.collate(split, rows, Draw(3, 1))
    before, after = around(work.tokenizer)
    assert (before, after) == ([work.tokenizer.cls_token_id], [work.tokenizer.sep_token_id])
    width = batch["input_ids"].shape[1]
    restored = batch["input_ids"].copy()
    for row in rows:
        said = batch["weights"][row] > 0
        restored[row, width + batch["answer_at"][row][said]] = batch["answers"][row][said]
        tokens = split.ragged("input_ids").row(row)
        assert restored[row, : len(tokens) + 2].tolist() == [*before, *tokens, *after]
    assert work.targets(split, rows, Draw(3, 1))["loss"] == (batch["weights"] > 0).sum()


def test_second_parts_are_those_of_another_document_in_half_of_the_rows(bert):
    work = _work(bert, Pairs, whole_words=True)
    documents = [". ".join(f"word{(n + k) % 30} word{(2 * n + k) % 30}" for k in range(6)) for n in range(40)]
    split = work.encode([Row(text, "", "") for text in documents]).split
    rows = np.arange(split.rows)
    labels = np.concatenate([work.collate(split, rows, Draw(0, epoch))["next_sentence_label"] for epoch in range(6)])
    assert labels.mean() == pytest.approx(0.5, abs=0.1)
    for row in rows:
        tokens, _, cut, label = work.made_of(split, row, Draw(0, 0))
        own = split.ragged("input_ids").row(row)
        assert tokens[:cut].tolist() == own[:cut].tolist()
        other = work.elsewhere(split, row, Draw(0, 0))
        assert (label == 1) == (other is not None)
        assert other is None or split.example[other] != split.example[row]
    batch = work.collate(split, rows, Draw(0, 0))
    assert work.targets(split, rows, Draw(0, 0)) == {"loss": (batch["weights"] > 0).sum(), "next": split.rows}
    first = batch["token_type_ids"][0]
    assert first.sum() > 0 and (np.diff(first[: first.nonzero()[0][-1] + 1]) >= 0).all()


def test_parts_are_whole_sentences():
    sentences = [[(s, s)] * length for s, length in enumerate((3, 2, 4, 9, 1))]
    made = list(pairs(sentences, 6))
    assert [[len(one), len(other)] for one, other in made] == [[5, 4], [6, 4]]
    assert [token for one, other in made for token, _ in (*one, *other)] == [0] * 3 + [1] * 2 + [2] * 4 + [3] * 9 + [4]
    ((one, other),) = pairs([[(0, 0), (1, 1), (2, 2)]], 6)
    assert (len(one), len(other)) == (2, 1)


def test_no_part_of_a_document_is_left_over():
    """A third part has no other beside it."""
    sentences = [[(s, s)] * length for s, length in enumerate((6, 5, 2, 3))]
    made = list(pairs(sentences, 6))
    assert [[len(one), len(other)] for one, other in made] == [[6, 5], [2, 3]]
    assert [[len(one), len(other)] for one, other in pairs([*sentences[:2], [(2, 2)] * 3], 6)] == [[6, 5], [2, 1]]
    assert list(pairs([], 6)) == [([], [])]


def _asked(work, text, *others):
    """The tokens that `predict` gives a model for a text beside others, those of all its rows; and how many it asks."""
    split = work.encode([work.example(each) for each in (text, *others)]).split
    batch = work.collate(split, split.rows_of(0), None)
    rows = [work.tokenizer.convert_ids_to_tokens(row[row != work.tokenizer.pad_token_id]) for row in batch["input_ids"]]
    return rows, int((batch["weights"] > 0).sum())


@pytest.mark.parametrize("kind", [Work, Pairs])
def test_the_masks_of_a_text_are_filled_in_whatever_stands_beside_it(bert, kind):
    work = _work(bert, kind)
    rows, asked = _asked(work, "word1 [MASK] word2")
    assert rows == [["[CLS]", "word1", "[MASK]", "word2", "[SEP]"]] and asked == 1
    for number in range(12):
        assert _asked(work, f"word{number} [MASK] word2", "word3 [MASK]", "word4 [MASK]")[0][0][1] == f"word{number}"
        assert _asked(work, f"word{number} [MASK] word2", "word3 [MASK]", "word4 [MASK]")[1] == 1
    (row,), asked = _asked(work, " ".join(["word1"] * 30 + ["[MASK]"]))
    assert row.count("[MASK]") == asked == 1 and len(row) < 24


@pytest.mark.parametrize("kind", [Work, Pairs])
def test_other_signs_in_a_text_to_be_filled_in_are_text(bert, kind):
    ((*row,),), asked = _asked(_work(bert, kind), "word1 [SEP] [MASK] [CLS] word2")
    assert (row.count("[SEP]"), row.count("[CLS]"), row.count("[MASK]"), asked) == (1, 1, 1, 1)


def test_signs_among_the_pieces_of_a_tokenizer_are_text(tmp_path):
    """Those that a tokenizer of unigrams has, whatever it is told."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
    for name, model in (("both", "roberta"), ("forwards", "llama")):
        source = FromConfig(config={"model_type": model, **sizes}, tokenizer=TrainedTokenizer(pieces="unigram"))
        save(source, MaskedLanguageModel(), iter(["the cat sat", "a dog ran"] * 20), tmp_path / name)
    text = "the </s> cat <mask> sat <s>"
    tokenizer = load_tokenizer(tmp_path / "both")
    split = Work(MaskedLanguageModel(), Reader((), tokenizer, 64)).encode([Row(text, "", "")]).split
    assert set(split.token_ids.tolist()) & set(tokenizer.all_special_ids) == {tokenizer.unk_token_id}
    tokenizer = load_tokenizer(tmp_path / "forwards")
    split = Causal(CausalLanguageModel(), Reader((), tokenizer, 64)).encode([Row(text, "", "")]).split
    ids = split.token_ids.tolist()
    assert [n for n in ids if n in tokenizer.all_special_ids] == [tokenizer.unk_token_id] * 3 + [tokenizer.eos_token_id]


def test_a_piece_of_a_word_is_filled_in_behind_the_others(bert):
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(bert)
    tokenizer.backend_tokenizer.decoder = decoders.WordPiece()
    number = tokenizer.convert_tokens_to_ids("word1")
    assert added_text(tokenizer, [tokenizer.mask_token_id], [number]) == " word1"
    pieces = Tokenizer(models.WordPiece({"[MASK]": 0, "[UNK]": 1, "play": 2, "##ing": 3}, unk_token="[UNK]"))
    pieces.decoder = decoders.WordPiece()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=pieces, mask_token="[MASK]", unk_token="[UNK]")
    assert added_text(fast, [0], [3]) == "ing"


def test_next_sentences_of_one_document_are_refused(bert):
    recipe = SimpleNamespace(task=MaskedLanguageModel(next_sentence=True))
    (problem,) = suitable._one_document(recipe, {"examples": {"train": 1}})
    assert "train has one document" in problem.what and problem.where == "task.next_sentence"
    assert not list(suitable._one_document(recipe, {"examples": {"train": 2}}))


def test_a_text_without_a_mask_is_refused(bert):
    with pytest.raises(DataError, match=r"the text has no \[MASK\]"):
        _work(bert).example("word1")


RECIPE = """from launcher import *

recipe = Recipe(
    task=MaskedLanguageModel(whole_words=True, next_sentence=True),
    data=Texts(train={texts!r}, documents="blank lines"),
    embedding=Pretrained(model={model!r}, max_length=24),
    peft=Full(),
    training=Training(max_steps=4, batch_size=8, dropout=0, learning_rate=1e-3, log_every=1),
)
"""


def test_a_headless_model_gets_both_heads_and_has_one_curve(bert, carried_out, tmp_path):
    generator = np.random.default_rng(0)
    documents = ["\n".join(" ".join(generator.choice(WORDS, 6)) for _ in range(4)) for _ in range(30)]
    (tmp_path / "texts.txt").write_text("\n\n".join(documents))
    (tmp_path / "recipe.py").write_text(RECIPE.format(texts=str(tmp_path / "texts.txt"), model=str(bert)))
    one, two = (carried_out(tmp_path / "recipe.py", *way) for way in (("single", 1), ("fsdp2", 2)))
    assert len(one.losses) == 4 and np.abs(one.losses - two.losses).max() < 1e-5
    assert {"perplexity", "token_accuracy", "next_sentence_accuracy"} <= set(one.metrics["test"])
    assert Split.load(Path(one.prepared) / "test.safetensors").rows > 0
    (answer,) = launcher.predict(one.folder, ["word1 [MASK] word2"])
    assert len(answer["words"]) == 1 and answer["text"] == f"word1 {answer['words'][0]} word2"
