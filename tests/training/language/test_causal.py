"""Causal language models: documents in parts, one loss under every strategy and in parts, what is refused."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import two_stacks
from torch.nn.functional import cross_entropy

import launcher
from launcher import CausalLanguageModel, DataError, Dialogue, Pretrained, Summarisation, Table, Texts
from launcher.recipe.recipe import document, resolve
from launcher.training.batches.split import Split
from launcher.training.data import read_corpus
from launcher.training.sources.language_model import wrong_kind
from launcher.training.tasks.base import Reader
from launcher.training.tasks.causal_language_model import Work, cut
from launcher.worker import verbs

WORDS = ["the cat", "a dog", "今天天气", "ran", "sat on </s> it"]


@pytest.mark.parametrize(("length", "longest", "parts"), [(1, 8, 1), (8, 8, 1), (9, 8, 2), (15, 8, 2), (16, 8, 3)])
def test_every_token_but_the_first_is_said_once(length, longest, parts):
    rows = cut(list(range(length)), longest)
    assert len(rows) == parts
    assert all(len(row) <= longest for row in rows)
    assert [token for row in rows for token in row[1:]] == list(range(1, length))


def test_what_a_document_is(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("one\ntwo\n\n\nthree\n", encoding="utf-8")

    def texts(documents):
        data = Texts(train=str(path), validation=str(path), test=str(path), documents=documents)
        return [(row.text, row.where) for row in read_corpus(data, CausalLanguageModel()).splits["train"]]

    lines = [("one", "text.txt line 1"), ("two", "text.txt line 2"), ("three", "text.txt line 5")]
    assert texts("lines") == lines
    assert texts("blank lines") == [("one\ntwo", "text.txt line 1"), ("three", "text.txt line 5")]
    assert texts("files") == [("one\ntwo\n\n\nthree\n", "text.txt line 1")]


def test_a_table_has_them_in_a_column(tmp_path):
    path = tmp_path / "table.jsonl"
    path.write_text('{"text": "one"}\n{"text": ""}\n{"text": "two"}\n', encoding="utf-8")
    for data in (Texts(train=str(path), test_size=1, validation_size=0.1), Table(train=str(path), test_size=1)):
        with pytest.raises(DataError, match="cutting 1 for test and 1 for validation leaves nothing of the 2 usable"):
            read_corpus(data, CausalLanguageModel())
    data = Texts(train=str(path), validation=str(path), test=str(path))
    assert [row.text for row in read_corpus(data, CausalLanguageModel()).splits["train"]] == ["one", "two"]


@pytest.mark.parametrize(
    ("values", "task", "told"),
    [
        ({"model_type": "gpt2"}, CausalLanguageModel(), None),
        ({"model_type": "bert", "is_decoder": True}, CausalLanguageModel(), None),
        ({"model_type": "bert"}, CausalLanguageModel(), "'bert', which fills masks and continues no text"),
        ({"model_type": "roberta"}, CausalLanguageModel(), "'roberta', which fills masks and continues no text"),
        ({"model_type": "roberta", "is_decoder": True}, CausalLanguageModel(), "write from wrong positions"),
        ({"model_type": "xlm-roberta", "is_decoder": True}, Dialogue(), "write from wrong positions"),
        ({"model_type": "roberta", "is_decoder": True}, Summarisation(), None),  # such a task takes two stacks
    ],
)
def test_what_cannot_continue_a_text_is_refused(tmp_path, values, task, told):
    (tmp_path / "config.json").write_text(json.dumps(values))
    said = [problem.what for problem in wrong_kind(Pretrained(model=str(tmp_path)), task)]
    assert said == [] if told is None else told in said[0]


RECIPE = """from launcher import *

