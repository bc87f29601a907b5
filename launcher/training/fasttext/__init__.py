"""The official format of fastText and what it means, in numpy: numbers of n-grams, vectors, predictions, files.

hashing      the hash under which words and their n-grams are known
subwords     the buckets of the character n-grams of words
"""
