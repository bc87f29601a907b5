"""Several machines without a scheduler: their rendezvous, the leader, the members."""
