"""A vector of length 1 for each text, and of two texts how alike they are."""

from typing import Any

from launcher.exported.readers.graph import Graph


class Reader(Graph):
    """Answers as `launcher predict` gives them."""

    def predict(self, texts: Any) -> list[dict[str, Any]]:
        """The vector of a text (as a passage also, where these have a prefix of their own), or the cosine of a pair."""
        first, other = self.about["prefixes"]
        pairs = [(text, text) if isinstance(text, str) else text for text in texts]
        self.tokenizer.enable_truncation(self.about["max_length"], direction=self.about["direction"])
        encodings = self.tokenizer.encode_batch([each for a, b in pairs for each in (first + a, other + b)])
        rows = [outputs[0] for outputs in self.outputs(encodings)]
        answers = []
        for number, text in enumerate(texts):
            one, two = rows[2 * number : 2 * number + 2]
            if not isinstance(text, str):
                answer: dict[str, Any] = {"similarity": float(one @ two)}
            else:
                answer = {"vector": one.tolist(), **({"passage_vector": two.tolist()} if first != other else {})}
            cut = any(encoding.overflowing for encoding in encodings[2 * number : 2 * number + 2])
            answers.append({**answer, "truncated": True} if cut else answer)
        return answers
