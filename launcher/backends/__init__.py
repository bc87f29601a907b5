"""Where a run is started: this machine, and one module for each scheduler of clusters. They do not know each other."""
