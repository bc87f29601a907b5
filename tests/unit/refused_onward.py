"""What `refused_rows` does, for the rules about a run that goes on from another one."""

from __future__ import annotations

from refused_rows import Row

from launcher import (
    CausalLanguageModel,
    Columns,
    Pairs,
    Pretrained,
    TextEmbedding,
    Texts,
    TokenClassification,
    Training,
)

SEARCH = {"task": TextEmbedding(), "data": Pairs(train="a.jsonl"), "embedding": Pretrained(model="a/model")}
PATHS = {"task": TokenClassification(crf=True), "data": Columns(train="a.conll")}
STREAM = {
    "task": CausalLanguageModel(),
    "data": Texts(train="a.txt", validation="b.txt", test="c.txt", streaming=True),
    "embedding": Pretrained(model="a/model"),
}
ROWS = [
    *(
        Row(
            "_without_a_run",
            {"training": Training(**{name: value})},
            f"training.{name} is about the run that this one begins with, and there is none",
            f"mine.py:training.{name}",
            "name it: --from RUN, or training.from_run",
        )
        for name, value in {"with_optimiser": True, "replay": 0.1, "ewc": 10.0, "lwf": 1.0}.items()
    ),
    Row(
        "_continued",
        {"training": Training(from_run="a", with_optimiser=True, ewc=1.0)},
        "training.ewc is against forgetting, and a run that is continued has the same rows as before",
        "mine.py:training.ewc",
        "leave training.ewc or with_optimiser out",
    ),
    Row(
        "_schedule",
        {"training": Training(epochs=3, schedule_epochs=2)},
        "the schedule ends after 2 epochs, and 3 are trained",
        "mine.py:training.schedule_epochs",
        "leave it out, or raise it to training.epochs or more",
    ),
    Row(
        "_schedule",
        {**STREAM, "training": Training(max_steps=10, schedule_epochs=5)},
        "nobody knows how many steps an epoch of a stream has, and training.schedule_epochs counts epochs",
        "mine.py:training.schedule_epochs",
        "leave it out",
    ),
    *(
        Row(
            "_distilled",
            {"training": Training(from_run="a", lwf=1.0, **{name: value})},
            f"learning without forgetting has not been built for training.{name}",
            "mine.py:training.lwf",
            f"leave training.lwf or training.{name} out",
        )
        for name, value in {"r_drop": 1.0, "fgm": 1.0}.items()
    ),
    Row(
        "_distilled",
        {**PATHS, "training": Training(from_run="a", lwf=1.0)},
        "learning without forgetting compares the answers to each token, and a CRF's are paths",
        "mine.py:training.lwf",
        "use training.replay or training.ewc, or leave task.crf out",
    ),
    Row(
        "_distilled",
        {**STREAM, "training": Training(from_run="a", max_steps=10, lwf=1.0)},
        "learning without forgetting compares answers over labels, and CausalLanguageModel has none",
        "mine.py:training.lwf",
        "use training.replay or training.ewc",
    ),
    Row(
        "_distilled",
        {**SEARCH, "training": Training(from_run="a", lwf=1.0)},
        "learning without forgetting compares answers row by row, and this loss compares rows with each other",
        "mine.py:training.lwf",
        "use training.replay",
    ),
    Row(
        "_consolidated",
        {**SEARCH, "training": Training(from_run="a", ewc=1.0)},
        "elastic weight consolidation weighs each row's own loss, and this loss compares rows with each other",
        "mine.py:training.ewc",
        "use training.replay",
    ),
    Row(
        "_consolidated",
        {"embedding": Pretrained(model="a/model"), "training": Training(from_run="a", ewc=1.0, packing=True)},
        "elastic weight consolidation weighs the weights row by row, and has not been built for packed rows",
        "mine.py:training.ewc",
        "leave training.ewc or training.packing out",
    ),
]
