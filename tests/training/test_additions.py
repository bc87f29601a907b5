"""A toy task, method, source and part beside its table, added by touching exactly the files that CONTRIBUTING's table
names, train on two processes.

The task makes two rows of each example and tells a number. The method lives on after it is applied: it acts after each
step, and what it counts survives a stop.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[2]
TOYS = Path(__file__).with_name("toys")

HALVES = """@noun
class Halves:
    head: ClassVar[Head] = "sequence"
    fields: ClassVar[tuple[Field, ...]] = (Field("text", "text"), Field("label", "number"))
    bodies: ClassVar[frozenset[Body]] = EVERY_BODY
    metrics: ClassVar[Metrics] = {"error": "min", "loss": "min"}
    kind: Literal["Halves"] = "Halves"


"""
TASK = {
    "recipe/task.py": [
        ("PlainTask = Annotated[", HALVES + "PlainTask = Annotated[Halves | "),
        ("\nTask = Annotated[", "\nTask = Annotated[Halves | "),
    ],
    "extend.py": [
        (
            "__all__ = [\n",
            'from launcher.training.tasks.x import Work as HalvesWork\n\n__all__ = [\n    "HalvesWork",\n',
        )
    ],
    "training/tasks/x.py": [("", (TOYS / "halves.py").read_text())],
    "training/tasks/__init__.py": [
        (
            "        case CustomTask():\n",
            "        case Halves():\n            from launcher.training.tasks import x\n\n"
            "            return x.Work(task, reader)\n        case CustomTask():\n",
        ),
        ("    CustomTask,\n", "    CustomTask,\n    Halves,\n"),
    ],
    "__init__.py": [
        ("    CustomTask,\n", "    CustomTask,\n    Halves,\n"),
        ('    "Full",\n', '    "Full",\n    "Halves",\n'),
    ],
}
ALTERNATE = """@noun
class Alternate(Method):
    strategies: ClassVar[frozenset[str]] = STEPPED
    usual_learning_rates: ClassVar[Mapping[str, float]] = NEW
    kind: Literal["Alternate"] = "Alternate"


"""
METHOD = {
    "recipe/method.py": [
        ("Peft = Annotated[", ALTERNATE + "Peft = Annotated["),
        (" | CustomMethod,", " | CustomMethod | Alternate,"),
    ],
    "training/methods/x.py": [
        (
            "",
            (TOYS / "alternate.py").read_text(),
        )
    ],
    "training/methods/__init__.py": [
        (
            "        case CustomMethod():\n            return user_method",
            "        case Alternate():\n            return x.Alternating()\n"
            "        case CustomMethod():\n            return user_method",
        ),
        ("import adalora, adapter", "import x, adalora, adapter"),
        ("    Adapter,\n", "    Adapter,\n    Alternate,\n"),
    ],
    "__init__.py": [
        ("    Adapter,\n", "    Adapter,\n    Alternate,\n"),
        ('    "Adapter",\n', '    "Adapter",\n    "Alternate",\n'),
    ],
}
VECTORS = "launcher.training.sources.vectors"
SOURCE = {
    "recipe/source.py": [
        (
            "Embedding = Annotated[",
            '@noun\nclass Hashed(Encoded):\n    kind: Literal["Hashed"] = "Hashed"\n    dimension: Width = 100\n\n\n'
            "Embedding = Annotated[",
        ),
        ("    | CustomEmbedding\n", "    | CustomEmbedding\n    | Hashed\n"),
    ],
    "training/sources/vectors/x.py": [
        (
            "",
            (TOYS / "hashed_characters.py").read_text() + "\nfrom launcher.training.sources.static.table import Table\n"
            "def table(embedding, words, sentences):\n"
            "    words.count(sentences)\n"
            "    return Table(vectors(['', '', *words.known()], embedding.dimension).astype('float32'), {})\n",
        )
    ],
    "training/sources/static_source.py": [
        (
            f"        case CustomEmbedding():\n            from {VECTORS} import user_vectors\n",
            f"        case Hashed():\n            from {VECTORS} import x\n\n"
            "            return x.table(source, words, sentences)\n"
            f"        case CustomEmbedding():\n            from {VECTORS} import user_vectors\n",
        ),
        ("RandomVectors | CustomEmbedding", "RandomVectors | CustomEmbedding | Hashed"),
        ("    CustomEmbedding,\n", "    CustomEmbedding,\n    Hashed,\n"),
    ],
    "__init__.py": [
        ("    BiLSTM,\n", "    BiLSTM,\n    Hashed,\n"),
        ('    "HeadOnly",\n', '    "Hashed",\n    "HeadOnly",\n'),
    ],
}
BESIDE = {
    "recipe/beside.py": [
        (
            "Beside = Annotated[",
            '@noun\nclass Firsts:\n    kind: Literal["Firsts"] = "Firsts"\n    fewest: Count = 1\n\n'
            "    @property\n    def reads(self):\n        return ()\n\n\nBeside = Annotated[",
        ),
        ("NgramBag | Lexicon,", "NgramBag | Lexicon | Firsts,"),
    ],
    "training/sources/static/x.py": [("", (TOYS / "firsts.py").read_text())],
    "training/sources/static/x_part.py": [("", (TOYS / "firsts_part.py").read_text())],
    "training/sources/static/beside.py": [
        (
            "        case _:\n",
            "        case Firsts():\n            return x.save(noun, tokenizer, train, folder)\n        case _:\n",
        ),
        ("import lexicon_files, ngrams", "import lexicon_files, ngrams, x"),
        ("import Beside, ", "import Beside, Firsts, "),
    ],
    "training/sources/static/parts.py": [
        ("        case _:\n", "        case Firsts():\n            return FirstsVector\n        case _:\n"),
        ("(LexiconVectors, ", "(FirstsVector, LexiconVectors, "),
        ("import Part\n", "import Part\nfrom launcher.training.sources.static.x_part import FirstsVector\n"),
        ("import Beside, ", "import Beside, Firsts, "),
    ],
    "training/memory/model_bound.py": [
        ("        case NgramBag():\n", "        case NgramBag() | Firsts():\n"),
        ("import Beside, ", "import Beside, Firsts, "),
    ],
    "__init__.py": [
        ("import Lexicon, ", "import Firsts, Lexicon, "),
        ('    "Freeze",\n', '    "Firsts",\n    "Freeze",\n'),
    ],
}


def named_in_the_table(what: str) -> set[str]:
    """The files of that row of CONTRIBUTING's table."""
    (row,) = (line for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if line.startswith(f"| {what} |"))
    return {name for name in re.findall(r"`([\w/]+\.py)`", row) if not name.startswith(("tests/", "docs/"))}


