"""What `refused_rows` does, for the rules about tasks and how they are trained."""

from __future__ import annotations

from dataclasses import replace

from refused_rows import CPU, TWO_GPUS, Row

from launcher import (
    Augment,
    Columns,
    CustomTask,
    FastText,
    LabelledFiles,
    LabelledLines,
    Lexicon,
    MultiLabelClassification,
    NgramBag,
    QuestionAnswering,
    Questions,
    RandomVectors,
    Table,
    TextClassification,
    TokenClassification,
    Training,
)
from launcher.plan.placement import Placement

QUESTIONS = Questions(train="a.json")
ROWS = [
    Row(
        "_half_precision",
        {"training": Training(precision="fp16")},
        "fp16 is arithmetic of GPUs; none is used here",
        "mine.py:training.precision",
        'write precision="bf16" or "fp32"',
    ),
    Row(
        "_half_precision",
        {"training": Training(precision="fp16")},
        "fp16 scales its loss, which has not been shown to give the same curve under zero2",
        "mine.py:training.precision",
        'use --strategy single or ddp, or precision="bf16"',
        Placement(processes=2, strategy="zero2"),
        TWO_GPUS,
    ),
    Row(
        "_compile",
        {"training": Training(compile=True)},
        "torch.compile writes C++ and finds no compiler here",
        "mine.py:training.compile",
        "install one (Debian: apt install g++), or leave training.compile out",
        facts=replace(CPU, compiler=False),
    ),
    Row(
        "_compile",
        {"training": Training(compile=True)},
        "torch.compile has not been shown to give the same curve under fsdp2",
        "mine.py:training.compile",
        "use --strategy single or ddp, or leave training.compile out",
        Placement(processes=2, strategy="fsdp2"),
    ),
    Row(
        "_fgm",
        {"training": Training(fgm=1.0, compile=True)},
        "FGM changes what the input embedding layer gives, which compiled code does not let it do",
        "mine.py:training.fgm",
        "leave training.fgm or training.compile out",
    ),
    Row(
        "_adafactor",
        {"training": Training(optimizer="adafactor")},
        "Adafactor keeps a row and a column of whole matrices, which zero2 cuts into parts",
        "mine.py:training.optimizer",
        "use --strategy single or ddp, or adamw",
        Placement(processes=2, strategy="zero2"),
    ),
    Row(
        "_recompute",
        {"embedding": RandomVectors(), "training": Training(recompute=True)},
        "static vectors have no stack of layers whose activations could be computed again",
        "mine.py:training.recompute",
        "leave training.recompute out",
    ),
    Row(
        "_augment",
        {"data": Table(train="a.csv", augment=Augment(deletion=0.0, swap=0.0))},
        "this augmentation changes nothing: every rate is 0",
        "mine.py:data.augment",
        "give one of deletion, swap, noise and replacement (with synonyms) a rate above 0, or leave it out",
    ),
    Row(
        "_augment",
        {"data": Table(train="a.csv", augment=Augment(synonyms="s.txt", replacement=0.0))},
        "the synonyms are never used: replacement is 0",
        "mine.py:data.augment.replacement",
        "give it a rate above 0, or leave synonyms out",
    ),
    Row(
        "_augment",
        {"task": TokenClassification(), "data": Columns(train="a", augment=Augment(tokens="jieba"))},
        "the rows of TokenClassification are tokens already, and these are what augmentation changes",
        "mine.py:data.augment.tokens",
        "leave data.augment.tokens out",
    ),
    Row(
        "_task_and_data",
        {"task": MultiLabelClassification(), "data": Columns(train="a")},
        "Columns holds one tag a token; MultiLabelClassification needs the labels of a text",
        "mine.py:data",
        "use TokenClassification, or Table or LabelledLines data",
    ),
    Row(
        "_task_and_data",
        {"task": MultiLabelClassification(), "data": LabelledFiles(train={"a": "a.txt"})},
        "LabelledFiles gives each text one label",
        "mine.py:data",
        "use TextClassification, or Table or LabelledLines data",
    ),
    Row(
        "_task_and_data",
        {"task": TokenClassification(), "data": LabelledLines(train="a.txt")},
        "LabelledLines holds one label a text; TokenClassification needs one tag a token",
        "mine.py:data",
        "use TextClassification, or Columns, TaggedWords or Table data",
    ),
    Row(
        "_one_of_a_kind",
        {"embedding": FastText(beside=(NgramBag(), Lexicon(files="a.txt"), NgramBag(longest=3)))},
        "embedding.beside names NgramBag 2 times, and it can stand there once",
        "mine.py:embedding.beside",
        "keep one NgramBag",
    ),
    Row(
        "_one_of_a_kind",
        {"embedding": RandomVectors(beside=(Lexicon(files="a.txt"), Lexicon(files=("b.txt", "c.txt"))))},
        "embedding.beside names Lexicon 2 times, and it can stand there once",
        "mine.py:embedding.beside",
        "give one Lexicon all the files",
    ),
    Row(
        "_ngrams",
        {"task": TokenClassification(), "embedding": RandomVectors(beside=(NgramBag(),))},
        "a bag of n-grams votes on a whole text; TokenClassification has one label a token",
        "mine.py:embedding.beside",
        "leave NgramBag out of embedding.beside",
    ),
    Row(
        "_ngrams",
        {"task": MultiLabelClassification(), "embedding": RandomVectors(beside=(NgramBag(),))},
        "a bag of n-grams votes for one label; MultiLabelClassification may give a text several",
        "mine.py:embedding.beside",
        "leave NgramBag out of embedding.beside",
    ),
    Row(
        "_pairs",
        {"data": Table(train="a.csv", text_pair="b"), "embedding": RandomVectors(beside=(NgramBag(),))},
        "a bag of n-grams votes on one text, and would not know which of a pair it looks at",
        "mine.py:embedding.beside",
        "leave NgramBag out of embedding.beside",
    ),
    Row(
        "_pairs",
        {"task": TokenClassification(), "data": Table(train="a.jsonl", text_pair="b")},
        "TokenClassification tags the tokens of one text, not of a pair",
        "mine.py:data.text_pair",
        "leave it out",
    ),
    Row(
        "_pairs",
        {"task": QuestionAnswering(), "data": Table(train="a.jsonl")},
        "QuestionAnswering reads two texts, and the table names the column of one",
        "mine.py:data",
        'write Questions(…), whose columns are SQuAD\'s, or Table(text="question", text_pair="context", …)',
    ),
    Row(
        "_task_and_data",
        {"task": TextClassification(), "data": Questions(train="a.json")},
        "Questions holds answers in a text; TextClassification needs one label a text",
        "mine.py:data",
        "use QuestionAnswering, or Table or LabelledLines data",
    ),
    Row(
        "_task_and_data",
        {"task": QuestionAnswering(), "data": LabelledLines(train="a.txt")},
        "LabelledLines holds one label a text; QuestionAnswering needs answers in a text",
        "mine.py:data",
        "use TextClassification, or Questions or Table data",
    ),
    Row(
        "_stop_words",
        {"task": QuestionAnswering(), "data": QUESTIONS, "embedding": RandomVectors(stop_words=("the",))},
        "stop words are left out of a text; QuestionAnswering finds answers, which may begin with one",
        "mine.py:embedding.stop_words",
        "leave embedding.stop_words out",
    ),
    Row(
        "_windows",
        {"task": QuestionAnswering(stride=128), "data": QUESTIONS, "embedding": RandomVectors(max_length=256)},
        "windows of 256 tokens cannot share 128: a question may take half of them",
        "mine.py:task.stride",
        "write a stride below 128, or leave it out; or raise embedding.max_length",
    ),
    *(
        Row(
            "_own_loss",
            {"task": CustomTask(file="my.py", like=TextClassification(**{name: value}))},
            f"the loss of a CustomTask is its file's own, which knows nothing of {name}",
            f"mine.py:task.like.{name}",
            "give it to the file among the options",
        )
        for name, value in (("class_weights", "balanced"), ("label_smoothing", 0.1))
    ),
]
