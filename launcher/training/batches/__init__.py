"""Prepared splits and the order of their rows."""
