"""How texts are cut where the recipe leaves it open: told, recorded, and the same for whoever uses the model."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from launcher.recipe.data import Columns, Table
from launcher.recipe.method import Full
from launcher.recipe.recipe import Recipe
from launcher.recipe.source import FastText, MeanPooling, RandomVectors, WordVectors
from launcher.recipe.task import MultiLabelClassification, TextClassification, TokenClassification
from launcher.recipe.training import Training
from launcher.training.data import scripts
from launcher.training.initial_model import initial_model
from launcher.training.prepare import prepare
from launcher.training.result.inference import predict
from launcher.training.result.model_folder import load_saved_model, save_model
from launcher.training.sources.cut_choice import chosen, settled
from launcher.training.sources.vectors import fasttext_vectors

WORDS = "我们 喜欢 北京 天气 电影 非常 好看 不 酒店 房间 干净 服务 态度 一般 价格 便宜 的 很 书 内容".split()  # noqa: SIM905
SMALL = MeanPooling(hidden=4)


def chinese(count: int, between: str = "") -> list[str]:
    chance = random.Random(0)
    return [between.join(chance.choices(WORDS, k=9)) + "。" for _ in range(count)]


def rare(count: int) -> list[str]:
    """Lists of names: most of these words stand nowhere else, and all texts share their characters."""
    chance, given = random.Random(0), "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰建国志文晓红小燕春梅"
    return [
        "、".join(chance.choice("王李张刘陈杨赵黄周吴") + "".join(chance.choices(given, k=2)) for _ in range(6))
        for _ in range(count)
    ]


def recipe(source: Any, data: Any = None, task: Any = None) -> Recipe:
    data = data or Table(train="x")
    return Recipe(task=task or TextClassification(), data=data, embedding=source, peft=Full(), training=Training())


ENGLISH = ["I don't like rain.", "a good-looking film, so it is"] * 50
TEXTS = {
    "Chinese whose words are few": (chinese(200), "jieba"),
    "Chinese whose words are new": (rare(200), "characters"),
    "pairs": ([(one, one) for one in chinese(100)], "jieba"),
    "English": (ENGLISH, "words"),
    "English with a name": ([*ENGLISH, "the 北京 film"], "words"),
    "half and half": ([f"{one} and this is a good film" for one in chinese(100)], "jieba"),
    "Chinese that is cut already": (chinese(100, " "), "words"),
    "Japanese": (["東京の天気はとてもいいです。", "この映画はおもしろかった。"] * 50, "characters"),
    "Korean": (["이 영화는 정말 재미있다.", "날씨가 좋습니다"] * 50, "words"),
    "Thai": (["อากาศดีมาก", "หนังเรื่องนี้สนุก"] * 50, "characters"),
}


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("source", [RandomVectors(encoder=SMALL), FastText(encoder=SMALL)], ids=["random", "fastText"])
def test_it_is_decided_from_the_text(name: str, source: Any) -> None:
    texts, wanted = TEXTS[name]
    cut = chosen(recipe(source), texts)
    if wanted == "words":
        assert (cut.tokens, cut.line) == ("whitespace" if isinstance(source, FastText) else "words", "")
    else:
        told = {"jieba": "words that jieba finds", "characters": "characters"}[wanted]
        assert cut.tokens == wanted and cut.line.startswith(f"texts are cut into {told}: ")
    known = settled(recipe(source), cut.tokens).embedding
    assert known.tokens == cut.tokens and settled(recipe(known), "characters").embedding.tokens == cut.tokens


@pytest.mark.parametrize(("held", "wanted"), [(WORDS, "jieba"), (sorted(set("".join(WORDS))), "characters")])
def test_it_is_decided_from_the_words_that_have_a_vector(tmp_path: Path, held: list[str], wanted: str) -> None:
    vec = tmp_path / "zh.vec"
    vec.write_text(f"{len(held) + 1} 2\n" + "".join(f"{word} 0.5 1\n" for word in [*held, "。"]), encoding="utf-8")
    cut = chosen(recipe(WordVectors(file=str(vec), encoder=SMALL)), chinese(100))
    assert cut.tokens == wanted and "have a vector" in cut.line
    source = FastText(dimension=2, epochs=1, buckets=9, tokens="whitespace")
    lines = [[word for word in held if word in line] for line in chinese(50)]
    model = fasttext_vectors.train_vectors(source, lines, tmp_path)
    assert chosen(recipe(FastText(model=str(model), encoder=SMALL)), chinese(100)).tokens == wanted


def test_scripts_are_counted_by_words_where_blanks_part_them() -> None:
    look = scripts.look(["我们 like 북경 ひと ไป", "don't"])
    assert (look.han, look.kana, look.others, look.words) == (2, 2, 2, 4)


def table(folder: Path, texts: list[str]) -> Table:
    path = folder / "t.jsonl"
    rows = [json.dumps({"text": text, "label": "好" if "好看" in text else "坏"}) for text in texts]
    path.write_text("\n".join(rows), encoding="utf-8")
    return Table(train=str(path))


@pytest.mark.parametrize("task", [TextClassification(), MultiLabelClassification()])
def test_it_is_recorded_and_told_and_what_is_asked_for_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: Any
) -> None:
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    data = table(tmp_path, chinese(300))
    facts = prepare(recipe(RandomVectors(encoder=SMALL), data, task))
    assert facts["cut"]["tokens"] == "jieba" and "jieba finds: Chinese stands" in facts["cut"]["line"]
    assert not [note for note in facts["report"]["warnings"] if "unknown" in note]
    facts = prepare(recipe(RandomVectors(encoder=SMALL, tokens="words"), data, task))
    assert facts["cut"] is None
    (note,) = [note for note in facts["report"]["warnings"] if "unknown" in note]
    assert note.startswith("validation: ") and "leave embedding.tokens out" in note and "'characters'" in note
    share = float(note.split()[1].removesuffix("%"))
    assert share > 10 and share == pytest.approx(100 * unknown_share(Path(facts["folder"])), abs=0.05)


def unknown_share(folder: Path) -> float:
    from launcher.training.batches.split import Split

    ids = Split.load(folder / "validation.safetensors").token_ids
    return float((ids == 1).mean())


def test_rows_of_characters_are_what_predict_cuts_a_text_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECIPE_LAUNCHER_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "t.conll"
    tagged = [
        "\n".join(
            f"{character} {'B-CITY' if character == '北' else 'I-CITY' if character == '京' else 'O'}"
            for character in text
        )
        for text in chinese(120)
    ]
    path.write_text("\n\n".join(tagged), encoding="utf-8")
    made = recipe(RandomVectors(encoder=SMALL), Columns(train=str(path)), TokenClassification())
    facts = prepare(made)
    assert facts["cut"] == {"tokens": "characters", "line": "texts are cut into characters: so are the rows"}
    prepared, folder = Path(facts["folder"]), tmp_path / "model"
    model = initial_model(made, facts["labels"], prepared)
    model.classifier.bias.data[:] = 0.0
    model.classifier.bias.data[facts["labels"].index("B-CITY")] = 50.0  # type: ignore[union-attr]
    save_model(model, made, facts["labels"], prepared, facts["max_length"], folder)
    assert json.loads((folder / "launcher.json").read_text())["recipe"]["task"]["tokens"] == "characters"
    (answer,) = predict(load_saved_model(folder), ["在北京见"])
    assert [(one["text"], one["start"]) for one in answer["entities"]] == [("在", 0), ("北", 1), ("京", 2), ("见", 3)]
