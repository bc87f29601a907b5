"""Sentences of numbered words, which several tests read: what is to be learnt of them follows from the numbers."""

import random

WORDS = [f"word{n}" for n in range(60)]


def questions(count, seed, longest=14, unanswerable=0.2):
    """`count` rows as SQuAD has them, always the same for a seed.

    `word0` asks for the two words from 10 to 19 that stand in the context, `word1` for those from 20 to 29. Some
    contexts lack what is asked for, and some have what the other question asks for.
    """
    generator = random.Random(seed)
    for number in range(count):
        kind, lacks = generator.randrange(2), generator.random() < unanswerable
        words = [WORDS[generator.randrange(30, 60)] for _ in range(generator.randint(6, longest))]
        places = sorted(generator.sample(range(len(words)), 2))
        for of, place in zip(generator.sample(range(2), 2), reversed(places), strict=True):
            if not lacks if of == kind else generator.random() < 0.3:
                words[place:place] = [WORDS[10 * (of + 1) + generator.randrange(10)] for _ in range(2)]
        context = " ".join(words)
        asked = [word for word in words if int(word[4:]) // 10 == kind + 1]
        text = " ".join(asked)
        answers = [{"text": text, "answer_start": context.index(text)}] if asked else []
        yield {"id": f"q{number}", "question": WORDS[kind], "context": context, "answers": answers}


def nested(rows):
    """Such rows as a file of SQuAD 2.0."""
    paragraphs = []
    for row in rows:
        asked = {**{name: row[name] for name in ("id", "question", "answers")}, "is_impossible": not row["answers"]}
        paragraphs.append({"context": row["context"], "qas": [asked]})
    return {"version": "v2.0", "data": [{"title": "words", "paragraphs": paragraphs}]}


def sentences(count, seed, longest=14):
    """`count` lists of words, always the same for a seed."""
    generator = random.Random(seed)
    for _ in range(count):
        yield [generator.choice(WORDS) for _ in range(generator.randint(1, longest))]


def searches(count, seed, longest=14):
    """`count` queries, always the same for a seed: words of their passage. Every tenth has the passage of the one
    before, and every tenth the query; each has one or two passages of other words beside it.
    """
    generator, rows = random.Random(seed), []
    for number in range(count):
        passage = [generator.choice(WORDS) for _ in range(generator.randint(3, longest))]
        others = [[generator.choice(WORDS) for _ in range(generator.randint(1, 6))] for _ in range(1 + number % 2)]
        row = {"query": passage[: 1 + number % 3], "positive": passage, "negatives": others}
        if number % 10 in (4, 7):
            same = "positive" if number % 10 == 4 else "query"
            row[same] = rows[-1][same]
        rows.append(row)
    for row in rows:
        yield {
            name: list(map(" ".join, value)) if name == "negatives" else " ".join(value) for name, value in row.items()
        }
