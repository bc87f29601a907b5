"""Where a run is started. One module a place; they do not know each other."""
