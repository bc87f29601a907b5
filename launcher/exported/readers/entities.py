"""Entities in texts, of BIO tags."""

from typing import Any

from tokenizers import Regex, pre_tokenizers

from launcher.exported.readers.graph import Graph


class Entities(Graph):
    """Answers as `launcher predict` gives them; `_chosen` says the tags of first pieces, which are those of words."""

    _chosen: Any

    def predict(self, texts: Any) -> list[dict[str, Any]]:
        """The entities of each text."""
        words = [self._words(text) for text in texts]
        self.tokenizer.enable_truncation(self.about["max_length"], direction=self.about["direction"])
        encodings = self.tokenizer.encode_batch([[word for word, _ in each] for each in words], is_pretokenized=True)
        return [
            self._told(text, own, encoding, *outputs) | ({"truncated": True} if encoding.overflowing else {})
            for text, own, encoding, outputs in zip(texts, words, encodings, self.outputs(encodings), strict=True)
        ]

    def _words(self, text: str) -> list[tuple[str, int]]:
        if self.about["words"] == "jieba":
            import jieba

            return [(word, start) for word, start, _ in jieba.tokenize(text) if not word.isspace()]
        parts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in self.about["words"]]
        cut = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), *parts]).pre_tokenize_str(text)
        return [(word, start) for word, (start, _) in cut]

    def _told(self, text: str, words: Any, encoding: Any, logits: Any, *others: Any) -> dict[str, Any]:
        found, before, of = list[dict[str, Any]](), "", encoding.word_ids
        first = [row for row, word in enumerate(of) if word is not None and of[max(0, row - 1) : row] != [word]]
        for row, tag, p in zip(first, *self._chosen(logits[first], *others), strict=True):
            (word, start), tag, p = words[of[row]], self.about["labels"][int(tag)], float(p)
            end = start + len(word)
            if tag[:2] == "I-" and tag[2:] == before:
                p, start = min(p, found[-1]["probability"]), found.pop()["start"]
            before = tag[2:]
            if before:
                found.append({"entity": before, "text": text[start:end], "start": start, "end": end, "probability": p})
        return {"entities": found}
