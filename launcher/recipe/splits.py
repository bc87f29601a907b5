"""What all kinds of data share: where their files are, how missing splits are cut, which rows are dropped or added."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from launcher.recipe.augment import Augment
from launcher.recipe.noun import noun
from launcher.recipe.sizes import Count


def _locations(value: Any) -> Any:
    """A list as a tuple, for nouns are frozen."""
    if isinstance(value, list | tuple) and value and all(isinstance(location, str) for location in value):
        return tuple(value)
    if not isinstance(value, str):
        raise ValueError("input should be a location (a string) or a list of locations")
    return value


def _codec(value: str) -> str:
    """The name of a text encoding, as Python knows it."""
    try:
        b"".decode(value)
        "a".encode(value)
    except (LookupError, ValueError):
        raise ValueError(f"there is no text encoding {value!r}; known are utf-8, gb18030, big5, cp1252, …") from None
    return value


Files = Annotated[str | tuple[str, ...], BeforeValidator(_locations)]
"""One location or several."""
Encoding = Annotated[str, AfterValidator(_codec)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


@noun
class Splits:
    """What all kinds of data share: how missing splits are cut, and which rows are dropped or added."""

    validation_size: Count | Fraction = 0.1
    """Rows (or the fraction of rows) cut from the training split where no validation split is given."""
    test_size: Count | Fraction = 0.1
    """Rows (or the fraction) cut from the training split where no test split is given."""
    split_seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of those cuts; apart from `training.seed`, so that five training seeds share one test split."""
    shots: Count | None = None
    """Rows of each label that the training split keeps, drawn by `split_seed` after the other splits were cut; None
    keeps all. Those two stay as large as they are: `validation_size` and `test_size` say how large."""
    duplicates: Literal["keep", "drop"] = "keep"
    """`drop` keeps one of each repeated row, and none of a text that stands under different labels."""
    encoding: Encoding | None = None
    """Encoding of all text files, e.g. `big5`; None finds out UTF-8, UTF-16, UTF-32 (by their mark) and GB18030."""
    augment: Augment | None = None
    """Changed copies of the training rows, once all splits are cut; None adds none."""
