"""What reading gives: rows, and the corpus made of three splits of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from launcher.recipe.declared import Tokens
    from launcher.training.data.messages import Talk
    from launcher.training.data.pictures import Picture
    from launcher.training.data.spans import Span
    from launcher.training.data.stream_source import StreamSource

Files = str | tuple[str, ...]
Location = Files | dict[str, Files]
"""Where one split comes from: files, or files for each label (LabelledFiles) or for each side (ParallelLines)."""


@dataclass(frozen=True)
class Source:
    """One file or data set that a split is read from."""

    location: str
    label: str | None = None
    """The label of all its rows, where files are given by label; or the side that it holds."""


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled text or pair of texts, or one sentence of tokens with a tag for each of them."""

    text: str | tuple[str, ...]
    """The raw text, or the tokens of a sentence."""
    label: str | tuple[str, ...]
    """The label; the labels of a text that may have several, sorted; one BIO tag for each token; a number, as its cell
    has it; the texts of all answers to a question, none where it has none; or what is to be written for the text,
    several where any of them is right."""
    where: str
    """`reviews.csv row 1,204`, `eng.train line 12`: where the row starts, for messages."""
    pair: str | None = None
    """The second text of a pair."""
    spans: tuple[Span, ...] = ()
    """Places in the text: of the first and the second entity of a relation; or in the second text, the context, of the
    answers to a question."""

    image: Picture | None = None
    """What the row is about, where that is no text; `text` is then what to call it."""
    talk: Talk | None = None
    """The conversation that the row is; `text` is then all of it in a readable form."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The label, the several ones, or the tags."""
        return (self.label,) if isinstance(self.label, str) else self.label

    @property
    def sentence(self) -> str | tuple[str, ...]:
        """Its text, the tokens of one that is cut, or the two texts of a pair: what a source counts."""
        return self.text if self.pair is None else (str(self.text), self.pair)

    @property
    def characters(self) -> str:
        """All that is written in the row."""
        return "".join(self.text) + (self.pair or "")


@dataclass
class Reading:
    """What one split's files held."""

    rows: list[Row] = field(default_factory=list)
    empty_rows: int = 0
    """Rows without any visible text; they are left out."""
    encodings: dict[str, str] = field(default_factory=dict)
    """File name to the encoding it was read with."""
    scheme: str = ""
    """How the tags of a token task were written: BIO, IOB1, BIOES, …; they are BIO now."""
    converted: int = 0
    """Sentences whose tags had to be rewritten for that."""
    spanned: list[tuple[str, list[Span], str]] = field(default_factory=list)
    """Texts with their entities and where they stand, until they are cut into tokens."""
    tokens: Tokens | None = None
    """How these were cut."""
    noticed: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """What was odd about answers (see `answers.REMARKS`): rows, and how many answers of each."""
    unseen: list[tuple[Path | bytes, str, str | tuple[str, ...], str]] = field(default_factory=list)
    """Images with their names, labels and where they stand, until they are decoded."""
    sides: dict[str, list[tuple[str, list[str]]]] = field(default_factory=dict)
    """The files of texts and of targets, each with its lines, until they are paired."""
    halves: list[tuple[str, str]] = field(default_factory=list)
    """Rows of which one side is empty, and which."""
    formats: Counter[str] = field(default_factory=Counter)
    """Conversations by the format that they are written in."""
    notes: list[str] = field(default_factory=list)
    """What a user should know of how the files were read."""


@dataclass
class Corpus:
    """Everything a task is trained and measured on."""

    splits: dict[str, list[Row]]
    """Exactly `train`, `validation` and `test`."""
    labels: tuple[str, ...]
    """The label set, in the order of the model's outputs."""
    report: dict[str, Any]
    """What was read, cut, dropped and noticed; plain JSON values."""
    copies: int = 0
    """Rows at the end of train that are changed copies of others."""
    stream: tuple[StreamSource, ...] = ()
    """What the training split is streamed from; `train` is then a sample of it."""
