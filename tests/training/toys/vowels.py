"""A toy task: a language model that is selected by how many of the letters that it writes are vowels."""

from launcher import extend


class Vowels(extend.CausalLanguageModelWork):
    metric_names = ("vowels", "perplexity")

    def score_texts(self, split, rows, texts):
        assert len(texts) == len(rows) == len(self.references(split, rows))
        letters = "".join(texts)
        return {"vowels": sum(letter in "aeiou" for letter in letters) / max(1, len(letters))}


def work(task, reader):
    return Vowels(task, reader)
