"""Entities in texts, of one BIO tag a word."""

from typing import Any

import numpy as np
from tokenizers import Regex, pre_tokenizers

from launcher.exported.readers.graph import Graph


class Reader(Graph):
    """Answers as `launcher predict` gives them; a word's tag is that of its first piece."""

    def predict(self, texts: Any) -> list[dict[str, Any]]:
        """The entities of each text."""
        words = [self._words(text) for text in texts]
        self.tokenizer.enable_truncation(self.about["max_length"], direction=self.about["direction"])
        encodings = self.tokenizer.encode_batch([[word for word, _ in each] for each in words], is_pretokenized=True)
        return [
            self._told(text, own, encoding, logits) | ({"truncated": True} if encoding.overflowing else {})
            for text, own, encoding, (logits,) in zip(texts, words, encodings, self.outputs(encodings), strict=True)
        ]

    def _words(self, text: str) -> list[tuple[str, int]]:
        if self.about["words"] == "jieba":
            import jieba

            return [(word, start) for word, start, _ in jieba.tokenize(text) if not word.isspace()]
        parts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in self.about["words"]]
        cut = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), *parts]).pre_tokenize_str(text)
        return [(word, start) for word, (start, _) in cut]

    def _told(self, text: str, words: Any, encoding: Any, logits: Any) -> dict[str, Any]:
        found, before, last = list[dict[str, Any]](), "", None
        for word, row in zip(encoding.word_ids, logits, strict=False):
            if word in (None, last):
                continue
            last, start, end = word, words[word][1], words[word][1] + len(words[word][0])
            tag, p = self.about["labels"][int(row.argmax())], float(1 / np.exp(row - row.max()).sum())
            if tag[:2] == "I-" and tag[2:] == before:
                p, start = min(p, found[-1]["probability"]), found.pop()["start"]
            before = tag[2:]
            if before:
                found.append({"entity": before, "text": text[start:end], "start": start, "end": end, "probability": p})
        return {"entities": found}
