"""Slices of numbered words, in the form of the files that a recipe reads, for a tiny BERT or Llama."""

import json
import random

import speaking
from numbered import WORDS, nested, questions, sentences
from small_bert import make_bert


def more_even(words):
    return int(2 * sum(int(word[4:]) % 2 == 0 for word in words) > len(words))


def tiny(bert):
    """The sets that put a tiny BERT, which has learnt nothing yet, in the place of MiniLM."""
    return {"embedding.model": bert, "training.learning_rate": 5e-3}


def conll(folder, bert):
    """Of ten words one is a person and one a place."""
    tags = {0: "I-PER", 1: "I-LOC"}
    for name, seed in (("eng.train", 11), ("eng.testa", 12)):
        told = [[f"{word} X X {tags.get(int(word[4:]) % 10, 'O')}\n" for word in s] for s in sentences(400, seed)]
        (folder / name).write_text("\n".join("".join(sentence) for sentence in told))
    return {"data.train": folder / "eng.train", "data.test": folder / "eng.testa", **tiny(bert)}


def sst2(folder, bert):
    """A text is good when it holds even words only, and bad with odd ones only."""
    for name in ("train", "validation"):
        told = [(words, index % 2) for index, words in enumerate(sentences(800, name))]
        rows = [f"{' '.join(f'word{int(w[4:]) // 2 * 2 + 1 - good}' for w in words)}\t{good}\n" for words, good in told]
        (folder / f"{name}.tsv").write_text("sentence\tlabel\n" + "".join(rows))
    return {
        "data.train": folder / "train.tsv",
        "data.test": folder / "validation.tsv",
        **tiny(bert),
        "training.epochs": 4,
    }


def answers(folder, bert):
    """A pair is right when its two texts together hold more even than odd words."""
    for name in ("train", "validation"):
        pairs = zip(sentences(800, f"{name} questions"), sentences(800, name), strict=True)
        rows = [
            {"question": " ".join(one), "sentence": " ".join(other), "label": str(more_even([*one, *other]))}
            for one, other in pairs
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"data.train": folder / "train.jsonl", "data.test": folder / "validation.jsonl", **tiny(bert)}


def questions_en(folder, bert):
    """As SQuAD 2.0: two words of the kind that is asked for, where the context has them."""
    for name in ("train", "dev"):
        (folder / f"{name}.json").write_text(json.dumps(nested(questions(800 if name == "train" else 200, name))))
    files = {"data.train": folder / "train.json", "data.test": folder / "dev.json"}
    return {**files, **tiny(bert), "training.epochs": 4, "training.learning_rate": 3e-3}


def questions_zh(folder, bert):
    """As CMRC 2018, in Chinese characters; the model's windows hold a part of the context."""
    characters = [chr(0x4E00 + number) for number in range(len(WORDS))]
    of_word = dict(zip(WORDS, characters, strict=True))
    for name in ("train", "dev"):
        rows = []
        for row in questions(800 if name == "train" else 200, name, unanswerable=0):
            context, asked = ([of_word[word] for word in row[field].split()] for field in ("context", "question"))
            answer = [of_word[word] for word in row["answers"][0]["text"].split()]
            asks = {"query_text": "".join(asked), "query_id": row["id"], "answers": [" ".join(answer)]}
            rows.append({"context_id": row["id"], "context_text": " ".join(context), "qas": [asks]})
        (folder / f"{name}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    files = {
        "data.train": folder / "train.json",
        "data.test": folder / "dev.json",
        "data.validation": folder / "dev.json",
    }
    model = {"embedding.model": make_bert(folder / "bert", characters), "embedding.max_length": 16}
    return {**files, **model, "training.epochs": 4, "training.learning_rate": 3e-3, "training.batch_size": 16}


