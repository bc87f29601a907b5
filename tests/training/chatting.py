"""A tokenizer with control tokens, templates that treat conversations in different ways, and a tiny model for both."""

CORPUS = [
    "user assistant system tool User Assistant System Tool You are a helpful assistant. Hello, how are you? I am fine.",
    "你好，我很好。知道这部电影吗？知道呀，是一部小说改编的电影。导演是谁？",
    '{"name": "find", "arguments": {"city": "Bern"}}',
]
CONTROL, KNOWN = ["<|end|>", "<|im_start|>", "<|im_end|>"], ["<think>", "</think>"]
TRIMS = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As Llama 3 and Gemma do."""
LOOKS = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content.startswith('H') %}{{ message.content }}{% else %}({{ message.content }}){% endif %}"
    "<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""It looks at how a message begins: marks around it change what is written."""
COUNTS = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content | length % 3 %}({{ message.content }}){% else %}{{ message.content }}{% endif %}<|im_end|>\n"
    "{% endfor %}"
)
"""It looks at how long a message is: any mark changes what is written. And it knows no reply that is to come."""
INST = (
    "{% for message in messages %}{% if message.role == 'user' %}[INST] {{ message.content }} [/INST]"
    "{% else %} {{ message.content }} <|end|>{% endif %}{% endfor %}"
)
"""As Llama 2: spaces around a reply, and no sign before it but the end of what the user says."""
CALLS = (
    "{% if tools %}{{ tools | tojson }}\n{% endif %}{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}{% for call in message.tool_calls or [] %}<call>{{ call.function.name }}:"
    "{{ call.function.arguments | tojson }}</call>{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""It has a form of its own for calls."""
THINKS = (
    CALLS.replace(
        "{{ message.content }}",
        "{% if message.role == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
        "{{ message.content }}",
    )
    .replace("<call>", "<|call|>")
    .replace("</call>", "<|/call|>")
)
"""As Qwen 3: an empty thought stands before the last reply only; and tokens of its own stand around a call."""


def tokenizer(template=None, **special):
    """Byte-level BPE with the tokens of ChatML, and two that are no control tokens of the library's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AddedToken, PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=CONTROL, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(CORPUS, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=made, **{"eos_token": "<|end|>", "pad_token": "<|end|>", **special})
    fast.add_tokens([AddedToken(name, special=False, normalized=False) for name in KNOWN])
    fast.chat_template = template
    return fast


def sentence_pieces(template=None):
    """As Llama 2's: a space stands before the first word of every text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted({letter for text in [*CORPUS, "[INST]/<|>\n▁"] for letter in text})
    words = ["<unk>", "<|end|>", *letters, "▁H", "▁He", "el", "lo"]
    made = Tokenizer(
        models.BPE({w: n for n, w in enumerate(words)}, [("▁", "H"), ("▁H", "e"), ("l", "o")], unk_token="<unk>")
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>", pad_token="<|end|>", unk_token="<unk>")
    fast.add_special_tokens({"eos_token": "<|end|>"})
    fast.chat_template = template
    return fast


def make(folder, template=None, **settings):
    """A tiny Llama and its tokenizer in `folder`, which is returned."""
    import transformers

    transformers.set_seed(3)
    own = tokenizer(template)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    numbers = {"num_key_value_heads": 1, "eos_token_id": own.eos_token_id, "bos_token_id": None}
    config = transformers.LlamaConfig(
        vocab_size=len(own), max_position_embeddings=128, **{**sizes, **numbers, **settings}
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    own.save_pretrained(folder)
    return str(folder)
