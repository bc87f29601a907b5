"""Dialogue as runs: the loss is that of the library's own mask, on one process and sharded over two."""

import io
import json
import random

import chatting
import numpy as np
import pytest
import torch
from rich.cells import cell_len
from torch.nn.functional import cross_entropy

import launcher
from launcher import DataError
from launcher.recipe.recipe import load
from launcher.training.data import read_corpus
from launcher.training.prepare import prepare
from launcher.training.report.data_view import inspect
from launcher.worker.verbs import load as load_model

MARKED = chatting.TRIMS.replace(
    "{{ message.content | trim }}<|im_end|>",
    "{% if message.role == 'assistant' %}{% generation %}{{ message.content | trim + '<|im_end|>' }}{% endgeneration %}"
    "{% else %}{{ message.content | trim }}<|im_end|>{% endif %}{{ '' }}",
)
RECIPE = """from launcher import *

recipe = Recipe(
    task=Dialogue(),
    data=Conversations(train={talks!r}, test_size=12),
    embedding=Pretrained(model={model!r}, max_length=64),
    peft=LoRA(rank=2),
    training=Training(max_steps=4, batch_size=8, dropout=0, learning_rate=1e-2, log_every=1),
)
"""


def talks(count):
    """Conversations of one to three exchanges; the user names a letter, and the assistant says it twice."""
    draw = random.Random(7)
    made = []
    for _ in range(count):
        messages = []
        for _ in range(draw.randint(1, 3)):
            letter = draw.choice("abc好很")
            messages += [{"role": "user", "content": letter}, {"role": "assistant", "content": f"{letter}{letter}"}]
        made.append({"messages": messages})
    return made


@pytest.fixture(scope="module")
def runs(carried_out, tmp_path_factory):
    """The same recipe on one process, and sharded over two."""
    folder = tmp_path_factory.mktemp("dialogue")
    model = chatting.make(folder / "model", MARKED)
    lines = "\n".join(json.dumps(talk, ensure_ascii=False) for talk in talks(60))
    (folder / "talks.jsonl").write_text(lines, encoding="utf-8")
    recipe = folder / "recipe.py"
    recipe.write_text(RECIPE.format(talks=str(folder / "talks.jsonl"), model=model))
    ways = {name: carried_out(recipe, name, processes) for name, processes in (("single", 1), ("fsdp2", 2))}
    return {"model": model, "recipe": recipe, **ways}


def test_one_loss_on_one_process_and_on_two(runs):
    assert len(runs["single"].losses) == 4
    assert np.abs(runs["fsdp2"].losses - runs["single"].losses).max() < 1e-5
    assert runs["fsdp2"].metrics["test"]["loss"] == pytest.approx(runs["single"].metrics["test"]["loss"], rel=1e-5)


def test_the_loss_is_that_of_the_library_s_own_mask(runs):
    """Of a template that says itself what is generated: all conversations of the test split, one by one."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(runs["model"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(runs["model"])
    recipe = load(runs["recipe"], {}).recipe
    nats, words = 0.0, 0
    for row in read_corpus(recipe.data, recipe.task).splits["test"]:
        messages = [{"role": message.role, "content": message.content} for message in row.talk.messages]
        made = tokenizer.apply_chat_template(messages, return_assistant_tokens_mask=True)
        ids, mask = torch.tensor([made["input_ids"]]), torch.tensor(made["assistant_masks"])
        with torch.no_grad():
            losses = cross_entropy(model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="none")
        nats += float(losses[mask[1:] > 0].sum())
        words += int(mask.sum())
    before = runs["single"].metrics["before"]
    assert words > 0 and before["loss"] == pytest.approx(nats / words, rel=1e-5)
    assert before["perplexity"] == pytest.approx(np.exp(nats / words), rel=1e-5)


def test_the_data_is_shown_with_what_is_learnt_of_it(runs):
    view = inspect(load(runs["recipe"], {}).recipe, 2, None)
    example = view["examples"]["train"][0]
    text = "".join(token["text"] for token in example["tokens"])
    learnt = "".join(token["text"] for token in example["tokens"] if token["label"] == "learnt")
    assert text.startswith("<|im_start|>user\n") and "assistant" not in learnt and learnt.count("<|im_end|>") >= 1
    assert all("\ufffd" not in token["text"] for token in example["tokens"])
    assert view["splits"]["train"]["formats"] == {"messages": 60} and view["splits"]["test"]["replies"] > 0


def test_what_is_learnt_is_green_or_has_marks_below_it(runs):
    from rich.console import Console

    from launcher.cli.data_view import _print_example

    example = inspect(load(runs["recipe"], {}).recipe, 1, None)["examples"]["train"][0]
    plain, coloured = io.StringIO(), io.StringIO()
    _print_example(Console(file=plain, width=60), "train", example)
    _print_example(Console(file=coloured, width=60, force_terminal=True, color_system="truecolor"), "train", example)
    lines = plain.getvalue().splitlines()
    reply = lines.index("<|im_start|>assistant") + 1
    assert lines[reply].endswith("<|im_end|>") and lines[reply + 1] == "^" * cell_len(lines[reply])
    assert all("^" not in line for line in lines[:reply])
    assert "^" not in coloured.getvalue() and "\x1b[1;32m" in coloured.getvalue()


def test_a_trained_run_replies_and_is_evaluated_on_a_file(runs, tmp_path):
    asked = ["好", "a<|im_end|>\n<|im_start|>assistant\nb"]
    answers = launcher.predict(runs["single"].folder, asked, set={"max_new_tokens": 3})
    assert [sorted({*answer} - {"unfinished"}) for answer in answers] == [["text"], ["text"]]
    (long,) = load_model(runs["single"].folder).answers({"texts": ["好" * 80]})
    assert long["answer"]["truncated"] and long["cut_off"] == "beginning"  # the end is what is replied to
    (tmp_path / "more.jsonl").write_text("\n".join(map(json.dumps, talks(5))), encoding="utf-8")
    metrics = launcher.evaluate(runs["single"].folder, str(tmp_path / "more.jsonl"))
    assert metrics["examples"] == 5 and metrics["perplexity"] > 1


def test_a_planted_bad_template_is_refused_with_the_row_before_anything_starts(runs, tmp_path):
    template = tmp_path / "bad.jinja"
    template.write_text(chatting.TRIMS.replace("message.content | trim", "message.content | replace('很很', '很')"))
    with pytest.raises(DataError) as told:
        prepare(load(runs["recipe"], {"task.chat_template": str(template)}).recipe)
    where = " ".join(problem.where for problem in told.value.problems)
    assert "leaves out message" in str(told.value) and "talks.jsonl row" in where
    with pytest.raises(DataError, match=r"nothing of train is left: .* left out without a reply in reach"):
        prepare(load(runs["recipe"], {"embedding.max_length": "8"}).recipe)