def relations(folder, bert):
    """Two marked words belong together unless the second one is word3; the first one says in which direction."""
    generator = random.Random(17)
    for name in ("TRAIN_FILE.TXT", "TEST_FILE_FULL.TXT"):
        told = []
        for number, words in enumerate(sentences(800, name), 1):
            one, other = generator.choice("12"), generator.choice("123")
            label = "Other" if other == "3" else f"Together({'e1,e2' if one == '1' else 'e2,e1'})"
            at = generator.randrange(len(words) + 1)
            marked = [*words[:at], f"<e1>word{one}</e1>", *words[at:]]
            marked.insert(generator.randrange(len(marked) + 1), f"<e2>word{other}</e2>")
            told.append(f'{number}\t"{" ".join(marked)}"\n{label}\nComment:\n\n')
        (folder / name).write_text("".join(told))
    places = {"data.train": folder / "TRAIN_FILE.TXT", "data.test": folder / "TEST_FILE_FULL.TXT"}
    return {**places, **tiny(bert), "training.batch_size": 16}


def alike(folder, bert):
    """How much of two texts together are even words, from 0 to 5."""
    for name in ("train", "validation"):
        pairs = zip(sentences(800, f"{name} ones"), sentences(800, f"{name} others"), strict=True)
        rows = [
            (one, other, 5 * sum(int(w[4:]) % 2 == 0 for w in one + other) / len(one + other)) for one, other in pairs
        ]
        lines = [f"{' '.join(one)}\t{' '.join(other)}\t{score:.2f}\n" for one, other, score in rows]
        (folder / f"{name}.tsv").write_text("sentence1\tsentence2\tlabel\n" + "".join(lines))
    return {"data.train": folder / "train.tsv", "data.test": folder / "validation.tsv", **tiny(bert)}


def entailment(folder, bert):
    """Pairs in three classes: of even words only, of odd ones only, of both."""
    for name in ("train", "dev"):
        pairs = zip(sentences(900, f"{name} ones"), sentences(900, f"{name} others"), strict=True)
        rows = []
        for number, pair in enumerate(pairs):
            parity = (number % 3 > 0, number % 3 > 1)
            one, other = (
                " ".join(f"word{int(w[4:]) // 2 * 2 + odd}" for w in s) for s, odd in zip(pair, parity, strict=True)
            )
            label = ("entailment", "neutral", "contradiction")[number % 3]
            rows.append(json.dumps({"sentence1": one, "sentence2": other, "label": label}) + "\n")
        (folder / f"{name}.jsonl").write_text("".join(rows))
    return {"data.train": folder / "train.jsonl", "data.test": folder / "dev.jsonl", **tiny(bert)}


def few_labels(folder, bert):
    """As `sst2`, for a tiny language model that has learnt nothing yet: it needs more than 16 rows."""
    return {
        **sst2(folder, bert),
        "embedding.model": speaking.make("llama", folder / "model"),
        "task.template": "{text} word2 ",
        "task.words": json.dumps({"0": "word0", "1": "word1"}),
        "peft.targets": json.dumps(["q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]),
        "data.shots": 360,
        "training.epochs": 8,
        "training.learning_rate": 1e-2,
    }


def topics(folder, bert):
    """Four topics with words of their own, and vectors of random numbers for these words."""
    generator = random.Random(16)
    for name in ("train", "test"):
        rows = []
        for s in sentences(600, name):
            topic = generator.randrange(4)
            own = [f"word{4 * generator.randrange(15) + topic}" for _ in range(3)]
            rows.append(f"{' '.join([*s, *own])},{topic}\n")
        (folder / f"{name}.csv").write_text("text,label\n" + "".join(rows))
    vectors = [f"{word} {' '.join(f'{generator.gauss(0, 0.4):.4f}' for _ in range(50))}\n" for word in WORDS]
    (folder / "glove.txt").write_text("".join(vectors))
    return {
        "data.train": folder / "train.csv",
        "data.test": folder / "test.csv",
        "embedding.file": folder / "glove.txt",
    }


SLICES = {
    "alike_en": alike,
    "answers_en": answers,
    "conll2003_ner": conll,
    "entailment_zh": entailment,
    "few_labels_en": few_labels,
    "questions_en": questions_en,
    "questions_zh": questions_zh,
    "relations_en": relations,
    "sst2_lora": sst2,
    "topics_en": topics,
}
