"""Heavy processes: the ranks, the fork server that starts them, the verbs that need torch."""
