"""From a request to ranks that run on this machine, and what drives them."""
