"""Whole numbers that fields of nouns take: each has a bound, above which it is a slip of the keyboard.

What stands in a recipe is believed when memory is planned, so a number that no machine could hold is refused before.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Width = Annotated[int, Field(ge=1, le=2**16)]
"""Of vectors and layers."""
Depth = Annotated[int, Field(ge=1, le=256)]
"""Layers upon each other, and what a layer has of a kind."""
Length = Annotated[int, Field(ge=1, le=2**20)]
"""Of a text in tokens, and rows of a batch."""
Passes = Annotated[int, Field(ge=0, le=2**20)]
"""Over the training split; 0 where nothing is to be learnt."""
Count = Annotated[int, Field(ge=1, le=2**40)]
"""Of steps, and of what is counted and not held."""
Buckets = Annotated[int, Field(ge=1, le=2**27)]
"""Into which a hash puts what shares a row."""
