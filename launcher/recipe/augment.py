"""Changed copies of the rows that are trained on, for data of which there is little."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from launcher.recipe.noun import noun

Share = Annotated[float, Field(ge=0, lt=1)]


@noun
class Augment:
    """Copies of each training row, each changed by one of four operations in turn (EDA, Wei and Zou 2019, 1901.11196).

    An operation whose rate is 0 is left out. Labels stay as they are; entities stay whole, and their tags or places
    move along. Validation and test rows are never copied.
    """

    kind: Literal["Augment"] = "Augment"
    copies: Annotated[int, Field(ge=1, le=64)] = 4
    """Changed copies of each row."""
    deletion: Share = 0.1
    """Chance of each word to be left out."""
    swap: Share = 0.1
    """Part of the words that change places with another one."""
    noise: Share = 0.0
    """Part of the characters that are misspelt: exchanged with the next one, left out or doubled (after Belinkov and
    Bisk 2018, arXiv 1711.02173)."""
    synonyms: str | None = None
    """Path (or `package:…`) of a text file with words of one meaning a line, parted by tabs, commas or blanks."""
    replacement: Share = 0.1
    """Part of the words that a synonym takes the place of, where there is such a file."""
    tokens: Literal["whitespace", "characters", "jieba"] | None = None
    """What a word is. None means what white space parts, or the words that jieba finds where nothing parts them; of
    rows of tokens it is always the token. Synonyms are looked up by jieba's words in either case."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the changes, which are a function of this, the row's number and the copy's."""

    @property
    def operations(self) -> tuple[str, ...]:
        """Those that have something to do."""
        rates = {"deletion": self.deletion, "swap": self.swap, "noise": self.noise}
        rates["synonyms"] = self.replacement if self.synonyms is not None else 0
        return tuple(name for name, rate in rates.items() if rate)
