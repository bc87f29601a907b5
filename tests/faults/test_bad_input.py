"""Wrong recipes, data and command lines: each told in the user's words, with place and cure, and nothing is left.

Every case goes through the real command line, most of them in this process; of each kind of refusal one is typed in a
process of its own (`ALONE`). The cases are data: see `Case`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from scene import RECIPE, Scene

DATA = 'LabelledFiles(train={"good": "good.txt", "bad": "bad.txt"})'
TASK = "task=TextClassification()"
SOURCE = "RandomVectors(dimension=16, encoder=MeanPooling(hidden=8))"
RUN = "run tiny.py --name r"


@dataclass(frozen=True)
class Case:
    """What is changed in the good recipe, files beside it, the command, the exit code, what must be told."""

    name: str
    code: int
    told: tuple[str, ...]
    changes: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    words: str = RUN
    environment: dict[str, str] = field(default_factory=dict)
    recipe: str | None = None


def table(content: str, name: str = "t.csv", **columns: str) -> tuple[dict[str, str], dict[str, str]]:
    """Changes and files for a recipe that reads one table."""
    options = "".join(f", {key}={value!r}" for key, value in columns.items())
    return {DATA: f'Table(train="{name}"{options})'}, {name: content}


def columns(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """Changes and files for a recipe that reads a CoNLL file."""
    return {DATA: 'Columns(train="t.conll")', TASK: "task=TokenClassification()"}, {"t.conll": text}


RECIPES = [
    Case("misspelt field", 2, ("Training.epoch: there is no such field", "did you mean 'epochs'?", "tiny.py:11"),
         {"epochs=1": "epoch=1"}),
    Case("wrong type", 2, ("Training.epochs: input should be a valid integer", "got '1'", "tiny.py:11"),
         {"epochs=1": 'epochs="1"'}),
    Case("two wrong fields", 2, ("Training.batch_size", "Training.epochs", "got 0", "got -1"),
         {"batch_size=8, epochs=1": "batch_size=0, epochs=-1"}),
    Case("shown, not run", 2, ("Training.epochs", "greater than or equal to 0"), {"epochs=1": "epochs=-1"},
         words="show tiny.py"),
    Case("a value without its name", 2, ("LoRA: write each value with its name",), {"Full()": "LoRA(8)"}),
    Case("a required field is missing", 2, ("Recipe.peft: this field is required",), {"    peft=Full(),\n": ""}),
    Case("a missing comma", 2, ("the recipe is not valid Python", "tiny.py:"), {"peft=Full(),": "peft=Full()"}),
    Case("no recipe in the module", 2, ("the module has no value `recipe`", "write `recipe = Recipe("),
         recipe="x = 1\n"),
    Case("another kind of recipe", 2, ("`recipe` is not a Recipe",), recipe="recipe = {}\n"),
    Case("breaks on import", 2, ("ZeroDivisionError", "tiny.py:2"), recipe="\nx = 1 / 0\n"),
    Case("ends the process", 2, ("ended the process while it was imported", "tiny.py:2"),
         recipe="import sys\nsys.exit(0)\n"),
    Case("start without its guard", 2, ("start(recipe) was reached while", '__name__ == "__main__"'),
         {'if __name__ == "__main__":\n    start': "start"}),
    Case("no such recipe", 2, ("no recipe file tine.py", "did you mean 'tiny.py'?"), words="run tine.py"),
    Case("a folder as a recipe", 2, ("no recipe file",), words="run ."),
    Case("impossible combinations", 3,
         ("LabelledFiles holds one label a text", "use TextClassification", "a bag of n-grams",
          "has no metric 'accuracy'", "cannot be shared evenly by 3 processes", "tiny.py:8", "tiny.py:9",
          "tiny.py:11"),
         {TASK: "task=TokenClassification()", "dimension=16": "dimension=16, beside=(NgramBag(),)",
          "epochs=1": 'select_by="accuracy"'},
         words=f"{RUN} --processes 3"),
    Case("text task, tagged data", 3, ("Columns holds one tag a token", "use TokenClassification"),
         {DATA: 'Columns(train="good.txt")'}),
    Case("no such pretrained folder", 2, ("models/gone",), {SOURCE: 'Pretrained(model="./models/gone")'}),
    Case("a broken fastText file", 2, ("vectors.bin",), {SOURCE: 'FastText(model="vectors.bin")'},
         {"vectors.bin": "this is not a fastText model"}),
]  # fmt: skip

DATA_FILES = [
    Case("missing file", 2, ("goood.txt", "did you mean"), {'"good.txt"': '"goood.txt"'}),
    Case("wrong column", 2, ("there is no column 'txet'", "did you mean 'text'?", "t.csv"),
         *table("text,label\na,b\nc,d\n", text="txet")),
    Case("unknown label", 2, ("the label 'bad' of train is not one of the labels", "first in", "bad.txt"),
         {TASK: 'task=TextClassification(labels=("good", "evil"))'}),
    Case("empty file", 2, ("empty", "empty.txt"), {'"good.txt"': '"empty.txt"'}, {"empty.txt": ""}),
    Case("ragged CoNLL", 2, ("the line has 3 columns, most lines have 2", "t.conll line 2"),
         *columns("a B-X\nb O extra\n\n")),
    Case("broken JSON", 2, ("t.jsonl", "2"), *table('{"text": "a", "label": "b"}\n{"text": "c", \n', "t.jsonl")),
    Case("one label only", 2, ("train holds one label only: 'good'", "two or more"), {', "bad": "bad.txt"': ""}),
    Case("two tag schemes", 2, ("the tags mix several schemes: B- (t.conll line 1), I-", "M- (t.conll line 4)"),
         *columns("a B-X\nb I-X\n\nc B-X\nd M-X\n\n")),
    Case("row without a label", 2, ("the row has no label", "t.csv row 3"), *table("text,label\na,b\nc,\nd,e\n")),
    Case("not a text file", 2, ("NUL",), {'"good.txt"': '"zero.txt"'}, {"zero.txt": "\0\0\0"}),
    Case("no such package", 2, ("the package nosuchpackage is not installed here", "pip install nosuchpackage"),
         {'"good.txt"': '"package:nosuchpackage/a.txt"'}),
    Case("nothing left to train on", 2, ("leaves nothing of the 200 usable rows of train", "data.validation_size"),
         {'"bad.txt"}': '"bad.txt"}, test_size=200'}),
    Case("a label that steers the terminal", 2, ("U+001B", "'\\x1b]0;x\\x07red'", "t.csv row 3"),
         *table("text,label\na,b\nc,\x1b]0;x\x07red\n"), words="data tiny.py"),
    Case("several labels on a line", 2,
         ("the line has 2 labels (a, b), and the task takes one", "t.txt line 2", "there is no file t.tx"),
         {DATA: 'LabelledLines(train=["t.txt", "t.tx"])', "start,": "start, LabelledLines,"},
         {"t.txt": "__label__a x\n__label__a __label__b y\n"}),
    Case("no such encoding", 2, ("Table.encoding: there is no text encoding 'utf9'", "tiny.py:8"),
         *table("text,label\na,b\nc,d\n", encoding="utf9"), words="data tiny.py --json"),
    Case("two broken files", 2, ("goood.txt", "bda.txt"), {'"good.txt"': '"goood.txt"', '"bad.txt"': '"bda.txt"'}),
]  # fmt: skip

WORDS = [
    Case("unknown strategy", 3, ("there is no strategy 'dpp'", "did you mean 'ddp'?"), words=f"{RUN} --strategy dpp"),
    Case("unknown device", 3, ("there is no device 'gpu'", "--device"), words=f"{RUN} --device gpu"),
    Case("cuda without CUDA", 3, ("no NVIDIA GPU can be seen here", "use --device cpu"), words=f"{RUN} --device cuda",
         environment={"CUDA_VISIBLE_DEVICES": ""}),
    Case("500 processes", 3, ("500 processes are more than makes sense", "give at most"),
         words=f"{RUN} --processes 500"),
    Case("no processes", 3, ("0 processes cannot train", "give at least 1"), words=f"{RUN} --processes 0"),
    Case("batch not divisible", 3, ("a global batch of 8 cannot be shared evenly by 3", "make it 6 or 9", "tiny.py:11"),
         words=f"{RUN} --processes 3"),
    Case("single with two", 3, ("strategy single is one process, not 2",),
         words=f"{RUN} --strategy single --processes 2"),
    Case("resume of a missing run", 4, ("there is no run 'r'",), words=f"{RUN} --resume"),
    Case("resume without a name", 4, ("no run of tiny.py to resume", "--name"), words="run tiny.py --resume"),
    Case("resume and overwrite", 2, ("exclude each other",), words=f"{RUN} --resume --overwrite"),
    Case("run name with a path", 4, ("'../x' cannot name a run", "use letters"), words="run tiny.py --name ../x"),
    Case("empty run name", 4, ("'' cannot name a run",), words="run tiny.py --name="),
    Case("--runs is a file", 4, ("cannot be written", "choose another --runs"), words=f"{RUN} --runs good.txt"),
    Case("unknown verb", 2, ("there is no verb 'trian'",), words="trian tiny.py"),
    Case("misspelt verb", 2, ("did you mean 'status'?",), words="statsu r"),
    Case("unknown option", 2, ("there is no option --proceses", "'--processes'?"), words=f"{RUN} --proceses 2"),
    Case("not a number", 2, ("--processes", "valid integer",), words=f"{RUN} --processes two"),
    Case("no recipe given", 2, ("Missing argument",), words="run"),
    Case("--set of an unknown name", 2, ("there is no training.epoch", "did you mean 'training.epochs'?", "--set"),
         words=f"{RUN} --set training.epoch=2"),
    Case("two wrong --set", 2, ("--set training.epochs=-1", "--set peft.rank=3"),
         words=f"{RUN} --set training.epochs=-1 --set peft.rank=3"),
    Case("--set without a value", 2, ("this is not KEY=VALUE",), words=f"{RUN} --set training.epochs"),
    Case("--set of a whole noun", 2, ("training is an object",), words=f"{RUN} --set training=1"),
    Case("predict with nothing", 2, ("give texts, or --file",), words="predict r"),
    Case("predict with both", 2, ("but not both",), words="predict r text --file good.txt"),
    Case("status of a missing run", 4, ("there is no run 'r'",), words="status r"),
    Case("logs of a missing run", 4, ("there is no run 'r'",), words="logs r"),
    Case("evaluate a missing run", 4, ("there is no run 'r'",), words="evaluate r"),
    Case("tensorboard of nothing", 4, ("there are no runs", "start one"), words="tensorboard"),
    Case("unknown shipped recipe", 2, ("there is no shipped recipe 'reviews'", "did you mean"),
         words="recipes copy reviews"),
]  # fmt: skip

CASES = [*RECIPES, *DATA_FILES, *WORDS]
ALONE = {
    *("misspelt field", "ends the process", "breaks on import", "start without its guard", "a broken fastText file"),
    *("missing file", "broken JSON", "a label that steers the terminal", "cuda without CUDA", "no recipe given"),
    *("--runs is a file", "unknown verb"),
}
"""Typed in a process of their own, whose imports take longer than all the others."""


def test_there_are_at_least_fifty_cases() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 50
    assert {case.name for case in CASES} > ALONE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_refused(scene: Scene, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.recipe.write_text(case.recipe if case.recipe is not None else RECIPE)
    if case.changes:
        scene.write_recipe(case.changes)
    for name, text in case.files.items():
        (scene.folder / name).write_text(text)
    before = contents(scene.folder)

    if case.name in ALONE:
        done = scene.launch(*case.words.split(), environment=case.environment)
    else:
        assert not case.environment
        done = scene.typed(monkeypatch, *case.words.split())

    assert done.returncode == case.code, done.stdout + done.stderr
    for part in case.told:
        assert part in done.stderr, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert all(character == "\n" or character.isprintable() for character in done.stderr)
    assert "--json" in case.words or done.stdout in ("", "preparing the data\n")
    assert contents(scene.folder) == before


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder; caches of imported modules apart."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("words", "family", "code"),
    [
        (f"{RUN} --set training.epochs=-1 --json", "recipe", 2),
        (f"{RUN} --processes 500 --json", "plan", 3),
        (f"{RUN} --resume --json", "backend", 4),
        ("status r --json", "backend", 4),
    ],
)
def test_json_carries_the_same_refusal(
    scene: Scene, words: str, family: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = scene.typed(monkeypatch, *words.split())
    assert done.returncode == code
    told = json.loads(done.stdout)
    assert told["error"] == family
    assert told["problems"][0]["what"] in done.stderr
