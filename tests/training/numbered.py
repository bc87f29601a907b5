"""Sentences of numbered words, which several tests read: what is to be learnt of them follows from the numbers."""

import random

WORDS = [f"word{n}" for n in range(60)]


def sentences(count, seed, longest=14):
    """`count` lists of words, always the same for a seed."""
    generator = random.Random(seed)
    for _ in range(count):
        yield [generator.choice(WORDS) for _ in range(generator.randint(1, longest))]
