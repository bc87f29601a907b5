"""Rows of corpora that are larger than memory and disk caches, read while the model trains."""
