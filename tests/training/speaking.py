"""Tiny language models with random weights over numbered words, each saved with its head for words."""

from numbered import WORDS

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "好", "差", "很", "。", ".", ":"]
KINDS = {
    "bert": ("BertForMaskedLM", "BertConfig", SIZES),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}),
    "llama": ("LlamaForCausalLM", "LlamaConfig", {**SIZES, "num_key_value_heads": 1}),
}
"""BERT and GPT-2 tie their head to the table of tokens; this Llama does not."""


def word_level(kind):
    """A tokenizer of whole words; decoders' has neither padding nor a mask."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({name: n for n, name in enumerate(NAMES)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split("好", "isolated"), pre_tokenizers.Punctuation()]
    )
    if kind != "bert":
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="[SEP]")
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {name.strip("[]").lower() + "_token": name for name in NAMES[:5]}
    names = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=names, **special)


def make(kind, folder, **settings):
    """The model and its tokenizer in `folder`, which is returned."""
    import transformers

    model, config, sizes = KINDS[kind]
    transformers.set_seed(3)
    numbers = {"bos_token_id": 3, "eos_token_id": 3} if kind != "bert" else {}
    built = getattr(transformers, config)(vocab_size=len(NAMES), **{**sizes, **numbers, **settings})
    getattr(transformers, model)(built).save_pretrained(folder)
    word_level(kind).save_pretrained(folder)
    return str(folder)
