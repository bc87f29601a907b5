"""The documentation site: it builds without a word, says the same in both languages, and what it shows runs."""

import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import typed
from warm import Warm

from launcher.launch.request import Request
from launcher.plan.placement import Placement

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
BIN = Path(sys.executable).parent
GUIDES = [DOCS / page for page in re.findall(r"- ((?:index|guide/[\w-]+)\.md)", (ROOT / "mkdocs.yml").read_text())]
"""In the order of the navigation, in which a reader types what they show."""
CONSOLE = re.compile(r"^\$ (.*)$", re.MULTILINE)
FENCE = re.compile(r"```(\w+)[^\n]*\n(.*?)```", re.DOTALL)
ONE_LANGUAGE = {"slurm.md"}
"""Taken from slurm/README.md, which is English."""
ELSEWHERE = ("make ", "pip install", "launcher tensorboard", "launcher run mine.py --name h --machines")
"""Run by CI itself, by the tests of the README, or on several machines at once (tests/unit, tests/slurm)."""


def pairs() -> list[tuple[Path, Path]]:
    return [(page, page.with_suffix(".zh.md")) for page in GUIDES if page.name not in ONE_LANGUAGE]


def said(page: Path) -> tuple[list[str], list[tuple[str, str]], int]:
    text = page.read_text(encoding="utf-8")
    fences = [fence for fence in FENCE.findall(text) if fence[0] != "console" and not fence[1].startswith("data/")]
    return re.findall("^(#+) ", text, re.MULTILINE), fences, text.count("\n|")


def test_both_languages_have_the_same_headings_blocks_and_tables() -> None:
    assert len(pairs()) == 19
    for english, chinese in pairs():
        assert said(english) == said(chinese), english.name
        commands = [[line.split('"')[0] for line in CONSOLE.findall(page.read_text())] for page in (english, chinese)]
        assert commands[0] == commands[1], english.name
        assert re.search("[\u4e00-\u9fff]{5}", chinese.read_text(encoding="utf-8")), chinese.name


