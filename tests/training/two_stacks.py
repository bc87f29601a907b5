"""Tiny encoder-decoders with random weights over numbered words, and a corpus in which a text is to be reversed."""

import random

from numbered import WORDS

SIZES = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2}
SIZES |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "max_position_embeddings": 64}
KINDS = {
    "t5": ("T5", {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}),
    "bart": ("Bart", {**SIZES, "decoder_start_token_id": 2}),
    "marian": ("Marian", {**SIZES, "decoder_start_token_id": 0}),
    "pegasus": ("Pegasus", {**SIZES, "decoder_start_token_id": 0}),
    "mbart": ("MBart", SIZES),
}
NAMES = ["<pad>", "<s>", "</s>", "<unk>", "en_XX", "zh_CN", *WORDS]
"""T5 and Marian put an end behind a text; BART a beginning before it, too; mBART the language behind the end."""
NUMBERS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "forced_eos_token_id": None}


def tokenizer_of(kind):
    """Words parted by white space."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    if kind == "bart":
        special["bos_token"] = "<s>"
    if kind == "mbart":
        vocabulary = [(name, -float(number)) for number, name in enumerate(["<s>", "<pad>", "</s>", "<unk>"])]
        vocabulary += [(f"▁{word}", -2.0) for word in WORDS] + [("▁", -9.0)]
        return transformers.MBartTokenizer(vocab=vocabulary, src_lang="en_XX", tgt_lang="zh_CN")
    tokenizer = Tokenizer(models.WordLevel({name: n for n, name in enumerate(NAMES)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    before = "<s> " if kind == "bart" else ""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{before}$A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def make(kind, folder, **settings):
    """The model and its tokenizer in `folder`, which is returned."""
    import transformers

    name, sizes = KINDS[kind]
    tokenizer = tokenizer_of(kind)
    transformers.set_seed(5)
    numbers = NUMBERS
    if kind == "mbart":
        numbers = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id, "bos_token_id": 0}
    config = getattr(transformers, f"{name}Config")(
        vocab_size=len(tokenizer), **{**sizes, **numbers, "tie_word_embeddings": True, **settings}
    )
    head = "MTModel" if name == "Marian" else "ForConditionalGeneration"
    getattr(transformers, name + head)(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def write_reversed(folder, rows, seed, words=12, shortest=1, longest=6):
    """`train.tsv`: texts of up to so many of the first words, and each in reverse."""
    generator = random.Random(seed)
    lines = ["text\ttarget"]
    for _ in range(rows):
        text = [WORDS[generator.randrange(words)] for _ in range(generator.randint(shortest, longest))]
        lines.append(f"{' '.join(text)}\t{' '.join(reversed(text))}")
    path = folder / "train.tsv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)
