"""A score for each pair of a query and a passage: the higher, the better the passage answers the query."""

from typing import Any

from launcher.exported.readers.texts import Texts


class Reader(Texts):
    """One score each."""

    def _read(self, text: Any) -> Any:
        return (text, text) if isinstance(text, str) else tuple(text)

    def _told(self, logits: Any) -> dict[str, Any]:
        return {"score": float(logits[0])}
