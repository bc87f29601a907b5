"""Small data and recipes that the tests make, and one way to run the launcher on them for real."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from debian import install
from numbered import WORDS, nested, questions, searches, sentences
from small_bert import make_bert


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """`texts.tsv` (a text is good when it holds more even than odd words) and `entities.conll`, 203 rows each.

    `several.tsv` (labels for words that end in 0, 1 and 2) and `pairs.tsv` (whether the first text is longer), too;
    `numbers.tsv` (the part of words that are even) and `alike.tsv` (the part of words that two texts share);
    `questions.json` (see `numbered.questions`); `search.jsonl` (see `numbered.searches`);
    and `relations.tsv` (which of two marked words is the larger one).
    """
    folder = tmp_path_factory.mktemp("data")
    with (folder / "texts.tsv").open("w") as file:
        file.write("text\tlabel\n")
        for words in sentences(203, 1):
            even = sum(int(word[4:]) % 2 == 0 for word in words)
            file.write(f"{' '.join(words)}\t{'good' if 2 * even > len(words) else 'bad'}\n")
    with (folder / "several.tsv").open("w") as file:
        file.write("text\tlabel\n")
        for words in sentences(203, 3):
            labels = sorted({f"ends{word[-1]}" for word in words if word[-1] in "012"})
            file.write(f"{' '.join(words)}\t{'|'.join(labels)}\n")
    with (folder / "pairs.tsv").open("w") as file:
        file.write("text\tother\tlabel\n")
        for one, other in zip(sentences(203, 4), sentences(203, 5), strict=True):
            label = "longer" if len(one) > len(other) else "shorter"
            file.write(f"{' '.join(one)}\t{' '.join(other)}\t{label}\n")
    with (folder / "numbers.tsv").open("w") as file:
        file.write("text\tlabel\n")
        for words in sentences(203, 6):
            file.write(f"{' '.join(words)}\t{sum(int(word[4:]) % 2 == 0 for word in words) / len(words):.3f}\n")
    with (folder / "alike.tsv").open("w") as file:
        file.write("text\tother\tlabel\n")
        for number, (one, more) in enumerate(zip(sentences(203, 7), sentences(203, 8), strict=True)):
            other = one[: number % (len(one) + 1)] + more
            alike = len({*one} & {*other}) / len({*one, *other})
            file.write(f"{' '.join(one)}\t{' '.join(other)}\t{alike:.3f}\n")
    (folder / "questions.json").write_text(json.dumps(nested(questions(203, 9))))
    (folder / "search.jsonl").write_text("\n".join(map(json.dumps, searches(203, 10))))
    with (folder / "relations.tsv").open("w") as file:
        file.write("text\tlabel\n")
        for number, words in enumerate(sentences(203, 9)):
            first, second = (number % (len(words) + 1), (3 * number + 1) % (len(words) + 2))
            words.insert(first, f"<e1>{'word1' if number % 3 else 'word2'}</e1>")
            words.insert(second, f"<e2>{'word1' if number % 2 else 'word2'}</e2>")
            label = ("same", "larger(e1,e2)", "larger(e2,e1)", "same")[(number % 3 > 0) * 2 + number % 2]
            file.write(f"{' '.join(words)}\t{label.replace('same', 'Other')}\n")
    with (folder / "entities.conll").open("w") as file:
        for words in sentences(203, 2):
            for word in words:
                file.write(f"{word} {'B-TEN' if int(word[4:]) % 10 == 0 else 'O'}\n")
            file.write("\n")
    return folder


@pytest.fixture(scope="session")
def chinese_font():
    """A font with Chinese characters, installed where none is; without one nothing can be said of such figures."""
    from launcher.training.report import fonts

    if fonts.fonts_for(["好"]).missing:
        install("fonts-wqy-zenhei")
        fonts._installed.cache_clear()
    if fonts.fonts_for(["好"]).missing:
        pytest.skip("no font with Chinese characters is installed here, and only root on Debian installs one")


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """A tiny BERT with a word-level vocabulary, saved as a local folder."""
    return make_bert(tmp_path_factory.mktemp("bert"), WORDS)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


RECIPE = """from launcher import *

recipe = Recipe(
    task={task},
    data={data},
    embedding={embedding},
    peft={peft},
    training=Training(batch_size=16, epochs=5, learning_rate=1e-2, dropout=0, log_every=1, {training}),
)

if __name__ == "__main__":
    start(recipe)
