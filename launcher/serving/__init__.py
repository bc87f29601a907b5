"""Finished models behind HTTP: one process, its queue, its endpoints and one page. Knows nothing of torch."""
