"""A model as the server sees it: what `launcher.worker.serving` gives it, be it a run's or an exported one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

PREDICT, VECTORS, CHAT = "/v1/predict", "/v1/embeddings", "/v1/chat/completions"
Text = str | tuple[str, str]
"""One text, or a pair of them; of an image its file, in base64."""
Message = Mapping[str, str]
"""`{"role": "user", "content": "…"}`."""


class Row(Protocol):
    """A text as the model reads it."""

    @property
    def cost(self) -> int:
        """Its tokens: rows of like cost are computed together."""


@dataclass(frozen=True)
class About:
    """What clients are told of a model."""

    task: str
    labels: tuple[str, ...]
    takes: Literal["texts", "pairs", "either", "images"]
    endpoints: tuple[str, ...]
    sizes: tuple[int, ...] = ()
    """Of its vectors: how many leading components are vectors by themselves, and last all of them."""
    whole: bool = False
    """Whether the rows of a request are computed together and with no others: what is written may depend on them."""


class Served(Protocol):
    """One thread alone calls `read`, `answer` and `reply`. They raise LauncherError for what the model cannot take."""

    @property
    def about(self) -> About:
        """Asked once."""

    def read(self, texts: Sequence[Text]) -> Sequence[Row]:
        """A row for each text."""

    def answer(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """What `launcher predict` says of each, whatever the others are."""

    def likeliest(self, answer: dict[str, Any], top: int) -> dict[str, Any]:
        """An answer with the `top` most probable labels alone."""

    def reply(
        self,
        messages: Sequence[Message],
        settings: Mapping[str, str],
        say: Callable[[str], None],
        stopped: Callable[[], bool],
    ) -> dict[str, Any]:
        """The next turn of a conversation, said in pieces: `{"text", "left_out", "tokens": [asked, written]}`, and
        `unfinished` where it is as long as may be. `settings` are words of `Generation`.
        """