def test_the_site_builds_offline_without_a_warning(tmp_path: Path) -> None:
    told = subprocess.run(
        [str(BIN / "mkdocs"), "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
    )
    assert told.returncode == 0, told.stderr
    assert "WARNING" not in told.stderr, told.stderr
    commands = (tmp_path / "site" / "reference" / "cli.html").read_text(encoding="utf-8")
    assert all(f"launcher {verb}" in commands for verb in ("run", "submit", "predict", "recipes copy"))
    nouns = (tmp_path / "site" / "reference" / "nouns.html").read_text(encoding="utf-8")
    assert all(word in nouns for word in ("TextClassification", "label_smoothing", "LoRA", "alpha", "batch_size"))
    assert "词向量来源" in (tmp_path / "site" / "zh" / "guide" / "sources.html").read_text(encoding="utf-8")
    pages = list((tmp_path / "site").rglob("*.html"))
    fetched = [
        page for page in pages if re.search(r'<(script|link)[^>]+(src|href)="https?://', page.read_text("utf-8"))
    ]
    assert len(pages) > 60 and fetched == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples with small data of every kind that they name, and a tiny model."""
    place = tmp_path_factory.mktemp("docs")
    for path in (DOCS / "examples").glob("*.py"):
        shutil.copy(path, place)
    shutil.copytree(ROOT / "accelerate_configs", place / "accelerate_configs")
    texts = [(f"a fine and warm day {n}", "good") for n in range(40)] + [
        (f"cold rain again {n}", "bad") for n in range(40)
    ]
    (place / "data.csv").write_text("text,label\n" + "\n".join(f"{text},{label}" for text, label in texts))
    rows = [f"{text},{text if label == 'good' else 'no'},{label}" for text, label in texts]
    (place / "pairs.csv").write_text("premise,hypothesis,label\n" + "\n".join(rows))
    scores = [f"{one},{other},{len(one) / len(other):.2f}" for (one, _), (other, _) in itertools.pairwise(texts)]
    (place / "alike.csv").write_text("one,other,score\n" + "\n".join(scores))
    asked = [{"question": "which day", "context": text, "answers": text.split()[-1]} for text, _ in texts]
    (place / "answers.json").write_text(json.dumps(asked))
    found = [
        {"query": text.split()[-1], "positive": text, "negatives": [texts[n - 1][0]]}
        for n, (text, _) in enumerate(texts)
    ]
    for name in ("search.jsonl", "triplets.jsonl"):
        (place / name).write_text("\n".join(map(json.dumps, found)))
    lines = [json.dumps({"text": text, "labels": [label, "weather"]}) for text, label in texts]
    (place / "labels.jsonl").write_text("\n".join(lines))
    (place / "tags.conll").write_text("Anna B-PER\nsaw O\nnew B-LOC\nYork I-LOC\n\n" * 40)
    for label, name in (("good", "pos.txt"), ("bad", "neg.txt")):
        (place / name).write_text("\n".join(text for text, told in texts if told == label))
    words = sorted({word for text, _ in texts for word in text.split()})
    (place / "vectors.vec").write_text("\n".join(f"{word} 0.1 0.2 0.3 0.{n}" for n, word in enumerate(words)))
    subprocess.run([sys.executable, "-c", MODEL, *words], cwd=place, check=True)
    return place


MODEL = """
import sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast
words = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sys.argv[1:]])}
tokenizer = Tokenizer(models.WordLevel(words, "[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
names["mask_token"] = "[MASK]"
PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained("model")
size = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
BertForMaskedLM(BertConfig(vocab_size=len(words), **size)).save_pretrained("model")
"""


@pytest.fixture(scope="module")
def here(warm: Warm, folder: Path) -> Iterator[Warm]:
    """Its ranks are forked where the files are that the examples name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made = Warm(folder, warm.write, warm.bert)
        yield made
        made.close()


@pytest.mark.slow
def test_every_example_trains(here: Warm, folder: Path) -> None:
    examples = sorted(path.stem for path in (DOCS / "examples").glob("*.py") if "recipe = Recipe(" in path.read_text())
    assert len(examples) == 18
    shown = "".join(page.read_text(encoding="utf-8") for page in GUIDES)
    for name in examples:
        assert f'--8<-- "docs/examples/{name}.py"' in shown
        sets = {"training.max_steps": "2"}
        run = here.carry_out(Request(Path(f"{name}.py"), sets, Placement(), f"example-{name}", folder / "runs"))
        assert run.outcome and (run.outcome["status"], run.outcome["steps"]) == ("finished", 2), (name, run.failures())


def plain(line: str) -> tuple[str, ...]:
    """A command without what differs between two that do the same: the recipe, the run's name, how many steps."""
    words = re.sub(r"--name \w+|--set training.max_steps=\d+", "", line).split()
    return tuple("RECIPE" if word.endswith(".py") else word for word in words)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_command_runs(here: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or, but for the runs that commands after them are about, the test of the README runs it on another recipe."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the run in the background
    shown = list(dict.fromkeys(line for page in GUIDES for line in CONSOLE.findall(page.read_text(encoding="utf-8"))))
    commands = [line for line in shown if not line.startswith(ELSEWHERE)]
    assert len(shown) - len(commands) == 8
    assert len(commands) == 28
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    there = {plain(line) for block in blocks for line in block.splitlines()}
    wanted = ("launcher run", "launcher recipes copy")
    commands = [line for line in commands if line.startswith(wanted) or plain(line) not in there]
    assert len(commands) == 17, commands
    for line in commands:
        words = shlex.split(line)
        if words[:2] == ["launcher", "run"] and not any("max_steps" in word for word in words):
            words += ["--set", "training.max_steps=4"]
            if "--name" in words and "--resume" not in words:
                words += ["--overwrite"]
        assert words[0] == "launcher"
        if "--detach" in words:  # it forks the process in which it is typed
            told = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, check=False)
        else:
            told = typed(*words[1:], node=here.open())
        expected = 4 if "--resume" in words else 0  # run `a` is finished: nothing is left to resume, and it says so
        assert told.returncode == expected, f"{line}\n{told.stdout}\n{told.stderr}"
