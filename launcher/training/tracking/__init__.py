"""Passing on what a run reports, to services and to a user's own file, from outside of the run."""
