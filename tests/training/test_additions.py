"""A toy method and a toy source, added by touching exactly the files that CONTRIBUTING's table names, train on two."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOYS = Path(__file__).with_name("toys")

ALTERNATE = """@noun
class Alternate:
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
            "def apply(model, new_modules):\n"
            "    for number, (name, parameter) in enumerate(model.named_parameters()):\n"
            "        parameter.requires_grad_(number % 2 == 1 or name.split('.')[0] in new_modules)\n"
            "    return model\n",
        )
    ],
    "training/methods/__init__.py": [
        (
            "        case CustomMethod():\n            return user_method.apply",
            "        case Alternate():\n            return x.apply(model, new_modules)\n"
            "        case CustomMethod():\n            return user_method.apply",
        ),
        ("isinstance(method, selected.Selected)", "isinstance(method, selected.Selected | Alternate)"),
        ("import adapter, four_bit", "import x, adapter, four_bit"),
        ("import Adapter, ", "import Alternate, Adapter, "),
    ],
    "__init__.py": [
        ("import Adapter, ", "import Alternate, Adapter, "),
        ('    "Adapter",\n', '    "Adapter",\n    "Alternate",\n'),
    ],
}
VECTORS = "launcher.training.sources.vectors"
SOURCE = {
    "recipe/source.py": [
        (
            "Embedding = Annotated[",
            '@noun\nclass Hashed(Static):\n    kind: Literal["Hashed"] = "Hashed"\n    dimension: Width = 100\n\n\n'
            "Embedding = Annotated[",
        ),
        (" | CustomEmbedding,", " | CustomEmbedding | Hashed,"),
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
        ("import CustomEmbedding, ", "import CustomEmbedding, Hashed, "),
    ],
    "__init__.py": [
        ("    BiLSTM,\n", "    BiLSTM,\n    Hashed,\n"),
        ('    "HeadOnly",\n', '    "Hashed",\n    "HeadOnly",\n'),
    ],
}


def named_in_the_table(what: str) -> set[str]:
    """The files of that row of CONTRIBUTING's table."""
    (row,) = (line for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if line.startswith(f"| {what} |"))
    return set(re.findall(r"`([\w/]+\.py)`", row))


def test_the_toys_touch_what_the_table_names() -> None:
    assert named_in_the_table("a PEFT method") == set(METHOD)
    assert named_in_the_table("an embedding source") == set(SOURCE)


def test_the_toys_train_on_two_processes(data, environment, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "launcher", tmp_path / "launcher", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "accelerate_configs").symlink_to(ROOT / "accelerate_configs")
    for edits in (METHOD, SOURCE):
        for name, changes in edits.items():
            path = tmp_path / "launcher" / name
            text = path.read_text() if path.exists() else ""
            for before, after in changes:
                assert text.count(before) == 1 or not before, (name, before)
                text = text.replace(before, after) if before else after
            path.write_text(text)
    recipe = tmp_path / "toys.py"
    recipe.write_text(
        "from launcher import *\nrecipe = Recipe(\n    task=TextClassification(),\n"
        f"    data=Table(train={str(data / 'texts.tsv')!r}),\n"
        "    embedding=Hashed(dimension=12, encoder=MeanPooling(hidden=8)),\n    peft=Alternate(),\n"
        "    training=Training(batch_size=16, max_steps=4),\n)\n"
    )
    words = [sys.executable, "-m", "launcher", "run", str(recipe), "--runs", str(tmp_path), "--name", "a"]
    done = subprocess.run(
        [*words, "--processes", "2"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads((tmp_path / "a" / "outcome.json").read_text())
    assert outcome["world_size"] == 2 and outcome["proof"]["largest_logit_difference"] <= 1e-5
    # of the table and the weights and biases of two new layers every second one, and the new ones all the same
    assert outcome["parameters"] == {"total": 62 * 12 + 218, "trainable": (24 * 8 + 8) + (8 * 2 + 2)}
    assert outcome["proof"]["trained_tensors"] == 4