recipe = Recipe(
    task=CausalLanguageModel(),
    data=Texts(train={texts!r}),
    embedding=Pretrained(model={model!r}, max_length=24),
    peft=Full(),
    training=Training(max_steps=4, batch_size=8, dropout=0, learning_rate=1e-3, log_every=1),
)
"""


@pytest.fixture(scope="module")
def runs(carried_out, tmp_path_factory, tiny_llama):
    """The same recipe on one process, and on two under strategies that gather the head."""
    folder = tmp_path_factory.mktemp("causal")
    generator = np.random.default_rng(0)
    lines = [" ".join(generator.choice(WORDS, generator.integers(1, 9))) for _ in range(60)]
    (folder / "texts.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "recipe.py").write_text(RECIPE.format(texts=str(folder / "texts.txt"), model=tiny_llama))
    ways = {"single": 1, "fsdp2": 2, "zero3": 2}
    return {name: carried_out(folder / "recipe.py", name, processes) for name, processes in ways.items()}


def test_losses_are_those_of_a_plain_loop(runs, tiny_llama):
    """The first loss against the model's own logits, token for token."""
    from transformers import AutoModelForCausalLM

    run = runs["single"]
    split = Split.load(Path(run.prepared) / "train.safetensors")
    model = AutoModelForCausalLM.from_pretrained(tiny_llama).eval()
    nats = words = 0
    for row in range(split.rows):
        ids = torch.from_numpy(split.ragged("input_ids").row(row).astype(np.int64))[None]
        with torch.no_grad():
            logits = model(input_ids=ids).logits
        nats += cross_entropy(logits[0, :-1], ids[0, 1:], reduction="sum").item()
        words += ids.shape[1] - 1
    assert words == split.targets["loss"].sum()
    assert run.losses[0] == pytest.approx(nats / words, abs=0.1)  # of one batch of them
    before = run.metrics["before"]
    assert before["perplexity"] == pytest.approx(math.exp(before["loss"]), rel=1e-5)


def test_one_curve_under_every_strategy(runs):
    assert len(runs["single"].losses) == 4
    for name in ("fsdp2", "zero3"):
        assert np.abs(runs[name].losses - runs["single"].losses).max() < 1e-5, name
        assert runs[name].metrics["test"]["perplexity"] == pytest.approx(
            runs["single"].metrics["test"]["perplexity"], rel=1e-5
        )


def test_signs_of_the_tokenizer_in_a_text_are_text(runs):
    split = Split.load(Path(runs["single"].prepared) / "train.safetensors")
    ids = split.ragged("input_ids")
    ends = [np.flatnonzero(ids.row(row) == 1) for row in range(split.rows)]
    assert all(list(end) in ([], [len(ids.row(row)) - 1]) for row, end in enumerate(ends))


def test_a_saved_model_says_how_likely_a_text_is(runs):
    folder = Path(runs["single"].folder)
    one, other = launcher.predict(folder, ["the cat ran", "qqqq zzzz"])
    assert one["perplexity"] < other["perplexity"]
    assert one["tokens"] == len("the cat ran")


def test_signs_of_a_tokenizer_that_has_them_among_its_pieces_are_text():
    """Those of Unigram models, and of whole words, know them whatever they are told."""
    work = Work(CausalLanguageModel(), Reader((), two_stacks.tokenizer_of("t5"), 64))
    (ids,) = work.documents(["word1 </s> word2"])
    assert work.tokenizer.convert_ids_to_tokens(ids) == ["word1", "<unk>", "word2", "</s>"]


def test_the_facts_of_its_model_come_with_its_prepared_data(tmp_path, tiny_llama):
    """No process of its own has to import the libraries once more for them, before the first step of a new recipe."""
    path = tmp_path / "text.txt"
    path.write_text("\n".join(f"{n} the cat" for n in range(30)), encoding="utf-8")
    recipe = launcher.Recipe(
        task=CausalLanguageModel(),
        data=Texts(train=str(path)),
        embedding=launcher.Pretrained(model=tiny_llama),
        peft=launcher.Full(),
        training=launcher.Training(batch_size=8),
    )
    told = document(resolve(recipe, path, "", {}).recipe)
    prepared = verbs.prepare({"recipe": told})
    assert prepared["bound"] is None and prepared["model"]["parameters"]["total"] > 20_000
    assert verbs.facts({"recipe": told, "prepared": prepared}) == prepared["model"]
