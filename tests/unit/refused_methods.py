"""Rows as those of `refused_rows`, about methods."""

from __future__ import annotations

from dataclasses import replace

from refused_rows import APPLY, BOTH, TWO_GPUS, Row

from launcher import (
    IA3,
    AdaLoRA,
    Adapter,
    BitFit,
    CustomMethod,
    FastText,
    LoRA,
    NewTokens,
    PrefixTuning,
    Pretrained,
    PromptTuning,
    QLoRA,
    RandomVectors,
    TopLayers,
    Training,
    VeRA,
)
from launcher.plan.placement import Placement

ROWS = [
    Row(
        "_four_bit",
        {"embedding": Pretrained(model="a/model"), "peft": QLoRA()},
        "QLoRA's 4-bit kernels are made for GPUs; none is used here",
        "mine.py:peft",
        "use LoRA, or --device cuda",
    ),
    Row(
        "_four_bit",
        {"embedding": RandomVectors(), "peft": QLoRA()},
        "QLoRA keeps a pretrained model in 4 bits; static vectors have none",
        "mine.py:peft",
        "use LoRA",
        Placement(processes=1),
        TWO_GPUS,
    ),
    Row(
        "_four_bit",
        {"embedding": Pretrained(model="a/model"), "peft": QLoRA()},
        "fsdp2 cannot shard weights that are packed in 4 bits",
        "mine.py:peft",
        "use LoRA, or one of --strategy single, ddp, zero1, zero2",
        Placement(strategy="fsdp2"),
        TWO_GPUS,
    ),
    Row(
        "_four_bit",
        {"embedding": Pretrained(model="a/model"), "peft": QLoRA()},
        "QLoRA needs bitsandbytes, which is not installed here",
        "mine.py:peft",
        "pip install bitsandbytes",
        facts=replace(TWO_GPUS, bitsandbytes=False),
    ),
    *(
        Row(
            "_no_layers",
            {"embedding": embedding, "peft": method},
            f"{method.kind} trains {parts} of a pretrained model; static vectors have none",
            "mine.py:peft",
            "use HeadOnly, which trains all but the table of vectors, or Full",
        )
        for method, parts in ((BitFit(), "biases"), (TopLayers(), "layers"))
        for embedding in (RandomVectors(), FastText())
    ),
    *(
        Row(
            "_no_layers",
            {"embedding": RandomVectors(), "peft": method},
            f"{method.kind} {does} of a pretrained model; static vectors have none",
            "mine.py:peft",
            "use LoRA, which changes the table of vectors, or HeadOnly",
        )
        for method, does in (
            (IA3(), "scales attention and feed-forward layers"),
            (VeRA(), "changes projections"),
            (AdaLoRA(), "changes projections"),
            (PromptTuning(), "puts tokens before the layers"),
            (PrefixTuning(), "puts tokens before the layers"),
        )
    ),
    Row(
        "_rank_schedule",
        {"embedding": Pretrained(model="a/model"), "peft": AdaLoRA(rank=8, start_rank=8)},
        "AdaLoRA begins at rank 8 and cannot fall to 8",
        "mine.py:peft.start_rank",
        "make it more than 8, or rank smaller",
    ),
    Row(
        "_rank_schedule",
        {
            "embedding": Pretrained(model="a/model"),
            "peft": AdaLoRA(warmup_steps=60, final_steps=40),
            "training": Training(max_steps=100),
        },
        "AdaLoRA's 60 steps of warm-up and 40 at the end leave none of the run's 100 steps for the ranks to fall",
        "mine.py:peft.warmup_steps",
        "give fewer warmup_steps or final_steps, or train longer",
    ),
    Row(
        "_life",
        {"embedding": Pretrained(model="a/model"), "peft": AdaLoRA()},
        "AdaLoRA acts within each step, and zero3 makes the whole step by itself",
        "mine.py:peft",
        "use --strategy single, ddp or fsdp2",
        Placement(strategy="zero3"),
        TWO_GPUS,
    ),
    Row(
        "_life",
        {"peft": CustomMethod(file="my.py", source=BOTH)},
        "after_step and penalty of my.py cannot be called under zero2, which makes the whole step",
        "mine.py:peft",
        "use --strategy single, ddp or fsdp2",
        Placement(strategy="zero2", processes=2),
    ),
    Row(
        "_life",
        {"peft": CustomMethod(file="my.py", source=APPLY + "def penalty(model): ...")},
        "penalty of my.py cannot be called under zero3_offload, which makes the whole step",
        "mine.py:peft",
        "use --strategy single, ddp or fsdp2",
        Placement(strategy="zero3_offload"),
        TWO_GPUS,
    ),
    Row(
        "_start",
        {"embedding": Pretrained(model="a/model"), "peft": LoRA(start="pissa", dora=True)},
        "DoRA measures the rows of a whole weight, of which PiSSA takes the principal components away",
        "mine.py:peft.start",
        "leave out peft.dora or peft.start",
    ),
    Row(
        "_start",
        {"embedding": RandomVectors(), "peft": LoRA(start="pissa")},
        "PiSSA starts from the components of a pretrained model's weights; static vectors have none",
        "mine.py:peft.start",
        "leave out peft.start",
    ),
    Row(
        "_beside",
        {"embedding": RandomVectors(), "peft": Adapter(placement="parallel")},
        "an adapter beside a table of static vectors has nothing to read",
        "mine.py:peft.placement",
        'write placement="pfeiffer"',
    ),
    Row(
        "_new_tokens",
        {"embedding": Pretrained(model="a/model", new_tokens=("[E1]",)), "peft": BitFit()},
        "the rows of new tokens train beside a model that stays as it was, and BitFit saves a whole one",
        "mine.py:embedding.new_tokens",
        "use NewTokens, LoRA or another method beside a frozen model",
    ),
    Row(
        "_new_tokens",
        {"embedding": Pretrained(model="a/model"), "peft": NewTokens()},
        "NewTokens trains the rows of tokens that are added to a model, and none are",
        "mine.py:embedding.new_tokens",
        'name them: Pretrained(new_tokens=("[E1]", …)); or use HeadOnly',
    ),
    Row(
        "_new_tokens",
        {"embedding": Pretrained(model="a/model", decoder="a/model", new_tokens=("[E1]",)), "peft": NewTokens()},
        "two encoders that become one model have two tables of tokens, and new ones would be rows of the first",
        "mine.py:embedding.new_tokens",
        "leave out embedding.new_tokens or embedding.decoder",
    ),
]
