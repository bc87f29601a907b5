"""Tiny models with random weights of many families, each with a tokenizer as such a family has it.

`python families.py` prints the matrix of all of them (what launcher/training/sources makes of each).
"""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

WORDS = [f"word{n}" for n in range(30)]
LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())


def _words(special, single, pair, **names):
    import transformers

    vocabulary = {token: number for number, token in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=names["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    given = [(token, vocabulary[token]) for token in special]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=given)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names)


def _bytes(special, single=None, pair=None, **names):
    import transformers

    vocabulary = {token: number for number, token in enumerate([*special, *LETTERS])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if single is not None:
        given = [(token, vocabulary[token]) for token in special]
        tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=given)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **names)


def bert():
    return _words(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        "[CLS] $A [SEP]",
        "[CLS] $A [SEP] $B:1 [SEP]:1",
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def roberta():
    return _bytes(
        ["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        "<s> $A </s>",
        "<s> $A </s> </s> $B </s>",
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


def bart():
    return roberta()


def t5():
    return _words(
        ["<pad>", "</s>", "<unk>"],
        "$A </s>",
        "$A </s> $B </s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
    )


def xlnet():
    return _words(
        ["<pad>", "<unk>", "<sep>", "<cls>"],
        "$A <sep> <cls>:2",
        "$A <sep> $B:1 <sep>:1 <cls>:2",
        pad_token="<pad>",
        unk_token="<unk>",
        sep_token="<sep>",
        cls_token="<cls>",
        padding_side="left",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def gpt2():
    """No padding token, nothing added to a text."""
    return _bytes(["<|endoftext|>"], bos_token="<|endoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>")


def llama():
    """No padding token; a text begins with one of its own."""
    return _bytes(["<unk>", "<s>", "</s>"], "<s> $A", "<s> $A <s> $B", bos_token="<s>", eos_token="</s>")


def qwen2():
    """A padding token that the configuration does not name."""
    return _bytes(["<|endoftext|>", "<|im_end|>"], pad_token="<|endoftext|>", eos_token="<|im_end|>")


_BERT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
_LLAMA = {**_BERT, "num_key_value_heads": 1, "max_position_embeddings": 64}
_GPT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
_BART = {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 66,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 2,
}
_T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0}
_ROBERTA = {**_BERT, "max_position_embeddings": 66, "type_vocab_size": 1, "pad_token_id": 1}

FAMILIES = {
    "BERT": ("Bert", _BERT, bert),
    "RoBERTa": ("Roberta", _ROBERTA, roberta),
    "XLM-R": ("XLMRoberta", _ROBERTA, roberta),
    "ALBERT": ("Albert", {**_BERT, "embedding_size": 8}, bert),
    "ELECTRA": ("Electra", {**_BERT, "embedding_size": 8}, bert),
    "DeBERTa-v2": (
        "DebertaV2",
        {
            **_BERT,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 8,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
            "type_vocab_size": 0,
            "max_position_embeddings": 64,
        },
        bert,
    ),
    "DistilBERT": ("DistilBert", {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}, bert),
    "MPNet": ("MPNet", {**_BERT, "max_position_embeddings": 66}, roberta),
    "ModernBERT": ("ModernBert", {**_BERT, "pad_token_id": 0, "local_attention": 16}, bert),
    "Longformer": ("Longformer", {**_ROBERTA, "attention_window": [8, 8]}, roberta),
    "XLNet": ("XLNet", {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32, "pad_token_id": 0}, xlnet),
    "BART": ("Bart", _BART, bart),
    "T5": ("T5", _T5, t5),
    "GPT-2": ("GPT2", {**_GPT, "bos_token_id": 0, "eos_token_id": 0}, gpt2),
    "Llama": ("Llama", {**_LLAMA, "bos_token_id": 1, "eos_token_id": 2}, llama),
    "Qwen2": ("Qwen2", {**_LLAMA, "bos_token_id": 0, "eos_token_id": 1}, qwen2),
    "mT5": ("MT5", {**_T5, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, t5),
    "mBART": ("MBart", _BART, bart),
    "OPT": (
        "OPT",
        {**_BERT, "ffn_dim": 32, "word_embed_proj_dim": 16, "max_position_embeddings": 64, "pad_token_id": 1},
        roberta,
    ),
    "GPT-NeoX": ("GPTNeoX", {**_BERT, "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 0}, gpt2),
    "GPT-Neo": (
        "GPTNeo",
        {
            "hidden_size": 16,
            "num_layers": 2,
            "num_heads": 2,
            "attention_types": [[["global", "local"], 1]],
            "max_position_embeddings": 64,
            "bos_token_id": 0,
            "eos_token_id": 0,
        },
        gpt2,
    ),
    "GPT-J": ("GPTJ", {**_GPT, "rotary_dim": 4, "bos_token_id": 0, "eos_token_id": 0}, gpt2),
    "CTRL": ("CTRL", {"n_embd": 16, "n_layer": 2, "n_head": 2, "dff": 32, "n_positions": 64}, gpt2),
    "GPT": ("OpenAIGPT", _GPT, gpt2),
    "BLOOM": ("Bloom", {"hidden_size": 16, "n_layer": 2, "n_head": 2}, roberta),
    "Falcon": (
        "Falcon",
        {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "bos_token_id": 0, "eos_token_id": 0},
        gpt2,
    ),
    "Gemma": ("Gemma", {**_LLAMA, "head_dim": 8, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}, roberta),
    "Phi": ("Phi", {**_BERT, "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 0}, gpt2),
    "Mistral": ("Mistral", {**_LLAMA, "bos_token_id": 1, "eos_token_id": 2}, llama),
    "BigBird": ("BigBird", {**_BERT, "pad_token_id": 0, "max_position_embeddings": 64}, bert),
    "RemBERT": ("RemBert", {**_BERT, "input_embedding_size": 8, "output_embedding_size": 8, "pad_token_id": 0}, bert),
    "Funnel": (
        "Funnel",
        {
            "block_sizes": [1, 1],
            "d_model": 16,
            "n_head": 2,
            "d_head": 8,
            "d_inner": 32,
            "num_decoder_layers": 1,
            "pad_token_id": 0,
        },
        bert,
    ),
    "RoFormer": ("RoFormer", {**_BERT, "max_position_embeddings": 64}, bert),
    "ERNIE": ("Ernie", _BERT, bert),
    "CamemBERT": ("Camembert", _ROBERTA, roberta),
    "ConvBERT": ("ConvBert", {**_BERT, "embedding_size": 8, "head_ratio": 1}, bert),
    "SqueezeBERT": ("SqueezeBert", {**_BERT, "embedding_size": 16}, bert),
    "MobileBERT": (
        "MobileBert",
        {**_BERT, "intra_bottleneck_size": 8, "embedding_size": 8, "num_feedforward_networks": 2},
        bert,
    ),
    "FNet": ("FNet", {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 32, "pad_token_id": 0}, bert),
    "LED": (
        "LED",
        {
            **{k: v for k, v in _BART.items() if k != "max_position_embeddings"},
            "attention_window": [8, 8],
            "max_encoder_position_embeddings": 64,
            "max_decoder_position_embeddings": 64,
        },
        bart,
    ),
}


def make(family, folder, speaking=False):
    """A bare body of the family in `folder`, or one with its head for words, and its tokenizer."""
    import torch
    import transformers

    name, settings, tokenizer_of = FAMILIES[family]
    tokenizer = tokenizer_of()
    torch.manual_seed(0)
    config = getattr(transformers, name + "Config")(vocab_size=len(tokenizer), **settings)
    masked = type(config) in transformers.AutoModelForMaskedLM._model_mapping
    auto = transformers.AutoModelForMaskedLM if masked else transformers.AutoModelForCausalLM
    if config.is_encoder_decoder:
        auto = transformers.AutoModelForSeq2SeqLM
    model = auto.from_config(config) if speaking else getattr(transformers, name + "Model")(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
