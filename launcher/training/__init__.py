"""The heavy wing: everything that computes. Only `launcher.worker` imports it."""
