"""The official format of fastText and what it means, in numpy: numbers of n-grams, vectors, predictions, files.

hashing      the hash under which words and their n-grams are known
subwords     the buckets of the character n-grams of words
settings     what a model was trained with: the header of its file
dictionary   its words and labels
matrices     rows of its two matrices, whole or quantised, and sums of them
rows         which rows words and lines of text have
losses       from a mean of rows to labels
model_file   all of it, out of a file that is mapped into memory: `FastTextFile.open`
writing      a file that the official library loads
"""
