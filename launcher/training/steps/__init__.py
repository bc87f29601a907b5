"""Shapes of an optimiser step beside the plain one."""
