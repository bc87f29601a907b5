"""Damage of Arrow files, which Arrow itself believes; and texts of which a tokenizer makes nothing."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from launcher.errors import DataError, RecipeError
from launcher.recipe.data import Columns, Data, Table
from launcher.recipe.method import Full
from launcher.recipe.recipe import Recipe
from launcher.recipe.source import MeanPooling, Pretrained, RandomVectors
from launcher.recipe.task import MultiLabelClassification, PlainTask, TextClassification, TokenClassification
from launcher.recipe.training import Training
from launcher.training.data import read_rows, read_texts
from launcher.training.memory.facts import model_facts
from launcher.training.prepare import prepare
from launcher.training.sources.reference import source_folder

TEXTS = TextClassification()


def rows(place: Path) -> int:
    return len(read_rows(Table(train="x"), TEXTS, str(place)))


def columns() -> dict[str, list[str]]:
    return {"text": [f"text number {number} of all" for number in range(50)], "label": ["a", "b"] * 25}


def test_bytes_of_parquet_that_are_no_utf8_are_refused_with_the_column(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns()), path, compression="none")
    whole = path.read_bytes()
    assert rows(path) == 50
    place = whole.index(b"text number 7 of")
    path.write_bytes(whole[:place] + b"\xb4" + whole[place + 1 :])
    for read in (rows, lambda path: read_texts(path)):
        with pytest.raises(DataError, match=r"column 'text' is damaged: Invalid UTF8.*\n.*t\.parquet"):
            read(path)


def test_no_flipped_bit_of_a_saved_data_set_ends_in_a_traceback(tmp_path: Path) -> None:
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    folder, chance, refused = tmp_path / "saved", random.Random(1), 0
    Dataset.from_dict(columns()).save_to_disk(str(folder))
    (path,) = folder.glob("*.arrow")
    whole = path.read_bytes()
    for _ in range(80):
        flipped, bit = bytearray(whole), chance.randrange(8 * len(whole))
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            assert rows(folder) == 50
        except DataError:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("task", [TEXTS, MultiLabelClassification(), TokenClassification()])
def test_a_text_of_which_the_tokenizer_makes_nothing_has_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: PlainTask
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "[PAD]": 2}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]").save_pretrained(tmp_path / "m")
    BertConfig(vocab_size=3, hidden_size=8, num_hidden_layers=1, num_attention_heads=1).save_pretrained(tmp_path / "m")
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    if isinstance(task, TokenClassification):
        (tmp_path / "t").write_text("a O\nzz B-X\n\nzz O\n\n" * 20)
        data: Data = Columns(train=str(tmp_path / "t"))
    else:
        (tmp_path / "t.csv").write_text("text,label\n" + "a b,x\nzz,y\n" * 20)
        data = Table(train=str(tmp_path / "t.csv"))
    source = Pretrained(model=str(tmp_path / "m"))
    facts = prepare(Recipe(task=task, data=data, embedding=source, peft=Full(), training=Training()))
    assert facts["rows"]["train"] == 32


def test_a_model_that_is_larger_than_the_machine_is_refused_before_it_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from launcher.errors import PlanError

    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "t.csv").write_text("text,label\n" + "a b,x\nzz,y\n" * 20)
    source = RandomVectors(dimension=2**16, encoder=MeanPooling(hidden=2**16))
    recipe = Recipe(
        task=TEXTS, data=Table(train=str(tmp_path / "t.csv")), embedding=source, peft=Full(), training=Training()
    )
    monkeypatch.setattr("os.sysconf", lambda name: 2**17 if name == "SC_PHYS_PAGES" else 2**12)
    with pytest.raises(PlanError, match=r"weights, which take .* GB, .*; this machine has 0\.5 GB"):
        model_facts(recipe, prepare(recipe))


@pytest.mark.parametrize("address", ["https://huggingface.co/owner/model", "hub:owner/model"])
def test_an_address_is_no_folder(address: str) -> None:
    with pytest.raises(RecipeError, match="a model of the hub is written 'owner/model'"):
        source_folder(address)
    with pytest.raises(RecipeError, match="download it"):
        source_folder("https://example.org/crawl.vec.gz")
