"""Slices for the recipes of language: each is learnt in a few steps by a tiny model."""

import json
import random

import chatting
from numbered import sentences
from slices_of_chinese import lines
from small_bert import make_bert

SMALL_TWO = {"d_model": 64, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128}
SMALL_TWO |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 80}
QUICK = {
    "training.max_steps": 60,
    "training.batch_size": 16,
    "training.learning_rate": 1e-2,
    "training.generate_rows": 8,
}
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
    longer = {"training.max_steps": 120, "training.learning_rate": 3e-3}
    return {**places, **QUICK, **longer, "embedding.config": json.dumps(network), "embedding.tokenizer.tokens": 300}


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


def language(folder, bert):
    """Lines that go on in one order from some character, each of two sentences."""
    characters, told = [chr(0x4E00 + 17 * k) for k in range(30)], []
    for number in range(1600):
        words = [f"{characters[(number + k) % 30]}/n" for k in range(16)]
        told.append("  ".join([*words[:8], "。/w", *words[8:]]))
    (folder / "199801.txt").write_text("\n".join(told), encoding="utf-8")
    return {"data.train": folder / "199801.txt", "training.batch_size": 32, "training.max_steps": 40}


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
    sets |= {
        "data.train": json.dumps({name: str(file) for name, file in files.items()}),
    }
    return {**sets, "data.validation_size": 100, "data.test_size": 150, "training.evaluate_every": 40}


def masked(folder, bert):
    """As `language`."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = {"model_type": "bert", **sizes, "max_position_embeddings": 48}
    sets = {"embedding.config": json.dumps(config), "embedding.tokenizer.tokens": 300}
    return {**language(folder, bert), **sets, "training.learning_rate": 1e-2}


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
        "training.max_steps": 50,
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
    "causal_zh": causal,
    "causal_zh_streamed": causal_streamed,
    "dialogue_7b": dialogue_7b,
    "dialogue_en": dialogue_en,
    "dialogue_zh": dialogue_zh,
    "masked_zh": masked,
    "titles_zh": titles,
    "translation_en_de": captions,
    "translation_en_zh": into_chinese,
}
