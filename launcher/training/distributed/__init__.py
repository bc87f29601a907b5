"""The process group of a rank, and what is agreed in it."""
