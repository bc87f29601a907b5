"""The card of a model: what it says of the run, in the hub's format, whatever names and labels hold."""

import dataclasses
import json

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from launcher import Full, Pretrained, Recipe, Table, TextClassification, Training
from launcher.plan.plan import from_document
from launcher.training.result import card, card_of_run
from launcher.training.result.markdown import code, row

LABELS = ["a|b", "`x`", "``", "<script>", "[link](x)", "好 评", "two\nlines", "*", " ", "\\"]


def tables(text):
    """Of a text in Markdown: the words of each cell of each table's rows."""
    found, cells = [], None
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            cells = []
        elif token.type == "tr_close":
            found[-1].append(cells)
            cells = None
        elif token.type == "inline" and cells is not None:
            cells.append("".join(part.content for part in token.children))
    return found


@pytest.mark.parametrize("text", [*LABELS, "a`", "|", "||", "a\\|b"])
def test_whatever_a_text_holds_it_is_shown_as_it_is(text):
    ((_, (_, shown, beside)),) = tables(f"{row('', 'what', '')}\n|---|---|---|\n{row('a', code(text), 'b')}\n")
    assert shown == (" ".join(text.splitlines()) if text.strip() else "(blank)") and beside == "b"


def test_a_card_of_odd_names_is_a_card(tmp_path):
    recipe = Recipe(
        task=TextClassification(),
        data=Table(train="of ada/评论|`a` <b>.csv", text="text", label="label"),
        embedding=Pretrained(model="ada/odd"),
        peft=Full(),
        training=Training(epochs=2),
    )
    card.write_card(None, recipe, LABELS, {"rows": {"train": 1234}, "max_length": 8}, tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert ModelCard(text).data.base_model == "ada/odd" and ModelCard(text).data.pipeline_tag == "text-classification"
    (about,) = tables(text)
    assert {len(cells) for cells in about} == {2}
    said = dict(about)
    assert said["labels"] == ", ".join(" ".join(label.splitlines()) if label.strip() else "(blank)" for label in LABELS)
    assert said["rows"] == "1,234 for train" and "# TextClassification on ``评论|`a` <b>.csv``" in text
    card.write_card(None, recipe, [f"label{number}" for number in range(400)], {}, tmp_path)
    assert "| 400: `label0`, " in (tmp_path / "README.md").read_text() and "label50" not in said["labels"]


def test_the_card_says_how_the_run_went(warm):
    run = warm.finished("bert", "LoRA", "single", 1, max_steps=8, evaluate_every=8).folder
    text = (run.path / "model" / "README.md").read_text(encoding="utf-8")
    about, metrics, training = tables(text)
    assert metrics[0] == ["", "test, before training", "validation", "test"]
    (accuracy,) = (cells for cells in metrics if cells[0] == "accuracy")
    told = json.loads(run.outcome.read_text())["metrics"]
    assert accuracy[1:] == [f"{told[when]['accuracy']:.4f}" for when in ("before", "validation", "test")]
    assert "trained tensors are as they were trained, bit by bit" in text
    said, plan = dict(training), json.loads(run.plan.read_text())
    assert said["command"].endswith("--strategy single --device cpu --set training.learning_rate=0.002")
    assert said["command"].startswith("launcher run ") and "--processes 1" in said["command"]
    assert said["data"].endswith(plan["data"]) and "torch 2." in said["versions"]
    assert said["base"].startswith(f"{warm.bert}: model.safetensors ") and '"kind": "LoRA"' in text
    assert {len(cells) for cells in [*about, *training]} == {2}
    assert ModelCard(text).data.tags == ["recipe-launcher"]


def test_the_command_of_several_machines_starts_as_many(warm):
    run = warm.finished("bert", "LoRA", "single", 1, max_steps=8, evaluate_every=8).folder
    one = from_document(json.loads(run.plan.read_text()))
    words = card_of_run.command(dataclasses.replace(one, nodes=2, world_size=8))
    assert words.startswith("launcher submit ") and "--nodes 2 --processes-per-node 4 --strategy" in words
