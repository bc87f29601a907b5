"""One row or more for each rule in plan/rules.py: a combination that cannot run, with the exact what, where and do."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from launcher import (
    Columns,
    EmbeddingMatrix,
    FastText,
    LabelledFiles,
    Mixture,
    RandomVectors,
    TaggedWords,
    TokenClassification,
    Training,
    Transformer,
)
from launcher.host.facts import Facts
from launcher.plan.placement import Placement

CPU = Facts(cores=2, memory_bytes=1 << 33)
TWO_GPUS = Facts(cores=8, memory_bytes=1 << 36, gpus=("a", "b"), gpu_memory_bytes=(1 << 36, 1 << 36), cpu_bf16=False)
WORDS = TaggedWords(train="a.txt", entities={"nr": "PER"})

APPLY = "def apply(model, new): ...\n"
BOTH = APPLY + "def penalty(model): ...\ndef after_step(model, step): ...\n"


@dataclass(frozen=True)
class Row:
    """A combination that cannot run: the rule that says so, and what it says."""

    rule: str
    nouns: dict[str, object]
    what: str
    where: str
    do: str
    placement: Placement = field(default_factory=Placement)
    facts: Facts = CPU


ROWS = [
    Row("_names", {}, "there is no strategy 'dpp'", "--strategy", "did you mean 'ddp'?", Placement(strategy="dpp")),
    Row("_names", {}, "there is no device 'gpu'", "--device", "known: auto, cpu, cuda", Placement(device="gpu")),
    Row(
        "_device",
        {},
        "cuda was asked for, but no NVIDIA GPU can be seen here",
        "--device cuda",
        "use --device cpu, or look at what `nvidia-smi` says",
        Placement(device="cuda"),
    ),
    *(
        Row(
            "_strategy",
            {},
            f"{name} is DeepSpeed's, which is not installed here",
            f"--strategy {name}",
            "pip install deepspeed, or use --strategy fsdp2",
            Placement(strategy=name),
            replace(TWO_GPUS, deepspeed=False),
        )
        for name in ("zero1", "zero2", "zero3", "zero3_offload")
    ),
    *(
        Row(
            "_strategy",
            {},
            "zero3_offload moves states out of a GPU's memory into the host's; without a GPU they are there already",
            "--strategy zero3_offload",
            "use --strategy zero3",
            placement,
            facts,
        )
        for placement, facts in (
            (Placement(strategy="zero3_offload"), CPU),
            (Placement(strategy="zero3_offload", device="cpu"), TWO_GPUS),
        )
    ),
    Row("_processes", {}, "0 processes cannot train", "--processes", "give at least 1", Placement(processes=0)),
    Row("_processes", {}, "-2 processes cannot train", "--processes", "give at least 1", Placement(processes=-2)),
    Row(
        "_processes",
        {"training": Training(batch_size=18)},
        "9 processes are more than makes sense with 2 cores",
        "--processes",
        "give at most 8",
        Placement(processes=9),
    ),
    Row(
        "_processes",
        {"training": Training(batch_size=18)},
        "3 processes are more than makes sense with 2 GPUs",
        "--processes",
        "give at most 2",
        Placement(processes=3),
        TWO_GPUS,
    ),
    Row(
        "_processes",
        {},
        "strategy single is one process, not 2",
        "--strategy single",
        "use --strategy ddp",
        Placement(processes=2, strategy="single"),
    ),
    Row(
        "_heads",
        {"embedding": RandomVectors(encoder=Transformer(hidden=100, heads=8))},
        "8 heads cannot share 100 hidden units evenly",
        "mine.py:embedding.encoder.heads",
        "make hidden 104, or change heads",
    ),
    Row(
        "_stop_words",
        {"task": TokenClassification(), "data": Columns(train="a"), "embedding": RandomVectors(stop_words=("a",))},
        "stop words are left out of a text; TokenClassification has a tag for each token",
        "mine.py:embedding.stop_words",
        "leave embedding.stop_words out",
    ),
    Row(
        "_task_and_data",
        {"task": TokenClassification(tokens="jieba"), "data": WORDS},
        "TaggedWords gives characters, the task expects words, cut by jieba",
        "mine.py:task.tokens",
        'write TokenClassification(tokens="characters")',
    ),
    Row(
        "_batch",
        {"training": Training(batch_size=16)},
        "a global batch of 16 cannot be shared evenly by 3 processes",
        "mine.py:training.batch_size",
        "make it 15 or 18, or change --processes",
        Placement(processes=3),
    ),
    Row(
        "_batch",
        {"training": Training(batch_size=2)},
        "a global batch of 2 cannot be shared evenly by 3 processes",
        "mine.py:training.batch_size",
        "make it 3, or change --processes",
        Placement(processes=3),
    ),
    Row(
        "_batch",
        {"training": Training(batch_size=1)},
        "a global batch of 1 cannot be shared evenly by 2 processes",
        "mine.py:training.batch_size",
        "make it 2, or change --processes",
        facts=TWO_GPUS,
    ),
    *(
        Row(
            "_task_and_data",
            {"data": data},
            f"{data.kind} holds one tag a token; TextClassification needs one label a text",
            "mine.py:data",
            "use TokenClassification, or Table or LabelledLines data",
        )
        for data in (Columns(train="a"), WORDS)
    ),
    Row(
        "_task_and_data",
        {"task": TokenClassification(), "data": LabelledFiles(train={"a": "a.txt"})},
        "LabelledFiles holds one label a text; TokenClassification needs one tag a token",
        "mine.py:data",
        "use TextClassification, or Columns, TaggedWords or Table data",
    ),
    Row(
        "_task_and_data",
        {"task": TokenClassification(tokens="words"), "data": WORDS},
        "TaggedWords gives characters, the task expects words",
        "mine.py:task.tokens",
        'write TokenClassification(tokens="characters")',
    ),
    Row(
        "_tokens",
        {"task": TokenClassification(tokens="words"), "embedding": FastText(tokens="characters")},
        "the task is about words, the embedding about characters",
        "mine.py:embedding.tokens",
        "leave embedding.tokens out: it follows the task",
    ),
    Row(
        "_metric",
        {"training": Training(select_by="acuracy")},
        "TextClassification has no metric 'acuracy'",
        "mine.py:training.select_by",
        "did you mean 'accuracy'?",
    ),
    Row(
        "_metric",
        {"task": TokenClassification(), "training": Training(select_by="bleu")},
        "TokenClassification has no metric 'bleu'",
        "mine.py:training.select_by",
        "known: entity_f1, loss, token_accuracy, token_f1",
    ),
    Row(
        "_subwords",
        {"embedding": FastText(shortest_subword=5, longest_subword=2)},
        "the shortest subword (5) is longer than the longest (2)",
        "mine.py:embedding.shortest_subword",
        "swap them; a longest of 0 means no subwords",
    ),
    Row(
        "_in_context",
        {"embedding": EmbeddingMatrix(model="m", read_from="inputs", compose="context")},
        "a row of the input table is the same in every text, so there is nothing to compose in context",
        "mine.py:embedding.compose",
        'write compose="mean", or leave read_from="inputs" out',
    ),
    Row(
        "_mixed",
        {"embedding": Mixture(sources=(FastText(lowercase=True), RandomVectors()))},
        "FastText in a Mixture says lowercase, which all its sources share",
        "mine.py:embedding.sources",
        "write Mixture(lowercase=…, sources=…)",
    ),
    Row(
        "_mixed",
        {"embedding": Mixture(sources=(RandomVectors(), FastText(subword_rows=True)))},
        "a mixture has one row for each token, and FastText(subword_rows=True) has rows of subwords",
        "mine.py:embedding.sources",
        "leave subword_rows out: a token then gets the mean of its subwords",
    ),
    Row(
        "_precision",
        {"training": Training(precision="bf16")},
        "this CPU has no bf16 arithmetic (avx512_bf16 or amx_bf16)",
        "mine.py:training.precision",
        'write precision="fp32"',
    ),
    Row(
        "_precision",
        {"training": Training(precision="bf16")},
        "this CPU has no bf16 arithmetic (avx512_bf16 or amx_bf16)",
        "mine.py:training.precision",
        'write precision="fp32"',
        Placement(device="cpu"),
        TWO_GPUS,
    ),
]
