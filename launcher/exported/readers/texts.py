"""Texts, or pairs of texts, of which each is computed by itself."""

from typing import Any

from launcher.exported.readers.graph import Graph


class Texts(Graph):
    """Answers as `launcher predict` gives them; `_told` says what the outputs for a text mean."""

    _told: Any

    def predict(self, texts: Any) -> list[dict[str, Any]]:
        """An answer for each text, or each pair of them."""
        self.tokenizer.enable_truncation(self.about["max_length"], direction=self.about["direction"])
        encodings = self.tokenizer.encode_batch([self._read(text) for text in texts])
        told = [self._told(*outputs) for outputs in self.outputs(encodings)]
        cut = [{"truncated": True} if encoding.overflowing else {} for encoding in encodings]
        return [{**answer, **more} for answer, more in zip(told, cut, strict=True)]

    def _read(self, text: Any) -> Any:
        if self.about["words"] != "jieba":
            return text if isinstance(text, str) else tuple(text)
        import jieba

        normal = self.tokenizer.normalizer.normalize_str if self.tokenizer.normalizer else str
        cut = [" ".join(jieba.cut(normal(part))) for part in ([text] if isinstance(text, str) else text)]
        return cut[0] if isinstance(text, str) else tuple(cut)
