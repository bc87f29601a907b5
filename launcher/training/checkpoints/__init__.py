"""Checkpoints: committed with a digest of every file, readable under any layout."""
