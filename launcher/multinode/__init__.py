"""Several machines without a scheduler: how they meet, the leader, the members."""