"""


TASKS = {
    "texts": "TextClassification()",
    "weighted": "TextClassification(class_weights='balanced', label_smoothing=0.1)",
    "several": "MultiLabelClassification(class_weights='balanced', label_smoothing=0.1)",
    "pairs": "TextClassification()",
    "entities": "TokenClassification()",
    "paths": "TokenClassification(crf=True)",
    "numbers": "Regression()",
    "alike": "Regression()",
    "questions": "QuestionAnswering()",
    "masked": "Prompted(template='{text} word2 {mask} .', words={'good': 'word0', 'bad': ('word1', 'word3')})",
    "causal": "Prompted(template='{text} word2 ', words={'good': 'word0', 'bad': 'word1'}, calibrate_by='word7')",
    "filled": "MaskedLanguageModel()",
    "continued": "CausalLanguageModel()",
    "relations": "RelationExtraction()",
    "search": "TextEmbedding(temperature=0.1, sizes=(8,))",
    "ordered": "TextEmbedding(loss='cosent', temperature=0.1)",
    "reranked": "Reranker()",
    "focal": "CustomTask(file='focal.py', options={'gamma': 1.5}, metrics={'errors': 'min'})",
}
TOYS = Path(__file__).with_name("toys")
"""Files of a user's own, as recipes name them."""


@pytest.fixture
def write_recipe(data, tmp_path):
    """Write a recipe over the small data: `kind` is texts or entities; the other nouns as source text."""

    def write(embedding, kind="texts", peft="Full()", training=""):
        path = tmp_path / "small.py"
        path.write_text(recipe_source(data, embedding, kind, peft, training))
        return path

    return write


def recipe_source(data, embedding, kind, peft, training):
    files = dict.fromkeys(("entities", "paths"), "entities.conll") | {"questions": "questions.json"}
    files |= {"search": "search.jsonl", "reranked": "search.jsonl", "ordered": "alike.tsv"}
    files |= {name: f"{name}.tsv" for name in ("several", "pairs", "numbers", "alike", "relations")}
    file = str(data / files.get(kind, "texts.tsv"))
    rows = f"Columns(train={file!r})" if kind in ("entities", "paths") else f"Table(train={file!r})"
    if kind in ("search", "reranked"):
        rows = f"Pairs(train={file!r}, negatives='negatives')"
    if kind in ("pairs", "alike", "ordered"):
        rows = f"Table(train={file!r}, text_pair='other')"
    if kind == "questions":
        rows = f"Questions(train={file!r})"
    return RECIPE.format(task=TASKS[kind], data=rows, embedding=embedding, peft=peft, training=training)


@pytest.fixture(scope="session")
def warm(data, cache, tmp_path_factory):
    """Many runs under any strategy, each made once (warm.py)."""
    from command_line import in_this_process
    from warm import Warm

    from launcher.launch import run_request

    folder = tmp_path_factory.mktemp("warm")
    for toy in TOYS.glob("*.py"):
        shutil.copy(toy, folder)

    def write(embedding, kind, peft, training, before):
        source = recipe_source(data, embedding, kind, peft, training)
        path = folder / f"recipe_{hashlib.sha256((before + source).encode()).hexdigest()[:12]}.py"
        path.write_text(before + source)
        return path

    big = make_bert(tmp_path_factory.mktemp("bert"), [*WORDS, "@", "#", *(f"unnamed{n}" for n in range(98))])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECIPE_LAUNCHER_CACHE", str(cache))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(run_request, "heavy", in_this_process)
        made = Warm(folder, write, big)
        yield made
        made.close()


class Run:
    """A run that has ended: its outcome, its losses, its folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.outcome = json.loads((self.folder / "outcome.json").read_text())
        lines = (self.folder / "events.jsonl").read_text().splitlines()
        self.losses = [json.loads(line)["loss"] for line in lines]


@pytest.fixture
def environment(cache):
    return {**os.environ, "RECIPE_LAUNCHER_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}


@pytest.fixture
def launch(tmp_path, environment):
    """`launch(recipe, "--processes", 2)`: run to the end through the command line, with exit code 0."""
    count = 0

    def run(recipe, *arguments, command=(sys.executable, "-m", "launcher", "run")):
        nonlocal count
        count += 1
        words = [*command, recipe, "--runs", tmp_path / "runs", "--name", f"r{count}", *arguments]
        done = subprocess.run([str(w) for w in words], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return Run(tmp_path / "runs" / f"r{count}")

    return run


@pytest.fixture(scope="module")
def deep_bert(bert, tmp_path_factory):
    """Six layers, wide enough that its memory is not that of scalars."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("deep") / "bert"
    shutil.copytree(bert, folder)
    sizes = {"hidden_size": 128, "num_hidden_layers": 6, "num_attention_heads": 4, "intermediate_size": 256}
    BertModel(BertConfig(vocab_size=64, **sizes)).save_pretrained(folder)
    return folder


@pytest.fixture
def facts_of(write_recipe, cache, monkeypatch):
    """`(recipe, prepared, facts)` of a small recipe."""
    from launcher.plan.model_facts import facts_from
    from launcher.recipe.recipe import load
    from launcher.training.memory.facts import model_facts
    from launcher.training.prepare import prepare

    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(cache))

    def find(embedding, **nouns):
        recipe = load(write_recipe(embedding, **nouns)).recipe
        prepared = prepare(recipe)
        return recipe, prepared, facts_from(model_facts(recipe, prepared))

    return find
