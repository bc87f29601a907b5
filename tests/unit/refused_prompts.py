"""What `refused_rows` does, for tasks that put texts into a template, and for tests without training."""

from __future__ import annotations

from refused_rows import Row

from launcher import (
    CustomTask,
    MultiLabelClassification,
    Pretrained,
    Prompted,
    RandomVectors,
    Table,
    TextClassification,
    TokenClassification,
    Training,
)

BERT = Pretrained(model="a/model")
WORDS = {"good": "great", "bad": ("bad", "dull")}


def prompt(what: str, do: str, template: str, data: Table | None = None) -> Row:
    """A template that is refused; the recipe is right besides."""
    nouns: dict[str, object] = {"task": Prompted(template=template, words=WORDS), "embedding": BERT}
    return Row("_prompt", {**nouns, "data": data or Table(train="a.csv")}, what, "mine.py:task.template", do)


def words(what: str, do: str, given: dict[str, str | tuple[str, ...]]) -> Row:
    """Words that are refused, under a file of the user's own."""
    task = CustomTask(file="my.py", like=Prompted(template="{text}", words=given))
    return Row("_prompt", {"task": task, "embedding": BERT}, what, "mine.py:task.like.words", do)


PAIRS = Table(train="a.csv", text_pair="b")
ROWS = [
    prompt(
        "the template cannot be read: Single '}' encountered in format string",
        "write a brace that is meant as one twice: {{ or }}",
        "{text} }",
    ),
    prompt(
        "the template has a field {txt}",
        "did you mean 'text'?; a brace that is meant as one is written twice",
        "{txt} {text} {mask}",
    ),
    prompt("the template has {mask} 2 times", "let it stand there once", "{text} {mask} and {mask}"),
    prompt(
        "the template has no {text}: every row would be the same",
        "write {text} where the row's text belongs",
        "It was {mask}.",
    ),
    prompt(
        "the template has {text_pair}, and the rows have one text",
        "name its column: data.text_pair",
        "{text} {mask} {text_pair}",
    ),
    prompt(
        "the rows are pairs of texts, and the template has no {text_pair}",
        "write it where the second belongs",
        "{text} {mask}",
        PAIRS,
    ),
    words(
        "the label 'good' alone has words",
        'give every label its own: words={"bad": " terrible", "good": " great"}',
        {"good": "fine"},
    ),
    words("the label 'good' has no word", "give it one", {"good": (), "bad": "dull"}),
    words(
        "a word of the label 'bad' is empty",
        "write a word that the model would say",
        {"good": "fine", "bad": ("x", " ")},
    ),
    words("the word 'x' stands for 'good' and for 'bad'", "give each label its own", {"good": "x", "bad": ("y", "x")}),
    Row(
        "_body",
        {"task": Prompted(template="{text}", words=WORDS), "embedding": RandomVectors()},
        "Prompted takes a pretrained model with the head that it came with; static vectors have none",
        "mine.py:embedding",
        "use Pretrained(model=…)",
    ),
    *(
        Row(
            "_shots",
            {"task": task, "data": Table(train="a.jsonl", shots=4)},
            f"data.shots counts rows of each label; {task.kind} needs {needed}",
            "mine.py:data.shots",
            "leave it out",
        )
        for task, needed in (
            (MultiLabelClassification(), "the labels of a text"),
            (TokenClassification(), "one tag a token"),
        )
    ),
    Row(
        "_untrained",
        {"task": TextClassification(), "embedding": RandomVectors(), "training": Training(epochs=0)},
        "epochs=0 tests a model as it is, and the encoder of static vectors begins with random numbers",
        "mine.py:training.epochs",
        "train it, or use a pretrained model",
    ),
]
