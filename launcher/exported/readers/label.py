"""The label of each text, or of each pair of texts, and how likely each label is."""

from typing import Any

from launcher.exported.readers.shares import label_of
from launcher.exported.readers.texts import Texts


class Reader(Texts):
    """One label each."""

    def _told(self, logits: Any) -> dict[str, Any]:
        return label_of(self.about["labels"], logits)
