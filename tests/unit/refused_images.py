"""What `refused_rows` does, for the rules about images and models drawn from a configuration."""

from __future__ import annotations

from refused_rows import Row

from launcher import (
    Augment,
    Conversations,
    Dialogue,
    FastText,
    FromConfig,
    Full,
    HeadOnly,
    ImageClassification,
    ImageFolders,
    LabelledFiles,
    LoRA,
    NewTokens,
    PrefixTuning,
    Pretrained,
    Table,
    TextClassification,
    Training,
)

PHOTOS = {"task": ImageClassification(), "data": ImageFolders(train="photos"), "embedding": Pretrained(model="vit")}
TRAINED = {**PHOTOS, "task": ImageClassification(batch_norm="trained"), "peft": Full()}
DRAWN = FromConfig(config={"model_type": "resnet"})

ROWS = [
    Row(
        "_packing",
        {**PHOTOS, "training": Training(packing=True)},
        "packing leaves out padding, and the rows of ImageClassification are images",
        "mine.py:training.packing",
        "leave training.packing out",
    ),
    Row(
        "_task_and_data",
        {**PHOTOS, "task": TextClassification()},
        "ImageFolders holds images; TextClassification needs texts",
        "mine.py:data",
        "use ImageClassification, or Table data",
    ),
    Row(
        "_task_and_data",
        {**PHOTOS, "data": LabelledFiles(train={"a": "a"})},
        "LabelledFiles holds one label a text; ImageClassification needs images",
        "mine.py:data",
        "use TextClassification, or ImageFolders or Table data",
    ),
    Row(
        "_augment",
        {**PHOTOS, "data": Table(train="a.csv", augment=Augment())},
        "augmentation changes texts, and the rows are images: ImageClassification",
        "mine.py:data.augment",
        "leave data.augment out",
    ),
    Row(
        "_bodies",
        {**PHOTOS, "embedding": FastText()},
        "ImageClassification cannot be put on static vectors",
        "mine.py:embedding",
        "use Pretrained(…)",
    ),
    Row(
        "_bodies",
        {"task": Dialogue(), "data": Conversations(train="a.json"), "embedding": FastText()},
        "Dialogue cannot be put on static vectors",
        "mine.py:embedding",
        "use Pretrained(…)",
    ),
    Row(
        "_bodies",
        {"embedding": DRAWN, "peft": Full()},
        "FromConfig makes a model without a tokenizer, and this task reads texts",
        "mine.py:embedding.tokenizer",
        "write FromConfig(…, tokenizer=TrainedTokenizer()), or use Pretrained(…)",
    ),
    Row(
        "_from_config",
        {**PHOTOS, "embedding": DRAWN, "peft": HeadOnly()},
        "HeadOnly keeps weights as they are, and those of FromConfig are drawn at random",
        "mine.py:peft",
        "use Full()",
    ),
    Row(
        "_no_tokens",
        {**PHOTOS, "peft": NewTokens(), "embedding": Pretrained(model="a/model", new_tokens=("[E1]",))},
        "NewTokens trains rows of tokens, and the rows of ImageClassification are images",
        "mine.py:peft",
        "use HeadOnly()",
    ),
    Row(
        "_no_tokens",
        {**PHOTOS, "peft": PrefixTuning()},
        "PrefixTuning puts tokens before a text, and the rows of ImageClassification are images",
        "mine.py:peft",
        "use LoRA(…)",
    ),
    Row(
        "_batch_norm",
        {**TRAINED, "peft": LoRA()},
        "LoRA keeps the model as it is, and batch_norm='trained' moves its statistics",
        "mine.py:task.batch_norm",
        "leave task.batch_norm out, or use Full()",
    ),
    Row(
        "_batch_norm",
        {**TRAINED, "training": Training(micro_batch_size=8)},
        "batch_norm='trained' takes the statistics of the whole batch, which micro-batches would part",
        "mine.py:task.batch_norm",
        "leave training.micro_batch_size out, or task.batch_norm",
    ),
    Row(
        "_batch_norm",
        {**TRAINED, "training": Training(recompute=True)},
        "batch_norm='trained' stores the statistics of each forward pass, and recomputing makes two of them",
        "mine.py:task.batch_norm",
        "leave training.recompute out, or task.batch_norm",
    ),
]