def test_the_toys_touch_what_the_table_names() -> None:
    assert named_in_the_table("a task") == set(TASK)
    assert named_in_the_table("a PEFT method") == set(METHOD)
    assert named_in_the_table("an embedding source") == set(SOURCE)
    assert named_in_the_table("something beside the table of a static source") == set(BESIDE)


def test_the_toys_train_on_two_processes(data, environment, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "launcher", tmp_path / "launcher", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "accelerate_configs").symlink_to(ROOT / "accelerate_configs")
    for edits in (TASK, METHOD, SOURCE, BESIDE):
        for name, changes in edits.items():
            path = tmp_path / "launcher" / name
            text = path.read_text() if path.exists() else ""
            for before, after in changes:
                assert text.count(before) == 1 or not before, (name, before)
                text = text.replace(before, after) if before else after
            path.write_text(text)
    texts = [line.split("\t")[0] for line in (data / "texts.tsv").read_text().splitlines()[1:]]
    table = tmp_path / "numbers.tsv"
    table.write_text("\n".join(["text\tlabel", *(f"{text}\t{len(text) / 10}" for text in texts)]))
    recipe = tmp_path / "toys.py"
    recipe.write_text(
        "from launcher import *\nrecipe = Recipe(\n    task=Halves(),\n"
        f"    data=Table(train={str(table)!r}),\n"
        "    embedding=Hashed(dimension=12, encoder=MeanPooling(hidden=8), beside=(Firsts(),)),\n"
        "    peft=Alternate(),\n"
        "    training=Training(batch_size=16, max_steps=4, checkpoint_every=2, evaluate_every=4),\n)\n"
    )
    words = [sys.executable, "-m", "launcher", "run", str(recipe), "--runs", str(tmp_path), "--name", "a"]

    its_own = {**environment, "PYTHONPATH": str(tmp_path)}

    def launch(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*words, *more], cwd=tmp_path, env=its_own, capture_output=True, text=True)

    done = launch("--processes", "2", "--strategy", "zero2")
    assert done.returncode != 0 and "Alternate acts within each step, and zero2" in done.stdout + done.stderr
    done = launch("--processes", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads((tmp_path / "a" / "outcome.json").read_text())
    assert outcome["world_size"] == 2 and outcome["proof"]["largest_logit_difference"] <= 1e-5
    # of the table and the weights and biases of two new layers every second one, and the new ones all the same
    assert outcome["parameters"] == {"total": 62 * 12 + 12 + 209, "trainable": 12 + (24 * 8 + 8) + (8 + 1)}
    assert outcome["proof"]["trained_tensors"] == 5
    assert outcome["strategy"] == "ddp"
    tested = outcome["metrics"]["test"]
    facts = json.loads(Path(json.loads((tmp_path / "a/plan.json").read_text())["prepared"], "facts.json").read_text())
    assert facts["rows"] == {name: 2 * examples for name, examples in facts["examples"].items()}
    assert tested["examples"] == facts["examples"]["test"] and tested["error"] != outcome["metrics"]["before"]["error"]
    assert facts["source"]["first_tokens"] > 0
    first = lived(tmp_path / "a")
    assert first["firsts.vector"].any()
    # stopped after step 2, it goes on under fsdp2: the count goes on too, and DTensors are clamped as tensors were
    shutil.rmtree(tmp_path / "a/model")
    (tmp_path / "a/outcome.json").unlink()
    (tmp_path / "a/attempts/1/outcome.json").unlink()
    shutil.rmtree(tmp_path / "a/attempts/1/checkpoints/step-00000004")
    done = launch("--processes", "2", "--strategy", "fsdp2", "--resume")
    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads((tmp_path / "a" / "outcome.json").read_text())
    assert outcome["strategy"] == "fsdp2" and "resumed at step 2 of 4" in done.stdout + done.stderr
    asked = [*words[:3], "predict", "a", "--runs", str(tmp_path), "word1 word2 word3", "word4", "--json"]
    told = subprocess.run(asked, cwd=tmp_path, env=its_own, capture_output=True, text=True)
    answers = json.loads(told.stdout)
    assert [(type(answer["number"]), answer["rows"]) for answer in answers] == [(float, 2)] * 2, told.stderr
    again = lived(tmp_path / "a")
    for name, value in first.items():
        assert abs(value - again[name]).max() <= 1e-5


def lived(run: Path) -> dict[str, np.ndarray]:
    """What is in the saved model, once it is seen that the method did and counted something at each of four steps."""
    (last,) = run.glob("attempts/*/checkpoints/step-00000004/rank-0.safetensors")
    assert load_file(last)["method.steps@0"] == 4
    saved = load_file(run / "model" / "model.safetensors")
    largest = [float(abs(value).max()) for value in saved.values()]
    assert sum(value == np.float32(0.1) for value in largest) >= 2
    return saved
