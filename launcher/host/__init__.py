"""This machine: what it has, its processes, its network."""
