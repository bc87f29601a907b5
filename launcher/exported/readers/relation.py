"""The relation of two entities in each text, which are marked in it: <e1>Paris</e1> is in <e2>France</e2>."""

import re
from types import SimpleNamespace
from typing import Any

import numpy as np

from launcher.exported.readers.graph import Graph
from launcher.exported.readers.shares import label_of


class Reader(Graph):
    """Answers as `launcher predict` gives them; places count characters of the text without its marks."""

    def predict(self, texts: Any) -> list[dict[str, Any]]:
        """The relation in each text. Raises ValueError where one is not marked so."""
        given = [self._parsed(text, number) for number, text in enumerate(texts, 1)]
        seen = [self._seen(*each) for each in given]
        outputs = self.outputs(seen, lambda batch, _: {"entities": np.array([seen[n].places for n in batch])})
        answers = []
        for (text, spans), one, (logits,) in zip(given, seen, outputs, strict=True):
            there = [{"text": text[start:end], "start": start, "end": end} for start, end in spans]
            answer = {**dict.fromkeys(("label", "probability")), "entities": there}
            answers.append(answer | label_of(self.about["labels"], logits) | ({"truncated": True} if one.cut else {}))
        return answers

    def _parsed(self, text: str, number: int) -> tuple[str, list[tuple[int, int]]]:
        parts, length, places = re.split(r"(<(?:/?)e[12]>|\[(?:/?)e[12]\])", text, flags=re.IGNORECASE), 0, {}
        for part, mark in zip(parts[::2], [*parts[1::2], ""], strict=True):
            length += len(part)
            places[mark[1:-1].lower()] = length
        text, spans = "".join(parts[::2]), []
        for start, end in ((places.get(f"e{n}", 0), places.get(f"/e{n}", 0)) for n in (1, 2)):
            inside = text[start:end]
            spans.append((start + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip())))
        (a, b), (c, d) = sorted(spans, key=lambda span: (span[0], -span[1]))
        if len(parts) != 9 or len(places) != 5 or a >= b or c >= d or (a, b) == (c, d) or c < b < d:
            raise ValueError(f"text {number:,}: mark each entity once, as in <e1>Paris</e1> is in <e2>France</e2>")
        return text, spans

    def _seen(self, text: str, spans: Any) -> Any:
        marks, written, before, at = self.about["marks"], "", 0, dict[tuple[int, bool], int]()
        edges = [((b, False, b - a, n), (a, True, a - b, n)) for n, (a, b) in enumerate(spans)]
        for place, opens, _, n in sorted(edges[0] + edges[1]):
            written += text[before:place]
            at[n, opens], before, written = len(written), place, written + marks[n]
        ids, own, offsets = self._tokens(written + text[before:])
        (starts, ends), places = np.array(offsets).T, list[int]()
        for n, mark in enumerate(marks):
            first, last = at[n, True] + bool(mark), at[n, False] + (1 if mark else -1)
            there = np.flatnonzero((starts <= last) & (ends > first))
            nearest = max(0, int(((ends <= first) & (ends > 0)).sum()) - 1)
            places += [there[0], there[-1]] if len(there) else [nearest, nearest]
        kept = self._kept(own, places)
        found = [kept.searchsorted(place + n % 2) - n % 2 for n, place in enumerate(places)]
        tokens, found = [ids[n] for n in kept], np.clip(found, 0, len(kept) - 1)
        return SimpleNamespace(ids=tokens, type_ids=[0] * len(kept), places=found, cut=len(kept) < len(ids))

    def _tokens(self, text: str) -> tuple[list[int], list[bool], list[tuple[int, int]]]:
        self.tokenizer.no_truncation()
        if self.about["words"] == "jieba":
            import jieba

            normal = self.tokenizer.normalizer.normalize_str if self.tokenizer.normalizer else str
            words = [(word, start) for word, start, _ in jieba.tokenize(normal(text)) if not word.isspace()]
            e = self.tokenizer.encode([word for word, _ in words], is_pretokenized=True)
            starts = [words[n or 0][1] for n in e.word_ids]
            offsets = [(a + start, b + start) for start, (a, b) in zip(starts, e.offsets, strict=True)]
        else:
            e = self.tokenizer.encode(text)
            offsets = e.offsets
        unknown, masks = self.about["unknown"], e.special_tokens_mask
        own = [bool(mask) and token != unknown for token, mask in zip(e.ids, masks, strict=True)]
        return e.ids or self.about["empty"], own or [False], offsets or [(0, 0)]

    def _kept(self, own: list[bool], places: list[int]) -> Any:
        every, room = np.arange(len(own)), self.about["max_length"]
        if len(own) <= room:
            return every
        before, behind = (side.index(False) if False in side else 0 for side in (own, own[::-1]))
        start, stop, room = min(places), max(places) + 1, max(1, room - before - behind)
        if stop - start <= room:
            last = min(len(own) - behind, start - min(start - before, (room - stop + start) // 2) + room)
            between = every[max(before, last - room) : last]
        else:
            between = np.concatenate([every[start : start + room // 2], every[stop - room + room // 2 : stop]])
        return np.concatenate([every[:before], between, every[len(own) - behind :]])
